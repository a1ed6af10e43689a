package lab

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

func TestNodeReboots(t *testing.T) {
	l := real(t, 2)
	n, ctx := l.Nodes[0], within(t)
	check(t, l.AddPods(ctx, 1))
	old, other := l.Pods()[0], l.Pods()[1]
	before, err := n.Subnet()
	check(t, err)
	answers(t, other.Place, n.Addr.String(), old.Addrs[0].String())

	check(t, n.Reboot(ctx))
	if n.Running() {
		t.Error("podlaned runs in a node that has just booted")
	}
	if _, err := os.Stat(n.NodeFile()); !os.IsNotExist(err) {
		t.Errorf("the node file: %v; want it gone", err)
	}
	if got := devices(t, n.Place); !slices.Equal(got, []string{"eth0", "lo"}) {
		t.Errorf("devices %v, want those of a new node", got)
	}
	if rules, err := n.Run(ctx, "nft", "list", "ruleset"); err != nil || rules != "" {
		t.Errorf("packet filters: %v\n%s", err, rules)
	}
	if got := l.Pods(); len(got) != 1 || got[0] != other {
		t.Errorf("pods %v, want p2 alone", got)
	}
	for _, stays := range []string{n.LogFile(), filepath.Join(n.StateDir(), "state.json"), reserved(old)} {
		if _, err := os.Stat(stays); err != nil {
			t.Error(err)
		}
	}
	answers(t, l.Nodes[1].Place, n.Addr.String()) // it remembers the MAC address
	answers(t, n.Place, plans[0].world().Addr().String())

	check(t, n.Start(ctx))
	if after, err := n.Subnet(); err != nil || after != before {
		t.Errorf("subnet %v, %v; want %v", after, err, before)
	}
	p, err := l.AddPod(ctx, n, old.Name)
	check(t, err)
	check(t, old.Detach(ctx))
	if _, err := os.Stat(reserved(old)); !os.IsNotExist(err) {
		t.Errorf("the old pod's address: %v; want it free", err)
	}
	answers(t, other.Place, p.Addrs[0].String())
	check(t, p.Delete(ctx))
}

// The fourth node is off the underlay meanwhile and does not delay the others.
func TestNodesRebootAtOnce(t *testing.T) {
	l := build(t, Options{Nodes: 4, IPv6: true})
	ctx := within(t)
	check(t, l.Nodes[3].Unplug())
	var g errgroup.Group
	for _, n := range l.Nodes[:3] {
		g.Go(func() error { return n.Reboot(ctx) })
	}
	check(t, g.Wait())
	answers(t, l.Nodes[0].Place, l.Nodes[1].Addr.String(), l.Nodes[2].Addr6.String())
	check(t, l.Nodes[0].Reboot(ctx))
	answers(t, l.Nodes[2].Place, l.Nodes[0].Addr.String(), l.Nodes[0].Addr6.String())
}

// reserved returns host-local's file for a pod's address.
func reserved(p *Pod) string { return filepath.Join(p.Node.IPAMDir(), "podlane", p.Addrs[0].String()) }

func devices(t *testing.T, p *Place) (names []string) {
	t.Helper()
	out, err := p.Run(within(t), "ip", "-o", "link")
	check(t, err)
	for line := range strings.Lines(out) {
		name, _, _ := strings.Cut(strings.Fields(line)[1], "@")
		names = append(names, strings.TrimSuffix(name, ":"))
	}
	slices.Sort(names)
	return names
}

// answers checks that one packet to each address is answered.
func answers(t *testing.T, p *Place, addrs ...string) {
	t.Helper()
	for _, a := range addrs {
		if _, err := p.Run(within(t), "ping", "-c1", "-W2", a); err != nil {
			t.Error(err)
		}
	}
}
