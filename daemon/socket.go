package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/podlane/podlane/pause"
	"github.com/podlane/podlane/status"
)

const (
	nodeFile = "subnet.env"

	// listenEvery is the time between two attempts to listen on an address.
	listenEvery = 5 * time.Second
)

// handler answers GET /status, /metrics, /healthz, /readyz and /readyz/attach.
func handler(b *board, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { answerChecks(b.get().Checks, w, r) })
	mux.HandleFunc("GET /readyz/attach", func(w http.ResponseWriter, r *http.Request) {
		answerChecks(b.get().AttachChecks(time.Now()), w, r)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answerHealth(b.silence(), w) })
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(b.get()) // an error means that the reader has closed the connection
	})
	return mux
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

// serve answers on a listener until ctx ends.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

// serveTCP answers on TCP. Another program may use the address, or the node may not have it. That is a problem, and
// podlaned tries again. It does not end, because pods need their network more than the operator needs metrics.
func (d *daemon) serveTCP(ctx context.Context, h http.Handler) error {
	for {
		l, err := new(net.ListenConfig).Listen(ctx, tcpOf(d.config.http), d.config.http)
		if d.problems.Check("http", err) {
			return serve(ctx, l, h)
		}
		if !pause.For(ctx, listenEvery) {
			return ctx.Err()
		}
	}
}

// tcpOf returns the network for a valid address. 0.0.0.0 means IPv4 only; with "tcp", Go would listen on IPv6 too.
func tcpOf(address string) string {
	if a, err := netip.ParseAddrPort(address); err == nil && a.Addr().Is4() {
		return "tcp4"
	}
	return "tcp"
}
