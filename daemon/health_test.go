package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/status"
)

func TestAnswersOfReadyz(t *testing.T) {
	ready, noNodeFile, noEtcd := freshStatus(), freshStatus(), freshStatus()
	noNodeFile.NodeFile = false
	noEtcd.Etcd.Trouble = "no answer"
	for _, c := range []struct {
		status status.Status
		path   string
		code   int
		body   string
	}{
		{ready, "/readyz", 200, "ready\n"},
		{ready, "/readyz?verbose", 200, "[+] underlay: ok\n[+] lease: ok\n[+] etcd: ok\n[+] kernel: ok\n[+] node-file: ok\n[+] conflict: ok\nready\n"},
		{noNodeFile, "/readyz", 503, "[+] underlay: ok\n[+] lease: ok\n[+] etcd: ok\n[+] kernel: ok\n[-] node-file: not written yet\n[+] conflict: ok\nnot ready\n"},
		{noEtcd, "/readyz/attach", 200, "ready\n"},
		{noEtcd, "/readyz/attach?verbose", 200, "[+] lease: ok\n[+] kernel: ok\n[+] node-file: ok\n[+] conflict: ok\nready\n"},
		{noNodeFile, "/readyz/attach", 503, "[+] lease: ok\n[+] kernel: ok\n[-] node-file: not written yet\n[+] conflict: ok\nnot ready\n"},
	} {
		b := &board{}
		b.set(c.status)
		w := httptest.NewRecorder()
		handler(b, http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.path, nil))
		if w.Code != c.code {
			t.Errorf("%s: code %d, want %d", c.path, w.Code, c.code)
		}
		if diff := gocmp.Diff(c.body, w.Body.String()); diff != "" {
			t.Errorf("%s: body (-want +got):\n%s", c.path, diff)
		}
	}
}

func TestStuckLoopIsNotHealthy(t *testing.T) {
	for silence, code := range map[time.Duration]int{0: 200, stuck: 200, stuck + time.Second: 503} {
		w := httptest.NewRecorder()
		answerHealth(silence, w)
		if w.Code != code {
			t.Errorf("after %v without a heartbeat: code %d, want %d: %s", silence, w.Code, code, w.Body)
		}
	}
}
