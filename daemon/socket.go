package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/podlane/podlane/localsocket"
	"github.com/podlane/podlane/status"
)

const nodeFile = "subnet.env"

// handler answers GET /status, /problems, /metrics, /healthz, /readyz and /readyz/attach.
func handler(b *board, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { answerChecks(b.get().Checks, w, r) })
	mux.HandleFunc("GET /readyz/attach", func(w http.ResponseWriter, r *http.Request) {
		answerChecks(b.get().AttachChecks(time.Now()), w, r)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answerHealth(b.silence(), w) })
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answerJSON(b.get(), w) })
	mux.HandleFunc("GET /problems", func(w http.ResponseWriter, _ *http.Request) { answerJSON(b.get().Faults(), w) })
	return mux
}

func answerJSON(document any, w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(document) // an error means that the reader has closed the connection
}

// listenSocket listens on the local socket, which only root and its group may use.
func listenSocket(ctx context.Context, runDir string) (net.Listener, error) {
	return localsocket.Listen(ctx, filepath.Join(runDir, status.Socket), 0o660)
}

// newServer returns a server whose connections end. Without ReadTimeout, a request whose body never comes keeps its connection
// for ever. So a pod could use up all connections of the setting metrics.
func newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
	}
}

// serve answers on a listener until ctx ends.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := newServer(h)
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}
