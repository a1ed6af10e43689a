package intruders

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podlane/podlane/tests/cluster"
)

// forgery is a stream of forged VXLAN from the machine that is no peer to the first pod of n1. It has one packet a
// millisecond in each family.
type forgery struct {
	receivers [2]*receiver
	sent      atomic.Uint64
}

func (b *bed) startForgery(t *testing.T) *forgery {
	t.Helper()
	n, stream := b.nodes[0], &forgery{}
	var each []func()
	for _, f := range families {
		receiver := listen(t, b.pods[0][0].Place, b.pods[0][0].Addrs[f])
		payload := tunnelled(vtep(t, n, f), netip.AddrPortFrom(b.pods[1][0].Addrs[f], 4567), receiver.addr, numberedPayload(1))
		send := openSender(t, b.nonPeer.Place, addrs(b.nonPeer)[f], netip.AddrPortFrom(addrs(n)[f], tunnelPort))
		stream.receivers[f] = receiver
		each = append(each, func() {
			if err := send(payload); err == nil {
				stream.sent.Add(1)
			}
		})
	}
	everyMillisecond(t, func() {
		for _, send := range each {
			send()
		}
	})
	return stream
}

// everyMillisecond calls f until the test ends.
func everyMillisecond(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				f()
			}
		}
	})
	t.Cleanup(func() {
		close(done)
		running.Wait()
	})
}

// awaitSent waits until this number of further packets is sent. It is the test's clock.
func (f *forgery) awaitSent(t *testing.T, packets uint64) {
	t.Helper()
	from := f.sent.Load()
	cluster.Until(t, soon, "forged packets are sent", func() (bool, string) {
		now := f.sent.Load() - from
		return now >= packets, fmt.Sprintf("%d of %d", now, packets)
	})
}

// received returns how many packets have arrived, and when the last one did.
func (f *forgery) received() (count int, last time.Time) {
	for _, r := range f.receivers {
		for _, a := range r.arrivals() {
			count++
			if a.when.After(last) {
				last = a.when
			}
		}
	}
	return count, last
}

// Forged packets arrive all the time while podlaned is stopped, killed, cleaned up and started. None is accepted. If
// another program deletes the table, they are accepted for less than a second.
func TestForgeryWhileTheFirewallIsReloaded(t *testing.T) {
	b := makeBed(t)
	n := b.nodes[0]
	f := b.startForgery(t)
	f.awaitSent(t, 500)
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"stop and start", func() { cluster.Check(t, n.Restart(cluster.Within(t))) }},
		{"kill and start", func() { cluster.Kill(t, n); cluster.Check(t, n.Start(cluster.Within(t))) }},
		{"clean up and start", func() {
			cluster.Stop(t, n)
			cluster.Run(t, n.Place, "podlaned cleanup")
			cluster.Check(t, n.Start(cluster.Within(t)))
			cluster.AwaitPeers(t, b.Lab, soon, 1)
		}},
		{"the peer stops and starts", func() { cluster.Check(t, b.nodes[1].Restart(cluster.Within(t))) }},
	} {
		c.do()
		f.awaitSent(t, 500)
		if count, _ := f.received(); count != 0 {
			t.Fatalf("%s: %d of %d packets were accepted, want none", c.name, count, f.sent.Load())
		}
	}
	for _, command := range []string{"nft flush ruleset", "nft delete table inet podlane", "nft flush set inet podlane peers4", "nft flush chain inet podlane vxlan_to_node"} {
		before, _ := f.received()
		began := time.Now()
		cluster.Run(t, n.Place, command)
		took := cluster.AwaitStatus(t, n, soon, "the table is restored", func(s cluster.Status) bool { return s.Ready && s.Verified.After(began) })
		f.awaitSent(t, 3000)
		after, last := f.received()
		if after == before {
			t.Logf("%s: nothing was accepted; verified within %v", command, took)
			continue
		}
		t.Logf("%s: %d packets were accepted, the last after %v", command, after-before, last.Sub(began).Round(time.Millisecond))
		if open := last.Sub(began); open > time.Second {
			t.Errorf("%s: packets were accepted for %v, want at most 1s", command, open)
		}
	}
	t.Logf("%d forged packets were sent", f.sent.Load())
}

// The set of peers is equal to the leases. A node that leaves is rejected. It is accepted again once it is back.
func TestPeerThatLeavesIsRejected(t *testing.T) {
	b := makeBed(t)
	n, leaves := b.nodes[0], b.nodes[1]
	key := cluster.LeaseKey(cluster.SubnetText(t, leaves))
	forged := b.peerVXLAN(t)
	for _, i := range forged {
		t.Run("before "+i.name, i.expectArrival)
	}
	cluster.Kill(t, leaves)
	cluster.Check(t, b.Etcd.Delete(cluster.Within(t), key))
	took := cluster.AwaitStatus(t, n, 2*time.Second, "the peer has left", func(s cluster.Status) bool { return len(s.Peers) == 0 })
	t.Log("the peer is removed within ", took)
	for _, i := range forged {
		t.Run("gone "+i.name, i.expectDropped)
	}
	cluster.Check(t, leaves.Start(cluster.Within(t)))
	cluster.AwaitPeers(t, b.Lab, soon, 1)
	for _, i := range forged {
		t.Run("back "+i.name, i.expectArrival)
	}
}

// peerVXLAN returns VXLAN from n2 to a pod of n1. The source inside is no pod's address, so only the VXLAN rules
// decide.
func (b *bed) peerVXLAN(t *testing.T) (all []intrusion) {
	t.Helper()
	n := b.nodes[0]
	for _, f := range families {
		receiver := listen(t, b.pods[0][0].Place, b.pods[0][0].Addrs[f])
		from := netip.AddrPortFrom([...]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}[f], 4567)
		all = append(all, intrusion{
			name: f.String(), from: b.nodes[1].Place, source: addrs(b.nodes[1])[f], to: netip.AddrPortFrom(addrs(n)[f], tunnelPort),
			payload: tunnelled(vtep(t, n, f), from, receiver.addr, numberedPayload(1)), receiver: receiver, node: n, reason: "vxlan_not_from_a_peer",
		})
	}
	return all
}
