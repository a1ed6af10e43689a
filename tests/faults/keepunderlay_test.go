package faults

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/podlane/podlane/tests/cluster"
)

// The default route chose the underlay. podlaned keeps it if that route changes or is deleted. The peers send to the
// addresses that they know.
var keepUnderlayFaults = []fault{
	{"a second interface gets the default routes", func(t *testing.T, b *bed) {
		b.expectUnderlayKept(t, "the default route leads to eth1: the underlay stays eth0 (198.18.1.1, fd98:18::101), whose address the other nodes know; "+
			"to move it, start podlaned with --iface=eth1: a restart alone does not move it",
			otherDefault4, otherDefault6)
	}},
	{"a second interface gets the default route of IPv4", func(t *testing.T, b *bed) {
		b.expectUnderlayKept(t, "the default route leads to eth1: the underlay stays eth0 ", otherDefault4)
	}},
	{"the default routes are gone and the addresses are deprecated", func(t *testing.T, b *bed) {
		b.expectUnderlayKept(t, "no default route leads to a usable interface: the underlay stays eth0 ", "ip route del default", "ip -6 route del default",
			"ip address change HOST4/16 dev eth0 preferred_lft 0", "ip address change HOST6/64 dev eth0 preferred_lft 0")
	}},
	{"the cable is pulled while the default routes lead elsewhere", expectUnderlayKeptUnplugged},
}

// expectUnderlayKept changes the routes of the first node, which has a second interface. The node must keep its
// underlay and be ready with a note: while it runs, after a reload, and after a restart.
func (b *bed) expectUnderlayKept(t *testing.T, note string, commands ...string) {
	t.Helper()
	n, words := b.Nodes[0], b.wordsOf(t)
	kernel := b.addSecondInterface(t, words)
	traffic := b.flood(t)
	expectNote := func(when string) {
		took := cluster.AwaitStatus(t, n, soon, "ready with a note "+when, func(s cluster.Status) bool {
			return s.Ready && len(s.Problems) == 0 && slices.ContainsFunc(s.Notes, func(text string) bool { return strings.HasPrefix(text, note) })
		})
		t.Logf("%s: ready with the note after %v", when, took)
	}
	b.do(t, words, commands...)
	expectNote("at once")
	for _, again := range []struct {
		name string
		do   func()
	}{
		{"after a reload", func() { cluster.Check(t, n.Signal(syscall.SIGHUP)) }},
		{"after a restart", func() { cluster.Check(t, n.Restart(cluster.Within(t))) }},
		{"after a crash", func() { cluster.Kill(t, n); cluster.Check(t, n.Start(cluster.Within(t))) }},
		{"after its saved state was lost", func() {
			cluster.Kill(t, n)
			cluster.Check(t, os.Remove(filepath.Join(n.StateDir(), "state.json")))
			cluster.Check(t, n.Start(cluster.Within(t)))
		}},
	} {
		starts := strings.Count(n.LogText(), "starts as node")
		again.do()
		cluster.Until(t, soon, "podlaned started "+again.name, func() (bool, string) {
			return strings.Count(n.LogText(), "starts as node") > starts, n.LogText()
		})
		expectNote(again.name)
	}
	cluster.ExpectKernel(t, n, kernel)
	traffic.ExpectNothingLost(t)
	cluster.Kill(t, n) // the kernel has no overlay, as after a boot
	b.do(t, words, "ip link del podlane.1", "ip link del podlane-v6.1")
	cluster.Check(t, n.Start(cluster.Within(t)))
	expectNote("with its saved state alone")
	b.removeSecondInterface(t, words)
}

// expectUnderlayKeptUnplugged unplugs the cable of the first node while its default routes lead to a second interface.
// The underlay must not move there. Otherwise the peers would stay unreachable once the cable is plugged in again.
func expectUnderlayKeptUnplugged(t *testing.T, b *bed) {
	n, words := b.Nodes[0], b.wordsOf(t)
	kernel := b.addSecondInterface(t, words)
	b.do(t, words, otherDefault4, otherDefault6)
	whole, cut := b.floodAround(t, peers)
	cluster.Check(t, n.Unplug())
	cluster.AwaitStatus(t, n, soon, "a problem names the link", func(s cluster.Status) bool {
		return slices.ContainsFunc(s.Problems, func(text string) bool {
			return strings.HasPrefix(text, "underlay link: interface eth0 has no carrier: ")
		})
	})
	cluster.Check(t, n.Plug())
	cluster.AwaitStatus(t, n, soon, "ready without a problem", func(s cluster.Status) bool { return s.Ready && len(s.Problems) == 0 })
	cluster.ExpectKernel(t, n, kernel)
	cut.ExpectGap(t, soon)
	whole.ExpectNothingLost(t)
	b.removeSecondInterface(t, words)
}

// addSecondInterface gives the first node an interface whose link leads to no peer. A route to a peer could lead there. So the
// firewall's early rules for VXLAN look up the route. It returns the node's kernel with these rules.
func (b *bed) addSecondInterface(t *testing.T, words *strings.Replacer) (kernel string) {
	t.Helper()
	cluster.RunInSandbox(t, "ip link add n1b type veth peer name eth1 netns n1")
	cluster.RunInSandbox(t, "ip link set n1b up")
	b.do(t, words, "ip link set eth1 up", "ip address add 203.0.113.76/24 dev eth1", "ip address add fd99::76/64 dev eth1 nodad")
	kernel = strings.NewReplacer(
		"ip saddr @peers4 notrack accept", "fib saddr . iif oif exists notrack accept",
		"ip6 saddr @peers6 notrack accept", "fib saddr oif exists notrack accept",
	).Replace(b.Kernels[0])
	cluster.Until(t, soon, "the firewall looks up the routes to peers", func() (bool, string) {
		now, err := cluster.ReadKernel(cluster.Within(t), b.Nodes[0])
		return err == nil && now == kernel, cluster.Differences(kernel, now)
	})
	return kernel
}

const (
	otherDefault4 = "ip route replace default via 203.0.113.77 dev eth1"
	otherDefault6 = "ip -6 route replace default via fd99::77 dev eth1"
)

func (b *bed) removeSecondInterface(t *testing.T, words *strings.Replacer) {
	t.Helper()
	cluster.RunInSandbox(t, "ip link del n1b")
	b.do(t, words, "ip address change HOST4/16 dev eth0 preferred_lft forever", "ip address change HOST6/64 dev eth0 preferred_lft forever", default4, default6)
	n := b.Nodes[0]
	cluster.AwaitStatus(t, n, soon, "no note is left", func(s cluster.Status) bool { return s.Ready && len(s.Notes) == 0 })
}
