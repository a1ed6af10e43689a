package input

import (
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

func TestTwoNodesWithOnePublicAddress(t *testing.T) {
	l := buildConfigured(t, 3, 1)
	n1, n2 := l.Nodes[0], l.Nodes[1]
	before := leaseOf(t, l, n1)
	run(t, n2, nil, "--public-ip=198.18.1.1").expectError(t, exitError,
		"public address 198.18.1.1 is held by live node n1 (id lab-n1): this node, n2 (id lab-n2), cannot use it too; give it another with --public-ip or --iface")
	for _, also := range [][]string{{"--node-id=lab-n1"}, {"--node-name=n1"}} { // as Vagrant boxes with 10.0.2.15 that are also clones
		run(t, n2, nil, append(also, "--public-ip=198.18.1.1")...).expectError(t, exitError, "public address 198.18.1.1 is held by live node n1 (id lab-n1)")
	}
	expectUntouched(t, l, n2, "")
	keys, err := l.Etcd.List(t.Context(), lab.DefaultPrefix)
	if err != nil || len(keys) != 2 {
		t.Errorf("keys in etcd: %q, error %v; want the configuration and n1's lease", keys, err)
	}
	if got := keys[leases+before.key]; got != before.value {
		t.Errorf("n1's lease: %q, want %q as before", got, before.value)
	}
	for _, n := range l.Nodes[1:] { // accepted with an address of its own
		if err := n.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s := await(t, n1, "two peers", func(s status) bool { return len(s.Peers) == 2 })
	if !s.Ready {
		t.Errorf("n1 is not ready: %q", s.Problems)
	}
	if s.SkipCount != 0 {
		t.Errorf("n1 skips leases %v, want none", s.Skipped)
	}
	pingPods(t, l)
}

// Machines are clones. The second one gets a fresh pod subnet. Its warning names both.
func TestTwoNodesWithOneIdentity(t *testing.T) {
	for _, c := range []struct {
		name string
		env  []string
		want string
	}{
		{"id", []string{"PODLANE_NODE_ID=lab-n1"}, "of node n1 (id lab-n1) has the node id of this node, n2 (id lab-n1), and is alive at 198.18.1.1: it is left alone"},
		{"name", []string{"PODLANE_NODE_NAME=n1"}, "of node n1 (id lab-n1) has the node name of this node, n1 (id lab-n2), and is alive at 198.18.1.1: it is left alone"},
		{"id and name", []string{"PODLANE_NODE_ID=lab-n1", "PODLANE_NODE_NAME=n1"}, "of node n1 (id lab-n1) has the node id and node name of this node, n1 (id lab-n1), and is alive at 198.18.1.1: it is left alone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := cluster.Build(t, lab.Options{Nodes: 2, NodeEnv: func(i int) []string {
				if i == 2 {
					return c.env
				}
				return nil
			}})
			if err := l.SetConfig(t.Context(), lab.DefaultConfig); err != nil {
				t.Fatal(err)
			}
			for _, n := range l.Nodes {
				if err := n.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			a, b := leaseOf(t, l, l.Nodes[0]), leaseOf(t, l, l.Nodes[1])
			if a.subnet.Overlaps(b.subnet) {
				t.Errorf("both nodes have pod subnet %v", a.subnet)
			}
			if !containsParts(l.Nodes[1].LogText(), "lease "+a.subnet.String()+" "+c.want) {
				t.Errorf("n2's log has no warning:\n%s", l.Nodes[1].LogText())
			}
			pingPods(t, l)
		})
	}
}
