package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

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

// listenSocket listens on the local socket, which only root and its group may use. It replaces the socket of an earlier
// podlaned: the lock shows that it has ended.
func listenSocket(ctx context.Context, runDir string) (net.Listener, error) {
	if err := os.MkdirAll(runDir, 0o755); err != nil { //nolint:gosec // every user may read the node file in it
		return nil, fmt.Errorf("make the run folder: %w", err)
	}
	path := filepath.Join(runDir, status.Socket)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old socket: %w", err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on the local socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil { //nolint:gosec // the members of root's group have access too
		l.Close()
		return nil, fmt.Errorf("protect the local socket: %w", err)
	}
	return l, nil
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
