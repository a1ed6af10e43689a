package main

import (
	"context"
	"encoding/json"
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

// startPodlaned starts a server that answers /problems with failed checks. It returns the run folder.
func startPodlaned(t *testing.T, checks ...string) string {
	t.Helper()
	dir := t.TempDir()
	servePodlaned(t, dir, func() status.Faults { return status.Faults{Checks: checks} })
	return dir
}

// servePodlaned starts a server that answers /problems, with its socket in a run folder.
func servePodlaned(t *testing.T, dir string, faults func() status.Faults) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, status.Socket))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/problems" {
			t.Errorf("asked for %s", r.URL)
		}
		_ = json.NewEncoder(w).Encode(faults())
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
}

func writeNodeFile(t *testing.T, dir, notReady string) {
	t.Helper()
	file := subnet.NodeFile{Network: subnet.Pair{IPv4: netip.MustParsePrefix("10.5.0.0/16")}, Subnet: subnet.Pair{IPv4: ipv4}, MTU: 1450, NotReady: notReady}
	if err := os.WriteFile(filepath.Join(dir, nodeFile), file.Marshal(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReadOverlay(t *testing.T) {
	checks := []string{"lease: none yet", "etcd: it does not answer"}
	for name, c := range map[string]struct {
		make func(t *testing.T) string
		want string // in the reason; empty: pods can be attached
	}{
		"podlaned is up":                           {func(t *testing.T) string { d := startPodlaned(t, checks...); writeNodeFile(t, d, ""); return d }, ""},
		"podlaned ran and has stopped":             {func(t *testing.T) string { d := t.TempDir(); writeNodeFile(t, d, ""); return d }, ""},
		"no pod may be attached":                   {func(t *testing.T) string { d := t.TempDir(); writeNodeFile(t, d, "n2 has it"); return d }, "n2 has it"},
		"podlaned has no lease yet":                {func(t *testing.T) string { return startPodlaned(t, checks...) }, "lease: none yet; etcd: it does not answer"},
		"podlaned is ready, with no node file yet": {func(t *testing.T) string { return startPodlaned(t) }, "podlaned has just started"},
		"podlaned does not run":                    {func(t *testing.T) string { return t.TempDir() }, "podlaned does not answer: dial unix"},
		"the node file is incomplete":              {func(t *testing.T) string { d := t.TempDir(); writeIncompleteNodeFile(t, d); return d }, "incomplete"},
	} {
		o := readOverlay(t.Context(), c.make(t))
		if ready := o.subnet.IPv4 == ipv4; ready != (c.want == "") {
			t.Errorf("%s: pod subnet %q, want one only without a reason", name, o.subnet)
		}
		if !strings.Contains(o.reason, c.want) {
			t.Errorf("%s: reason %q, want one with %q", name, o.reason, c.want)
		}
	}
}

func writeIncompleteNodeFile(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, nodeFile), []byte("PODLANE_NETWORK=10.5.0.0/16\nPODLANE_SUBNET=10.5.34.1/24\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// podlaned accepts the connection and does not answer.
func TestSilentPodlanedDelaysOnlyUntilTheDeadline(t *testing.T) {
	dir := t.TempDir()
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, status.Socket))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if o := readOverlay(ctx, dir); !strings.Contains(o.reason, "podlaned does not answer") {
		t.Errorf("reason %q, want that podlaned does not answer", o.reason)
	}
}
