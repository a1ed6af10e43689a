package kubernetes

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

const (
	ipv4Config = `{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}`
	dualConfig = `{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","Backend":{"Type":"vxlan"}}`
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// after returns a time some seconds after the start.
func after(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

// self returns the identity of node number i. Its Node is called n1, n2, …
func self(i int) subnet.Self {
	return subnet.Self{
		Node:       subnet.Node{ID: fmt.Sprintf("id-%d", i), Name: fmt.Sprintf("n%d", i), Version: "v1"},
		PublicIP:   netip.AddrFrom4([4]byte{192, 168, 0, byte(i)}),
		PublicIPv6: netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i)),
	}
}

func network(t testing.TB, config string) subnet.Network {
	t.Helper()
	n, _, err := subnet.ParseNetwork([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func pair(t testing.TB, key string) subnet.Pair {
	t.Helper()
	p, err := subnet.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// announced returns the lease that node number i announces for a key.
func announced(t testing.TB, i int, key string) subnet.Lease {
	t.Helper()
	return self(i).Lease(network(t, dualConfig), pair(t, key), subnet.Lease{})
}

// flannels returns a lease as flannel announces it: without a node.
func flannels(t testing.TB, i int, key string) subnet.Lease {
	t.Helper()
	l := announced(t, i, key)
	l.Node = subnet.Node{}
	l.IPv4.MAC = subnet.MAC{2, 0, 0, 0, 0, byte(i)}
	return l
}

// wire returns leases as podlane-kube sends them. Each Node is older than the next.
func wire(leases ...subnet.Lease) (saved []store.SavedLease) {
	for i, l := range leases {
		saved = append(saved, store.SavedLease{Key: l.Pair().Key(), Value: l.Value(), Created: int64(1000 + i)})
	}
	return saved
}

// message returns a lease set of a cluster with the IPv4 configuration, in which the own Node has some podCIDRs.
func message(revision int64, podCIDRs []string, leases ...subnet.Lease) *channel.Leases {
	return &channel.Leases{
		Revision: revision, Config: []byte(ipv4Config), Own: channel.Own{Exists: true, PodCIDRs: podCIDRs}, Leases: wire(leases...),
	}
}

// feed returns the feed of a connection on which a set has arrived.
func feed(l *channel.Leases, at time.Time) channel.Feed {
	return channel.Feed{Connected: true, Connection: 1, Program: "podlane-kube v1", Leases: l, Source: &channel.Source{}, At: at}
}

// world is the machine of node 2, with what podlane-kube sends it.
type world struct {
	*machine
	t   *testing.T
	now time.Time
}

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	o := Options{Self: self(2)}
	for _, c := range change {
		c(&o)
	}
	return &world{newMachine(o, start), t, start}
}

// send delivers a lease set a second after the previous one.
func (w *world) send(l *channel.Leases) store.State {
	w.t.Helper()
	w.now = w.now.Add(time.Second)
	w.receive(feed(l, w.now), w.now)
	return w.state(w.now)
}

// echo delivers a lease set to which podlane-kube has added the announcement of node 2.
func (w *world) echo(l *channel.Leases) store.State {
	w.t.Helper()
	a, found := w.announcement()
	if !found {
		w.t.Fatal("node 2 announces nothing")
	}
	a.Lease.Created = 2000
	with := *l
	with.Revision++
	with.Leases = append(append([]store.SavedLease{}, l.Leases...), a.Lease)
	return w.send(&with)
}

// announcement returns what podlane-kube is to write to the Node. found: there is something.
func (w *world) announcement() (a channel.Announcement, found bool) {
	l := w.own.announced
	return channel.Announcement{Lease: store.SavedLease{Key: l.Pair().Key(), Value: l.Value()}}, l != subnet.Lease{}
}

// keys returns the pod subnets of a set.
func keys(s subnet.Set) (keys []string) {
	for _, r := range s.Records {
		keys = append(keys, r.Pair().Key())
	}
	return keys
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// savedState returns what a node of the IPv4 network saves if it has a lease and knows others.
func savedState(revision int64, own subnet.Lease, others ...subnet.Lease) *store.Saved {
	return &store.Saved{Config: []byte(ipv4Config), Revision: revision, Own: own.Pair().Key(), Leases: wire(append(others, own)...)}
}
