package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/status"
)

func TestHandlerAnswersGETAlone(t *testing.T) {
	b := &board{}
	b.set(readyStatus())
	b.beat()
	h := handler(b, newMetrics(b).handler())
	for _, c := range []struct {
		method, path string
		code         int
	}{
		{http.MethodGet, "/status", http.StatusOK},
		{http.MethodGet, "/problems", http.StatusOK},
		{http.MethodGet, "/metrics", http.StatusOK},
		{http.MethodGet, "/healthz", http.StatusOK},
		{http.MethodGet, "/readyz", http.StatusServiceUnavailable}, // it is too old
		{http.MethodPost, "/status", http.StatusMethodNotAllowed},
		{http.MethodGet, "/", http.StatusNotFound},
		{http.MethodGet, "/status/x", http.StatusNotFound},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil))
		if w.Code != c.code {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.code)
		}
		if c.path == "/status" && c.code == http.StatusOK && (w.Header().Get("Content-Type") != "application/json" || !strings.Contains(w.Body.String(), `"subnet":["10.5.34.0/24"]`)) {
			t.Errorf("%v %s", w.Header(), w.Body)
		}
		if c.path == "/problems" && (w.Header().Get("Content-Type") != "application/json" || !strings.Contains(w.Body.String(), `","etcd: its last answer was `) || !strings.HasSuffix(w.Body.String(), `"problems":[]}`+"\n")) {
			t.Errorf("%v %s", w.Header(), w.Body)
		}
	}
}

func TestMetricsAddressHasMetricsAlone(t *testing.T) {
	h := metricsOnly(newMetrics(&board{}).handler())
	for path, code := range map[string]int{"/metrics": http.StatusOK, "/status": http.StatusNotFound, "/problems": http.StatusNotFound, "/": http.StatusNotFound} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != code {
			t.Errorf("%s: %d, want %d", path, w.Code, code)
		}
	}
}

// serveStatus serves a board on the socket of a folder until the returned function is called.
func serveStatus(t *testing.T, dir string, b *board) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l, err := listenSocket(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l, handler(b, newMetrics(b).handler())) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestStatusOverTheSocket(t *testing.T) {
	dir, b := t.TempDir(), &board{}
	b.set(freshStatus())
	path := filepath.Join(dir, status.Socket)
	if err := os.WriteFile(path, nil, 0o600); err != nil { // left by an earlier podlaned
		t.Fatal(err)
	}
	stop := serveStatus(t, dir, b)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v; want 0660", info.Mode(), err)
	}
	for _, asJSON := range []bool{false, true} {
		var out strings.Builder
		if err := runStatus(t.Context(), config{runDir: dir, json: asJSON}, nil, streams{out: &out}); err != nil {
			t.Error(err)
		}
		if s := out.String(); !strings.Contains(s, "198.18.1.3") || strings.HasPrefix(s, "{\n") != asJSON {
			t.Errorf("JSON %v:\n%s", asJSON, s)
		}
	}
	s := freshStatus()
	s.NodeFile = false
	b.set(s)
	var out strings.Builder
	if err := runStatus(t.Context(), config{runDir: dir}, nil, streams{out: &out}); !errors.Is(err, errSilent) || !strings.Contains(out.String(), "NOT READY") {
		t.Errorf("not ready: %v\n%s", err, &out)
	}
	stop()
	if err := runStatus(t.Context(), config{runDir: dir}, nil, streams{out: &out}); err == nil || !strings.Contains(err.Error(), "is it running? See `systemctl status podlaned`") {
		t.Errorf("after it has ended: %v", err)
	}
	if err := runStatus(t.Context(), config{runDir: dir}, []string{"n2"}, streams{}); !errors.Is(err, errUsage) {
		t.Errorf("an argument too many: %v", err)
	}
}

func TestUnusableAnswersToAStatus(t *testing.T) {
	for want, answer := range map[string]http.HandlerFunc{
		"it answers 404 Not Found": http.NotFound,
		"read podlaned's answer":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) },
		"unexpected EOF":           func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"ready":`)) },
	} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		l, err := listenSocket(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- serve(ctx, l, answer) }()
		if _, err := status.Ask(t.Context(), filepath.Join(dir, status.Socket)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestSocketCannotBeMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "run")        // made if it is missing
	long := filepath.Join(dir, strings.Repeat("x", 108)) // unix(7) has room for 108 bytes
	if _, err := listenSocket(t.Context(), long); err == nil || !strings.Contains(err.Error(), "listen on the local socket") {
		t.Errorf("a path that is too long: %v", err)
	}
	if _, err := listenSocket(t.Context(), "/dev/null/run"); err == nil || !strings.Contains(err.Error(), "make the run folder") {
		t.Errorf("a file as the run folder: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, status.Socket, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := listenSocket(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "remove the old socket") {
		t.Errorf("a folder in its place: %v", err)
	}
}

func TestServeEndsWithItsListener(t *testing.T) {
	l, err := listenSocket(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Millisecond, func() { l.Close() })
	if err := serve(t.Context(), l, http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "serve ") {
		t.Errorf("%v", err)
	}
}
