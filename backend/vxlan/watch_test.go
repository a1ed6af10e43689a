package vxlan

import (
	"context"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
)

// watched is a node with a running Watch.
type watched struct {
	*node
	kicks atomic.Int64
	end   func() error
}

func watch(t *testing.T, d *node) *watched {
	t.Helper()
	w := &watched{node: d}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- d.Do(func() error { return d.backend.Watch(ctx, func() { w.kicks.Add(1) }) })
	}()
	w.end = func() error { cancel(); return <-done }
	t.Cleanup(func() {
		if err := w.end(); err != nil {
			t.Error(err)
		}
	})
	w.wait(1, "that it is ready")
	w.quiet()
	return w
}

// wait waits for the n-th kick.
func (w *watched) wait(n int64, what string) {
	w.Helper()
	for deadline := time.Now().Add(5 * time.Second); w.kicks.Load() < n; runtime.Gosched() {
		if time.Now().After(deadline) {
			w.Fatalf("no kick: %s", what)
		}
	}
}

// quiet waits until no more kicks arrive, and returns their number.
func (w *watched) quiet() int64 {
	w.Helper()
	deadline := time.After(10 * time.Second)
	for {
		n := w.kicks.Load()
		select {
		case <-time.After(4 * coalesce):
			if w.kicks.Load() == n {
				return n
			}
		case <-deadline:
			w.Fatal("kicks without end")
		}
	}
}

func TestChangesKick(t *testing.T) {
	d := newNode(t, network(t, configBoth, `"DirectRouting":true`))
	far := lease(3)
	far.IPv4.PublicIP = netip.MustParseAddr("198.51.100.3")
	peers := []subnet.Lease{lease(2), far}
	d.apply(peers)
	w := watch(t, d)
	for command := range strings.Lines(`ip route del 10.5.3.0/24
		ip route del 10.5.2.0/24
		ip -6 route del fd00:5:2::/64
		ip neigh del 10.5.3.0 dev podlane.1
		ip neigh add 10.5.9.0 lladdr 02:00:00:00:00:99 dev podlane.1 nud permanent
		bridge fdb append 00:00:00:00:00:00 dst 198.18.0.9 dev podlane.1 self permanent
		ip addr del 10.5.1.0/32 dev podlane.1
		ip addr add fd00:9::1/64 dev podlane-v6.1 nodad
		ip link set podlane.1 mtu 1300
		ip link set podlane.1 address 02:00:00:00:00:99
		ip link set podlane.1 down
		ip route replace 10.5.2.0/24 via 198.18.0.9 dev u0 metric 65538
		ip addr add 192.0.2.1/24 dev u0
		ip link del podlane.1`) {
		before := w.kicks.Load()
		d.run(command)
		w.wait(before+1, command)
		d.apply(peers)
		w.quiet()
	}
	d.wantInSync(peers)
}

// A foreign change kicks if it may concern the next underlay or the pods' bridge, or divert traffic from a peer.
func TestRelatedForeignChangesKick(t *testing.T) {
	d := newNode(t, network(t, configBoth, ""))
	d.run("ip link add u8 type veth peer name u9")
	d.run("ip link set u8 up")
	d.run("ip link set u9 up")
	d.run("ip link add cni0 type bridge")
	d.run("ip link add br9 type bridge")
	d.run("ip addr add 203.0.113.9/24 dev br9")
	d.apply(leases(3))
	w := watch(t, d)
	for command := range strings.Lines(`ip addr del 198.18.0.1/24 dev u0
		ip addr add 198.18.0.1/24 dev u9
		ip addr del 198.18.0.1/24 dev u9
		ip addr add 198.18.0.1/24 dev u0
		ip -6 addr flush dev u0 scope global
		ip addr add 2001:db8::1/64 dev u9 nodad
		ip link set u0 down
		ip link set u0 up
		ip link set u0 mtu 1400
		ip link set u0 name u7
		ip link set u9 down
		ip link set u9 name u0
		ip addr add 192.0.2.9/24 dev u0
		ip link set u0 up
		ip link del u0
		ip link set br9 up
		ip addr add 10.5.1.1/24 dev cni0
		ip addr add fd00:5:1::1/64 dev cni0 nodad
		ip addr del 10.5.1.1/24 dev cni0
		ip route add default via 198.18.0.9 dev u7 metric 9
		ip route del default
		ip route add 10.5.2.128/25 via 198.18.0.9 dev u7
		ip route del 10.5.2.128/25
		ip -6 route add unreachable fd00:5:2::/65
		ip rule add from all to 10.5.0.0/16 lookup 9
		ip rule del from all to 10.5.0.0/16 lookup 9
		ip -6 rule add from all to fd00:5::/32 unreachable
		sysctl -w net.ipv4.conf.cni0.forwarding=1
		sysctl -w net.ipv4.conf.cni0.forwarding=0
		sysctl -w net.ipv4.conf.u7.forwarding=1
		sysctl -w net.ipv4.conf.u7.rp_filter=1
		sysctl -w net.ipv6.conf.cni0.forwarding=1
		sysctl -w net.ipv4.conf.default.forwarding=1
		ip link set br9 down
		ip link del cni0`) {
		before := w.kicks.Load()
		d.run(command)
		w.wait(before+1, command)
		w.quiet()
	}
}

func TestUnrelatedChangesDoNotKick(t *testing.T) {
	d := newNode(t, network(t, configBoth, ""))
	d.apply(leases(3))
	d.run("ip link add cni0 type bridge")
	d.run("ip link set cni0 up")
	d.run("ip addr add 10.5.1.1/24 dev cni0")
	w := watch(t, d)
	before := w.kicks.Load()
	for command := range strings.Lines(`ip link add v0 type veth peer name v1
		ip link set v0 up
		ip link set v1 master cni0
		ip addr add fe80::7/64 dev v0
		ip route add 10.5.1.7 dev cni0
		ip neigh add 10.5.1.7 lladdr 02:00:00:00:00:07 dev cni0
		ip neigh add 198.18.0.7 lladdr 02:00:00:00:00:07 dev u0
		bridge fdb add 02:00:00:00:00:07 dev v1 master
		ip route add 10.9.0.0/24 via 198.18.0.9 dev u0
		ip -6 route add fd00:9::/64 via 2001:db8::9 dev u0
		ip link del v0`) {
		d.run(command)
		if got := w.quiet(); got != before {
			t.Errorf("%d kicks: %s", got-before, command)
			before = got
		}
	}
}

// Thousands of changes cause a few kicks, for any size of the socket's buffer.
func TestBurstCausesFewKicks(t *testing.T) {
	ls := many(2001)
	d := newNode(t, network(t, configLarge, ""))
	d.self = ls[0]
	w := watch(t, d)
	before, start := w.kicks.Load(), time.Now()
	d.apply(ls[1:])
	got := w.quiet() - before
	if most := 2 + int64(time.Since(start)/coalesce); got < 1 || got > most {
		t.Errorf("%d kicks, want 1 to %d", got, most)
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	d := newNode(t, network(t, configIPv4, ""))
	before := runtime.NumGoroutine()
	for range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		err := d.Do(func() error { return d.backend.Watch(ctx, cancel) })
		if err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, before %d", runtime.NumGoroutine(), before)
		}
	}
}
