package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"net/netip"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/podlane/podlane/settings"
	"github.com/podlane/podlane/status"
	"github.com/podlane/podlane/subnet"
)

func TestOtherCNIIsFoundBetweenReconciliations(t *testing.T) {
	l, _ := newTestLoop(t)
	l.config.cniConf = filepath.Join(t.TempDir(), "10-podlane.conflist")
	l.receive(stateWithPeers(t, l))
	l.kernel.verified = time.Now()
	other := filepath.Join(filepath.Dir(l.config.cniConf), "05-other.conflist")
	for _, want := range []string{"", "05-other.conflist comes before", ""} {
		if err := os.WriteFile(other, nil, 0o600); want != "" && err != nil {
			t.Fatal(err)
		} else if want == "" {
			_ = os.Remove(other)
		}
		l.apply(event{kind: beatDue})
		if got := l.problems.Get(otherCNI); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("other CNI: got %q, want %q", got, want)
		}
	}
}

func TestNodeFilesAreWritten(t *testing.T) {
	l, out := newTestLoop(t)
	l.config.cniConf = filepath.Join(t.TempDir(), "net.d", "10-podlane.conflist")
	l.receive(stateWithPeers(t, l))
	l.backend = fakeBackend{}
	for range 2 {
		l.writeNodeFiles()
	}
	path := filepath.Join(l.config.runDir, nodeFile)
	want := subnet.NodeFile{
		Network: subnet.Pair{IPv4: netip.MustParsePrefix("10.5.0.0/16")}, Subnet: subnet.Pair{IPv4: netip.MustParsePrefix("10.5.34.0/24")}, MTU: 1450, IPMasq: true,
	}
	expect := func(when string) {
		t.Helper()
		file, err := subnet.ReadNodeFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want, file, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("node file %s (-want +got):\n%s", when, diff)
		}
	}
	expect("with a lease")
	if data, err := os.ReadFile(l.config.cniConf); err != nil || !strings.Contains(string(data), path) {
		t.Errorf("the CNI configuration list does not have %s: %s, %v", path, data, err)
	}
	if got := strings.Count(out.String(), "wrote "); got != 2 {
		t.Errorf("%d writes are logged, want each file once:\n%s", got, out)
	}
	state := stateWithPeers(t, l)
	state.Conflict = "n7 has it too"
	l.receive(state)
	l.writeNodeFiles()
	want.NotReady = "n7 has it too"
	expect("in a conflict")
	l.config.cniConf = filepath.Join(path, "x")
	l.writeNodeFiles()
	if got := l.problems.Get("cni-conf"); !strings.HasPrefix(got, "write ") {
		t.Errorf("problem with the CNI configuration list: %q", got)
	}
}

// The CNI configuration list names podlane-gate only while it is installed. Otherwise there is a note.
func TestPodlaneGateIsInstalledLater(t *testing.T) {
	l, _ := newTestLoop(t)
	folder := t.TempDir()
	shim, gate := filepath.Join(folder, shimPlugin), filepath.Join(folder, gatePlugin)
	l.config.cniConf, l.config.cniBin = filepath.Join(t.TempDir(), "10-podlane.conflist"), settings.List{folder}
	l.receive(stateWithPeers(t, l))
	l.backend = fakeBackend{}
	for _, c := range []struct {
		name   string
		change func()
		named  bool
	}{
		{"no plugin", func() {}, false},
		{"podlane-cni alone", func() { makeFile(t, shim, 0o755) }, false},
		{"both", func() { makeFile(t, gate, 0o755) }, true},
		{"podlane-gate was removed", func() { removeFile(t, gate) }, false},
	} {
		c.change()
		l.writeNodeFiles()
		l.publish()
		data, err := os.ReadFile(l.config.cniConf)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(data), gatePlugin); got != c.named {
			t.Errorf("%s: the list names podlane-gate: %v, want %v: %s", c.name, got, c.named, data)
		}
		s := l.board.get()
		if noted := strings.Contains(strings.Join(s.Notes, "\n"), "does not name podlane-gate"); noted == c.named {
			t.Errorf("%s: notes %q", c.name, s.Notes)
		}
		if len(s.Problems) > 0 {
			t.Errorf("%s: problems %q", c.name, s.Problems)
		}
	}
}

// Files that could not be written are tried again each second, without a reconciliation. The problems end with them.
func TestFailedFilesAreWrittenWithinASecond(t *testing.T) {
	l, _ := newTestLoop(t)
	l.config.cniConf = filepath.Join(t.TempDir(), "net.d", "10-podlane.conflist")
	blocked := []string{l.config.stateDir, l.config.runDir, filepath.Dir(l.config.cniConf)}
	for _, dir := range blocked {
		makeFile(t, dir, 0o600)
	}
	l.receive(stateWithPeers(t, l, 2))
	l.backend, l.kernel.verified = fakeBackend{}, time.Now()
	l.writeNodeFiles()
	l.saveState(false)
	if got := l.problems.List(); len(got) != 2 || l.files.written {
		t.Fatalf("with files in place of the folders: problems %q, written %v", got, l.files.written)
	}
	// published waits for a status while the loop waits for work.
	published := func(what string, want func(status.Status) bool) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan bool, 1)
		go func() { ended <- l.wait(ctx, nil, nil, time.Hour) }()
		defer func() { cancel(); <-ended }()
		deadline := time.After(2 * time.Second)
		for !want(l.board.get()) {
			select {
			case <-l.board.changed:
			case <-deadline:
				t.Fatalf("not within 2 s: %s; problems %q", what, l.board.get().Problems)
			}
		}
	}
	for _, dir := range blocked {
		removeFile(t, dir)
	}
	published("all files are written", func(s status.Status) bool { return s.NodeFile && len(s.Problems) == 0 })
	other := filepath.Join(filepath.Dir(l.config.cniConf), "05-other.conflist")
	makeFile(t, other, 0o600)
	l.writeNodeFiles()
	published("another configuration comes first", func(s status.Status) bool { return len(s.Problems) == 1 })
	removeFile(t, other)
	published("the other configuration is gone", func(s status.Status) bool { return len(s.Problems) == 0 })
}
