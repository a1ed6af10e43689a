package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/settings"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// newKubernetesLoop returns a loop with the Kubernetes store, and its log.
func newKubernetesLoop(t *testing.T) (*loop, *strings.Builder) {
	t.Helper()
	l, out := newTestLoop(t)
	l.config.store, l.config.etcd = storeKubernetes, settings.Etcd{}
	return l, out
}

// kubernetesState returns a state of the Kubernetes store with the own lease and some peers.
func kubernetesState(t *testing.T, l *loop, peers ...int) store.State {
	t.Helper()
	s := stateWithPeers(t, l, peers...)
	s.Feeder, s.Watching = "podlane-kube v1", true
	for i := range s.Set.Records {
		s.Set.Records[i].Modified = 1
	}
	return s
}

// Whatever the operator reads names the store that is used.
func TestStatusWithTheKubernetesStore(t *testing.T) {
	l, out := newKubernetesLoop(t)
	s := kubernetesState(t, l, 2, 3)
	l.receive(s)
	l.backend, l.kernel.verified, l.files.written = fakeBackend{}, time.Now(), true
	l.publish()
	got := l.board.get()
	if !got.Ready || got.Store != "kubernetes" || got.Etcd != nil || got.Kubernetes == nil {
		t.Fatalf("status %+v", got)
	}
	if k := *got.Kubernetes; !k.Connected || k.Feeder != "podlane-kube v1" || k.Revision != 9 || !k.Watching || k.Trouble != "" || k.Seen.Sub(s.Seen).Abs() > time.Second {
		t.Errorf("the store: %+v", k)
	}
	s.Err, s.Feeder, s.Retained, s.Losses = errors.New("podlane-kube is not connected: it has not connected to the socket channel.sock"), "", 2, 1
	s.Network.VXLAN.Port = 4789
	l.receive(s)
	l.receive(keepOwnSubnet(l.state, withOwnSubnet(s, l.underlay.self, "10.5.77.0/24"), l.config.store))
	l.publish()
	got = l.board.get()
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"kubernetes: podlane-kube is not connected: it has not connected to the socket channel.sock"`,
		`"the Kubernetes API lost data: podlaned keeps 2 peers that are missing from it"`,
		`"the network configuration in the ConfigMap podlane-network has changed: restart podlaned on every node to use it"`,
		`"the Kubernetes API has the pod subnet 10.5.77.0/24 for this node, but its pods use 10.5.34.0/24: drain the node,`,
		`"store":"kubernetes","kubernetes":{"connected":false,"seen":`,
		`{"name":"kubernetes","ok":false,"detail":"podlane-kube is not connected: it has not connected to the socket channel.sock"}`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in the status\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "etcd") || strings.Contains(out.String(), "etcd") {
		t.Errorf("etcd is named:\n%s\n%s", text, out)
	}
}

func TestMetricsWithTheKubernetesStore(t *testing.T) {
	l, _ := newKubernetesLoop(t)
	l.receive(kubernetesState(t, l, 2))
	l.publish()
	families, err := l.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	ready := false
	for _, f := range families {
		if strings.Contains(f.GetName(), "etcd") {
			t.Errorf("%s is exported", f.GetName())
		}
		for _, m := range f.GetMetric() {
			for _, label := range m.GetLabel() {
				ready = ready || f.GetName() == "podlane_ready" && label.GetValue() == "kubernetes"
			}
		}
	}
	if !ready {
		t.Error("podlane_ready has no check kubernetes")
	}
}

// A reboot without the API server: the saved lease is used, with its MAC, and never expires.
func TestKubernetesNodeStartsFromItsSavedState(t *testing.T) {
	l, _ := newKubernetesLoop(t)
	s := kubernetesState(t, l, 2)
	s.Own.IPv4.MAC = subnet.MAC{2, 0, 0, 0, 0, 9}
	s.Set.Records[0].Lease = s.Own
	l.receive(s)
	l.saveState(true)
	saved, err := loadState(l.config.stateDir, l.config.storeIdentity())
	if err != nil || saved.Prefix != "kubernetes" {
		t.Fatalf("saved state of %q, %v", saved.Prefix, err)
	}
	if left, never := saved.Until.left(time.Now()); !never {
		t.Errorf("the saved lease expires in %v", left)
	}
	runDir := t.TempDir()
	c := config{store: storeKubernetes, runDir: runDir, nodeName: "n1"}
	states := make(chan store.State, 100)
	runStore(t, c, storeNode{self: l.underlay.self, saved: saved.store(time.Now())}, states)
	got, fault := saved.fallback(<-states, c.store, true, time.Now())
	if got.Err != nil {
		t.Errorf("podlane-kube may still be starting, and the error is %v", got.Err)
	}
	if fault != nil || got.Own != s.Own || !got.Expiry.IsZero() || len(got.Set.Records) != 2 || got.Network != parseNetwork(t, `{"Network":"10.5.0.0/16"}`).Whole() {
		t.Errorf("without the API server: own lease %+v, %d leases, %v", got.Own, len(got.Set.Records), fault)
	}
	feeder := channel.NewClient(runDir, channel.Hello{Program: "podlane-kube v1", Node: "n1"})
	runFeeder(t, feeder)
	feeder.SendSource(channel.Source{})
	feeder.SendLeases(channel.Leases{
		Revision: 10, Config: []byte(`{"Network":"10.5.0.0/16"}`), Own: channel.Own{Exists: true, PodCIDRs: []string{"10.5.34.0/24"}},
	})
	for st := range states {
		if st.Own == (subnet.Lease{}) {
			continue
		}
		if st.Own != s.Own {
			t.Errorf("the own lease is %+v, want %+v", st.Own, s.Own)
		}
		break
	}
}

// runStore runs the store of a configuration until the test ends.
func runStore(t *testing.T, c config, n storeNode, states chan<- store.State) {
	t.Helper()
	s, err := openStore(c, &networkFile{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var run sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	run.Go(func() {
		if err := s.Run(ctx, n, func(st store.State) { states <- st }); err != nil {
			t.Errorf("the store ended: %v", err)
		}
		close(states)
	})
	t.Cleanup(func() { cancel(); run.Wait(); s.Close() })
}

// runFeeder connects a feeder until the test ends.
func runFeeder(t *testing.T, c *channel.Client) {
	t.Helper()
	var run sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	run.Go(func() { _ = c.Run(ctx, func(channel.Remote) {}) })
	t.Cleanup(func() { cancel(); run.Wait() })
}

// A configuration is checked before a reload while the running store uses the socket.
func TestOpenStoreLeavesTheSocketAlone(t *testing.T) {
	c := config{store: storeKubernetes, runDir: t.TempDir(), nodeName: "n1"}
	states := make(chan store.State, 100)
	runStore(t, c, storeNode{self: subnet.Self{Node: subnet.Node{Name: "n1"}, PublicIP: netip.MustParseAddr("198.18.1.1")}}, states)
	<-states
	other, err := openStore(c, &networkFile{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	other.Close()
	feeder := channel.NewClient(c.runDir, channel.Hello{Program: "podlane-kube v1", Node: "n1"})
	runFeeder(t, feeder)
	for st := range states {
		if st.Feeder == "podlane-kube v1" {
			break
		}
	}
}
