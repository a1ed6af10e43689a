package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podlane/podlane/status"
	"github.com/podlane/podlane/subnet"
)

// answering is a run folder with a podlaned that answers /readyz.
func answering(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, status.Socket))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL)
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, text)
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l) // until it is closed
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return dir
}

func writeNodeFile(t *testing.T, dir, notReady string) {
	t.Helper()
	file := subnet.NodeFile{Network: subnet.Pair{IPv4: netip.MustParsePrefix("10.5.0.0/16")}, Subnet: subnet.Pair{IPv4: ipv4}, MTU: 1450, NotReady: notReady}
	if err := os.WriteFile(filepath.Join(dir, nodeFile), file.Marshal(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLookAtOverlay(t *testing.T) {
	const checks = "[+] underlay: ok\n[-] lease: none yet\n[-] etcd: it does not answer\nnot ready\n"
	for name, c := range map[string]struct {
		make func(t *testing.T) string
		want string // in the reason; empty: pods can be attached
	}{
		"podlaned is up":                    {func(t *testing.T) string { d := answering(t, checks); writeNodeFile(t, d, ""); return d }, ""},
		"podlaned was up and is away":       {func(t *testing.T) string { d := t.TempDir(); writeNodeFile(t, d, ""); return d }, ""},
		"no pod may be attached":            {func(t *testing.T) string { d := t.TempDir(); writeNodeFile(t, d, "n2 has it"); return d }, "n2 has it"},
		"podlaned was never up":             {func(t *testing.T) string { return answering(t, checks) }, "lease: none yet; etcd: it does not answer"},
		"podlaned is about to be":           {func(t *testing.T) string { return answering(t, "ready\n") }, "podlaned has just begun"},
		"podlaned does not run":             {func(t *testing.T) string { return t.TempDir() }, "podlaned does not answer: dial unix"},
		"the node file is cut in the midst": {func(t *testing.T) string { d := t.TempDir(); cut(t, d); return d }, "incomplete"},
	} {
		o := lookAtOverlay(t.Context(), c.make(t))
		if (c.want == "") != (o.subnet == subnet.Pair{IPv4: ipv4}) || !strings.Contains(o.reason, c.want) {
			t.Errorf("%s: %+v, want %q", name, o, c.want)
		}
	}
}

func cut(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, nodeFile), []byte("PODLANE_NETWORK=10.5.0.0/16\nPODLANE_SUBNET=10.5.34.1/24\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A podlaned that takes the connection and does not answer holds nobody up for longer than the deadline.
func TestSilentPodlanedIsNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, status.Socket))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if o := lookAtOverlay(ctx, dir); !strings.Contains(o.reason, "podlaned does not answer") {
		t.Errorf("reason %q", o.reason)
	}
}
