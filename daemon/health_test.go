package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/podlane/podlane/status"
)

func TestAnswersOfReadyz(t *testing.T) {
	well, bad, away := freshStatus(), freshStatus(), freshStatus()
	bad.NodeFile = false
	away.Etcd.Trouble = "no answer"
	for _, c := range []struct {
		status status.Status
		path   string
		code   int
		body   string
	}{
		{well, "/readyz", 200, "ready\n"},
		{well, "/readyz?verbose", 200, "[+] underlay: ok\n[+] lease: ok\n[+] etcd: ok\n[+] kernel: ok\n[+] node-file: ok\n[+] conflict: ok\nready\n"},
		{bad, "/readyz", 503, "[+] underlay: ok\n[+] lease: ok\n[+] etcd: ok\n[+] kernel: ok\n[-] node-file: not written yet\n[+] conflict: ok\nnot ready\n"},
		{away, "/readyz/attach", 200, "ready\n"},
		{away, "/readyz/attach?verbose", 200, "[+] lease: ok\n[+] kernel: ok\n[+] node-file: ok\n[+] conflict: ok\nready\n"},
		{bad, "/readyz/attach", 503, "[+] lease: ok\n[+] kernel: ok\n[-] node-file: not written yet\n[+] conflict: ok\nnot ready\n"},
	} {
		b := &board{}
		b.set(c.status)
		w := httptest.NewRecorder()
		handler(b, http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.path, nil))
		if w.Code != c.code || w.Body.String() != c.body {
			t.Errorf("%s: %d %s", c.path, w.Code, w.Body)
		}
	}
}

func TestStuckLoopIsNotHealthy(t *testing.T) {
	for idle, code := range map[time.Duration]int{0: 200, stuck: 200, stuck + time.Second: 503} {
		w := httptest.NewRecorder()
		answerHealth(idle, w)
		if w.Code != code {
			t.Errorf("after %v: %d %s", idle, w.Code, w.Body)
		}
	}
}
