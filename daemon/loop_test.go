package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/podlane/podlane/pause"

	"github.com/sirupsen/logrus"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/etcd"
	"github.com/podlane/podlane/subnet/store"
	"github.com/podlane/podlane/underlay"
)

// still is a backend that only has an MTU: these tests are about what stands around it.
type still struct{ backend.Backend }

func (still) MTU() int { return 1450 }

// bench is a loop without a kernel, and its log.
func bench(t *testing.T) (*loop, *strings.Builder) {
	t.Helper()
	var out strings.Builder
	log := logrus.New()
	log.SetOutput(&out)
	dir := t.TempDir()
	d := newDaemon(config{
		etcdPrefix: "/p", etcdEndpoints: list{"http://a"}, runDir: filepath.Join(dir, "run"), stateDir: filepath.Join(dir, "state"),
		nodeID: "a", nodeName: "n1", ipMasq: true, resync: 30 * time.Second,
	}, log)
	iface := underlay.Interface{Name: "eth0", Index: 2, MTU: 1500, Addrs: []netip.Prefix{netip.MustParsePrefix("198.18.1.1/16")}}
	return newLoop(d, iface, savedState{}), &out
}

// peerState is a state with our own lease, 10.5.34.0/24, and those of some peers.
func peerState(t *testing.T, l *loop, peers ...int) store.State {
	t.Helper()
	network, _, err := subnet.ParseNetwork([]byte(`{"Network":"10.5.0.0/16"}`))
	if err != nil {
		t.Fatal(err)
	}
	lease := func(self subnet.Self, i int) subnet.Lease {
		return self.Lease(network, subnet.Pair{IPv4: netip.MustParsePrefix(fmt.Sprintf("10.5.%d.0/24", i))}, subnet.Lease{})
	}
	s := store.State{Config: []byte(`{"Network":"10.5.0.0/16"}`), Network: network, Own: lease(l.underlay.self, 34), Held: true, Seen: time.Now()}
	s.Set = subnet.Set{Revision: 9, Records: []subnet.Record{{Lease: s.Own, Created: 1}}}
	for _, i := range peers {
		self := subnet.Self{Node: subnet.Node{ID: fmt.Sprint(i), Name: fmt.Sprint("n", i)}, PublicIP: netip.MustParseAddr(fmt.Sprint("198.18.1.", i))}
		s.Set.Records = append(s.Set.Records, subnet.Record{Lease: lease(self, i), Created: int64(i)})
	}
	return s
}

func TestSelfOnAnUnderlay(t *testing.T) {
	l, _ := bench(t)
	if l.underlay.self.PublicIP != netip.MustParseAddr("198.18.1.1") || l.underlay.self.PublicIPv6.IsValid() || l.underlay.self.Node.Name != "n1" || !l.underlay.self.Previous.IsZero() {
		t.Errorf("%+v", l.underlay.self)
	}
	l.config.publicIP = addr{netip.MustParseAddr("203.0.113.7")}
	l.config.publicIPv6 = addr{netip.MustParseAddr("2001:db8::7")}
	self := l.daemon.self(l.underlay.iface, savedState{Saved: store.Saved{Own: "10.5.34.0-24"}})
	if self.PublicIP != l.config.publicIP.Addr || self.PublicIPv6 != l.config.publicIPv6.Addr || self.Previous.Key() != "10.5.34.0-24" {
		t.Errorf("with public addresses and a saved state: %+v", self)
	}
	node := subnet.NodeFile{
		Network: subnet.Pair{IPv4: netip.MustParsePrefix("10.5.0.0/16")}, Subnet: subnet.Pair{IPv4: netip.MustParsePrefix("10.5.35.0/24")}, MTU: 1450,
	}
	if err := subnet.WriteFile(filepath.Join(l.config.runDir, nodeFile), node.Marshal(), 0o600); err != nil {
		t.Fatal(err)
	}
	if self := l.daemon.self(l.underlay.iface, savedState{Saved: store.Saved{Own: "10.5.34.0-24"}}); self.Previous != node.Subnet {
		t.Errorf("the node file does not win over the saved state: %+v", self.Previous)
	}
}

func TestStatusFollowsTheState(t *testing.T) {
	l, out := bench(t)
	l.publish()
	if s := l.board.get(); s.Ready || len(s.Problems) > 0 || !slices.Equal(failing(s), []string{"lease", "etcd", "kernel", "node-file"}) {
		t.Errorf("at the start: %+v", s)
	}
	l.receive(store.State{Err: etcd.ErrNoConfig})
	l.publish()
	if s := l.board.get(); s.Ready || len(s.Problems) != 1 || !strings.HasPrefix(s.Problems[0], "etcd: /p/config: ") {
		t.Errorf("without a configuration: %q", s.Problems)
	}
	state := peerState(t, l, 2, 3)
	state.Warnings = []string{"network configuration: odd"}
	l.receive(state)
	l.receive(state)
	l.backend, l.kernel.verified, l.files.written = still{}, time.Now(), true
	l.publish()
	s := l.board.get()
	if !s.Ready || s.MTU != 1450 || len(s.Peers) != 2 || s.Peers[0].Name != "n2" || join(s.Lease.Subnet) != "10.5.34.0/24" || s.SkipCount != 0 {
		t.Errorf("%+v", s)
	}
	if got := strings.Count(out.String(), "network configuration: odd"); got != 1 {
		t.Errorf("the warning is logged %d times, want once", got)
	}
	state.Network.VXLAN.Port = 4789
	state.Set.Skipped, state.Set.Junk = skipList(0, 100), 250
	l.receive(state)
	l.peers.unsupported.take(skipList(100, 150), 50)
	l.publish()
	s = l.board.get()
	if l.network.VXLAN.Port != 8472 || len(s.Notes) != 2 || s.Notes[0] != state.Warnings[0] || !strings.Contains(s.Notes[1], "restart podlaned on every node") {
		t.Errorf("a changed configuration: port %d, notes %q", l.network.VXLAN.Port, s.Notes)
	}
	if s.SkipCount != 300 || len(s.Skipped) != subnet.MaxSkips || !s.Ready {
		t.Errorf("%d skips, %d named, ready %v", s.SkipCount, len(s.Skipped), s.Ready)
	}
	state.Held, state.Retained = false, 2
	l.receive(state)
	l.publish()
	s = l.board.get()
	if !slices.Equal(failing(s), []string{"lease"}) || len(s.Problems) > 0 || !strings.HasPrefix(s.Notes[1], "etcd lost data: podlaned keeps 2 peers") {
		t.Errorf("own lease gone: ready %v, %q, %q", s.Ready, s.Problems, s.Notes)
	}
}

// That etcd has answered, or has not, is in the status, and no reason to go over the kernel.
func TestMereAnswersArePublished(t *testing.T) {
	l, _ := bench(t)
	state := peerState(t, l, 2)
	l.receive(state)
	l.backend, l.kernel.verified, l.files.written = still{}, time.Now(), true
	states, done := make(chan store.State), make(chan bool, 1)
	go func() { done <- l.wait(t.Context(), states, nil, time.Hour) }()
	send := func(s store.State) {
		select {
		case states <- s:
		case <-done:
			t.Fatal("it is a reason to pass")
		}
	}
	state.Seen = state.Seen.Add(time.Second).Round(0) // by the wall clock, as the status has it
	send(state)
	state.Err = errors.New("no answer")
	send(state)
	send(peerState(t, l, 2, 3))
	if s := l.board.get(); !<-done || !s.Etcd.Seen.Equal(state.Seen) || s.Ready || len(s.Peers) != 1 {
		t.Errorf("another peer is no reason to pass, or the status is wrong: %+v", s)
	}
}

// failing names the checks that do not hold.
func failing(s status) (names []string) {
	for _, c := range s.Checks {
		if !c.OK {
			names = append(names, c.Name)
		}
	}
	return names
}

func TestPeersArePendingWhileTheOverlayFails(t *testing.T) {
	l, _ := bench(t)
	l.receive(peerState(t, l, 2, 3))
	expect := func(when, want string) {
		t.Helper()
		l.publish()
		var got []string
		for _, p := range l.board.get().Peers {
			got = append(got, p.State)
		}
		if diff := gocmp.Diff([]string{want, want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	expect("before the first round", peerPending)
	l.kernel.verified = time.Now()
	expect("verified", peerProgrammed)
	l.troubles.check("overlay", errors.New("operation not permitted"))
	expect("the overlay cannot be programmed", peerPending)
}

func TestAnnouncement(t *testing.T) {
	l, out := bench(t)
	l.config.cniConf = filepath.Join(t.TempDir(), "net.d", "10-podlane.conflist")
	l.receive(peerState(t, l))
	l.backend = still{}
	for range 2 {
		l.writeNodeFiles()
	}
	path := filepath.Join(l.config.runDir, nodeFile)
	file, err := subnet.ReadNodeFile(path)
	if err != nil || file.MTU != 1450 || !file.IPMasq || file.NotReady != "" || file.Subnet.Key() != "10.5.34.0-24" {
		t.Errorf("node file: %+v, %v", file, err)
	}
	if data, err := os.ReadFile(l.config.cniConf); err != nil || !strings.Contains(string(data), path) {
		t.Errorf("conflist: %s, %v", data, err)
	}
	if got := strings.Count(out.String(), "wrote "); got != 2 {
		t.Errorf("%d writes are logged, want each file once:\n%s", got, out)
	}
	state := peerState(t, l)
	state.Conflict = "n7 has it too"
	l.receive(state)
	l.writeNodeFiles()
	if file, err := subnet.ReadNodeFile(path); err != nil || file.NotReady != "n7 has it too" {
		t.Errorf("node file in a conflict: %+v, %v", file, err)
	}
	l.config.cniConf = filepath.Join(path, "x")
	l.writeNodeFiles()
	if got := l.troubles.list(); len(got) != 2 || !strings.HasPrefix(got[0], "cni-conf: write ") || got[1] != "lease: n7 has it too" {
		t.Errorf("troubles: %q", got)
	}
}

// The CNI configuration list names podlane-gate only while it is installed. Otherwise there is a note.
func TestPodlaneGateIsInstalledLater(t *testing.T) {
	l, _ := bench(t)
	folder := t.TempDir()
	l.config.cniConf, l.config.cniBin = filepath.Join(t.TempDir(), "10-podlane.conflist"), list{folder}
	l.receive(peerState(t, l))
	l.backend = still{}
	expect := func(named bool) {
		t.Helper()
		l.writeNodeFiles()
		l.publish()
		data, err := os.ReadFile(l.config.cniConf)
		if err != nil || strings.Contains(string(data), gatePlugin) != named {
			t.Errorf("podlane-gate in the list, want %v: %s, %v", named, data, err)
		}
		s := l.board.get()
		if noted := strings.Contains(strings.Join(s.Notes, "\n"), "does not name podlane-gate"); noted == named || len(s.Problems) > 0 {
			t.Errorf("podlane-gate in the list: %v; notes %q, problems %q", named, s.Notes, s.Problems)
		}
	}
	install := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	expect(false)
	install(shimPlugin)
	expect(false)
	install(gatePlugin)
	expect(true)
	if err := os.Remove(filepath.Join(folder, gatePlugin)); err != nil {
		t.Fatal(err)
	}
	expect(false)
}

// The node file refuses new pods for the reasons of /readyz/attach, with a text that stays the same while it lasts.
func TestReasonsToRefusePods(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		change func(l *loop)
		want   string
	}{
		"nothing":       {func(*loop) {}, ""},
		"valid lease":   {func(l *loop) { l.state.Expiry = now.Add(time.Second) }, ""},
		"etcd is away":  {func(l *loop) { l.state.Held = false; l.troubles.set("etcd", "no answer") }, ""},
		"conflict":      {func(l *loop) { l.state.Conflict = "n7 has it too" }, "n7 has it too"},
		"lease ran out": {func(l *loop) { l.state.Expiry = now }, "the lease of 10.5.34.0/24 ran out at 2026-11-30 12:00:00 UTC: another node may claim the pod subnet"},
		"kernel":        {func(l *loop) { l.troubles.set("firewall", "no such table") }, "this node's part of the overlay is incomplete: no such table"},
	} {
		l, _ := bench(t)
		l.receive(peerState(t, l))
		c.change(l)
		l.publish()
		s := l.board.get()
		s.Verified, s.NodeFile = now, true
		if got := l.notReady(now); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		} else if attach := allHold(s.judgeAttach(now)); attach != (got == "") {
			t.Errorf("%s: /readyz/attach holds: %v, node file: %q", name, attach, got)
		}
	}
}

// A podlaned without a lease refuses pods in the node file of the earlier run, after it has waited for etcd.
func TestNodeFileOfAnEarlierRun(t *testing.T) {
	l, out := bench(t)
	path := filepath.Join(l.config.runDir, nodeFile)
	l.refusePods()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a node file where there was none: %v", err)
	}
	l.receive(peerState(t, l))
	l.backend = still{}
	l.writeNodeFiles()
	now := time.Now()
	next := newLoop(l.daemon, l.underlay.iface, savedState{Saved: l.state.Save(), Prefix: "/p", Until: newExpiry(now.Add(-time.Hour), now)})
	ctx, cancel := context.WithTimeout(t.Context(), maxStoreSilence+20*time.Second)
	defer cancel()
	states, answer := make(chan store.State, 1), peerState(t, l)
	go func() { // etcd answers when the node file refuses pods
		for pause.For(ctx, time.Millisecond) {
			if file, err := subnet.ReadNodeFile(path); err == nil && strings.Contains(file.NotReady, "no valid lease") {
				states <- answer
				return
			}
		}
	}()
	if err := next.awaitLease(ctx, states); err != nil {
		t.Fatalf("pods are attached without a lease: %v: %s", err, out)
	}
	if took := time.Since(now); took < maxStoreSilence {
		t.Errorf("refused after %v, before etcd had the time to answer", took)
	}
	next.backend = still{}
	next.receive(peerState(t, l))
	next.writeNodeFiles()
	if file, err := subnet.ReadNodeFile(path); err != nil || file.NotReady != "" {
		t.Errorf("with a lease again: %+v, %v", file, err)
	}
}

// A node runs on its saved lease, which then runs out. The store sends no state for that.
func TestSavedLeaseRunsOutWhileItIsInUse(t *testing.T) {
	l, _ := bench(t)
	now := time.Now()
	saved := peerState(t, l).Save()
	l.stateFile.loaded = savedState{Saved: saved, Prefix: "/p", Until: newExpiry(now.Add(time.Hour), now)}
	away := store.State{Err: errors.New("no answer")}
	l.receive(away)
	l.backend = still{}
	if got := l.notReady(now); got != "" {
		t.Errorf("while it lasts: %q", got)
	}
	l.stateFile.loaded.Until = newExpiry(now.Add(-time.Second), now)
	l.receive(away)
	if got := l.notReady(now.Add(2 * time.Hour)); !strings.Contains(got, "ran out") {
		t.Errorf("when it has run out: %q, own %v, expiry %v", got, l.state.Own, l.state.Expiry)
	}
}

func TestPassWhenTheLeaseRunsOut(t *testing.T) {
	l, _ := bench(t)
	for left, want := range map[time.Duration]time.Duration{time.Hour: time.Hour, time.Millisecond: minInterval, -time.Second: 0} {
		l.state.Expiry = time.Now().Add(left)
		if got := l.expiresIn(); (got - want).Abs() > time.Second {
			t.Errorf("%v left: pass in %v, want %v", left, got, want)
		}
	}
	l.state.Expiry = time.Time{}
	if got := l.expiresIn(); got != 0 {
		t.Errorf("a reservation: pass in %v", got)
	}
}

func TestStateIsSavedNotTooOften(t *testing.T) {
	l, _ := bench(t)
	path := filepath.Join(l.config.stateDir, stateName)
	l.saveState(true)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("with nothing to save: %v", err)
	}
	l.receive(peerState(t, l, 2))
	l.saveState(false)
	if s, err := loadState(l.config.stateDir, "/p"); err != nil || len(s.Leases) != 2 || s.Own != "10.5.34.0-24" {
		t.Errorf("%+v, %v", s, err)
	}
	l.receive(peerState(t, l, 2, 3))
	l.saveState(false) // too soon
	if s, err := loadState(l.config.stateDir, "/p"); err != nil || len(s.Leases) != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	l.saveState(true) // but at the end, always
	if s, err := loadState(l.config.stateDir, "/p"); err != nil || len(s.Leases) != 3 {
		t.Errorf("%+v, %v", s, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	l.receive(peerState(t, l, 2, 3)) // etcd has answered, with nothing new
	l.saveState(true)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("written again, with nothing new: %v", err)
	}
}

func TestUnderlayThatCannotCarryTheNetwork(t *testing.T) {
	l, _ := bench(t)
	for config, want := range map[string]string{
		`{"Network":"198.18.0.0/20"}`:                      "pod network 198.18.0.0/20 overlaps 198.18.1.1/16 of underlay interface eth0",
		`{"Network":"10.5.0.0/16","Backend":{"MTU":1500}}`: "configured MTU 1500 is more than the 1450",
		`{"Network":"10.5.0.0/16"}`:                        "",
	} {
		network, _, err := subnet.ParseNetwork([]byte(config))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = newBackend(network, l.underlay.iface, l.underlay.self); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
	}
}

// Another pod subnet in the store is a problem for as long as it is there. The node keeps its own.
func TestStoreHasAnotherPodSubnet(t *testing.T) {
	l, _ := bench(t)
	state := peerState(t, l, 2)
	l.receive(state)
	l.backend, l.kernel.verified, l.files.written = still{}, time.Now(), true
	other := peerState(t, l, 2, 3)
	other.Own = l.underlay.self.Lease(state.Network, subnet.Pair{IPv4: netip.MustParsePrefix("10.5.77.0/24")}, subnet.Lease{})
	for _, c := range []struct {
		name    string
		state   store.State
		ready   bool
		problem string
		peers   int
	}{
		{"another pod subnet", other, false, "but its pods use 10.5.34.0/24", 2},
		{"the own one again", peerState(t, l, 2), true, "", 1},
	} {
		l.receive(c.state)
		l.publish()
		s := l.board.get()
		if l.state.Own != state.Own {
			t.Errorf("%s: own lease %v, want %v", c.name, l.state.Own, state.Own)
		}
		if s.Ready != c.ready {
			t.Errorf("%s: ready is %v, want %v", c.name, s.Ready, c.ready)
		}
		if problems := strings.Join(s.Problems, " "); (problems == "") != (c.problem == "") || !strings.Contains(problems, c.problem) {
			t.Errorf("%s: problems %q, want %q", c.name, problems, c.problem)
		}
		if len(s.Peers) != c.peers {
			t.Errorf("%s: %d peers, want %d", c.name, len(s.Peers), c.peers)
		}
	}
}

// An etcd that hangs says nothing: what was saved stands in before a call's deadline is over.
func TestSilentEtcdCountsAsAway(t *testing.T) {
	l, _ := bench(t)
	state := peerState(t, l, 2)
	now := time.Now()
	l.stateFile.loaded = savedState{Saved: state.Save(), Prefix: "/p", Until: newExpiry(now.Add(time.Hour), now)}
	if err := l.awaitLease(t.Context(), make(chan store.State)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(now); took < maxStoreSilence || took > maxStoreSilence+time.Second || l.state.Own != state.Own || len(l.peers.leases) != 1 {
		t.Errorf("after %v: own %v, %d peers", took, l.state.Own, len(l.peers.leases))
	}
}

// Files that could not be written are tried again each second, without a pass over the kernel. The problems end with them.
func TestFailedFilesAreWrittenWithinASecond(t *testing.T) {
	l, _ := bench(t)
	l.config.cniConf = filepath.Join(t.TempDir(), "net.d", "10-podlane.conflist")
	blocked := []string{l.config.stateDir, l.config.runDir, filepath.Dir(l.config.cniConf)}
	for _, dir := range blocked {
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.receive(peerState(t, l, 2))
	l.backend, l.kernel.verified = still{}, time.Now()
	l.writeNodeFiles()
	l.saveState(false)
	if got := l.troubles.list(); len(got) != 2 || l.files.written {
		t.Fatalf("troubles %q, written %v", got, l.files.written)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan bool, 1)
	go func() { ended <- l.wait(ctx, nil, nil, time.Hour) }()
	for _, dir := range blocked {
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
	}
	first := filepath.Join(filepath.Dir(l.config.cniConf), "05-other.conflist")
	await := func(what string, so func() bool) {
		t.Helper()
		deadline := time.After(2 * time.Second)
		for !so() {
			select {
			case <-l.board.news:
			case <-deadline:
				t.Fatalf("not within 2 s: %s; problems %q", what, l.board.get().Problems)
			}
		}
	}
	await("all files are written", func() bool { s := l.board.get(); return s.NodeFile && len(s.Problems) == 0 })
	cancel()
	<-ended
	if err := os.WriteFile(first, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l.writeNodeFiles()
	ctx, cancel = context.WithCancel(t.Context())
	defer func() { cancel(); <-ended }()
	go func() { ended <- l.wait(ctx, nil, nil, time.Hour) }()
	await("the other file is seen", func() bool { return len(l.board.get().Problems) == 1 })
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	await("the other file is gone", func() bool { return len(l.board.get().Problems) == 0 })
}
