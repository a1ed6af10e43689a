package faults

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// A node starts with the identity of another node. The older node goes on working.
var identityFaults = []fault{
	{"a node starts with the address of another", func(t *testing.T, b *bed) {
		holder, n := b.Nodes[0], b.Nodes[2]
		b.expectNoImpact(t, func() {
			cluster.Stop(t, n)
			cluster.Check(t, n.Launch(cluster.Within(t), "--public-ip="+holder.Addr.String()))
			want := refusal(holder, n, holder.Addr.String())
			took := cluster.AwaitStatus(t, n, soon, "the problem names both nodes", func(s cluster.Status) bool {
				return !s.Ready && strings.Contains(strings.Join(s.Problems, " "), want)
			})
			t.Logf("the conflict is named %s after the start", took)
			if ok, words := cluster.ReadyCheck(t, n, "conflict"); ok || !strings.Contains(words, want) {
				t.Errorf("readiness check conflict: %v %q, want a failure with %q", ok, words, want)
			}
			cluster.Stop(t, n)
			b.start(t, b.Nodes[2:])
		})
	}},
}

func TestIdentity(t *testing.T) { runFaults(t, identityFaults) }

// refusal returns the error of a node that has the address of a live node.
func refusal(holder, n *lab.Node, address string) string {
	return fmt.Sprintf("public address %s is held by live node %s (id lab-%s): this node, %s (id lab-%s), cannot use it too; give it another with --public-ip or --iface",
		address, holder.Name, holder.Name, n.Name, n.Name)
}

// vagrantAddress is the address that VirtualBox gives the first interface of every guest. Each guest is behind a NAT of
// its own, and the default route leads there.
const vagrantAddress = "10.0.2.15"

var vagrantInterface = []string{
	"ip link add nat0 type veth peer name nat1",
	"ip link set nat1 up",
	"ip link set nat0 up",
	"ip address add " + vagrantAddress + "/24 dev nat0",
	"ip route replace default via 10.0.2.2 dev nat0",
}

// buildVagrant makes guests of VirtualBox. eth0 is their other interface. It does not start podlaned.
func buildVagrant(t *testing.T, nodes int) *lab.Lab {
	t.Helper()
	l := cluster.Build(t, lab.Options{Nodes: nodes})
	for _, n := range l.Nodes {
		for _, command := range vagrantInterface {
			cluster.Run(t, n.Place, command)
		}
	}
	cluster.Check(t, l.SetConfig(cluster.Within(t), lab.DefaultConfig))
	return l
}

// expectRefused waits until podlaned has exited because a live node has its address.
func expectRefused(t *testing.T, n, holder *lab.Node) {
	t.Helper()
	cluster.ExpectExit(t, n, 1, refusal(holder, n, vagrantAddress))
}

// The first guest works, and goes on while the others are refused. Then all are started with the other interface. The
// first keeps its pod subnet and its pods.
func TestVagrantBoxes(t *testing.T) {
	l := buildVagrant(t, 3)
	first, others := l.Nodes[0], l.Nodes[1:]
	cluster.Check(t, first.Start(cluster.Within(t)))
	var pods [2]*lab.Pod
	for i := range pods {
		var err error
		pods[i], err = l.AddPod(cluster.Within(t), first, fmt.Sprint("p", i))
		cluster.Check(t, err)
	}
	cluster.AwaitBridges(t, first)
	own, traffic, kernel := cluster.SubnetText(t, first), cluster.StartFlood(t, pods), cluster.WatchKernel(t, first.Place)
	for range 2 { // systemd starts them again
		for _, n := range others {
			cluster.Check(t, n.Launch(cluster.Within(t)))
		}
		for _, n := range others {
			expectRefused(t, n, first)
		}
	}
	s, err := cluster.StatusOf(cluster.Within(t), first)
	cluster.Check(t, err)
	if !s.Ready {
		t.Errorf("the first node is not ready: %q", s.Problems)
	}
	if len(s.Peers)+len(s.Skipped) != 0 {
		t.Errorf("the first node has peers %v and skipped leases %v, want none", s.Peers, s.Skipped)
	}
	kernel.ExpectNothing(t)
	_, err = first.Stop(cluster.Within(t))
	cluster.Check(t, err)
	for _, n := range l.Nodes {
		cluster.Check(t, n.Start(cluster.Within(t), "--iface=eth0"))
	}
	cluster.AwaitPeers(t, l, soon, 2)
	traffic.ExpectNothingLost(t)
	if now := cluster.SubnetText(t, first); now != own {
		t.Errorf("pod subnet of the first node: %s, want %s as before", now, own)
	}
	for _, n := range others {
		_, err := pods[0].Ping(cluster.Within(t), cluster.OverlayAddr(t, n, pods[0].Addrs[0]), 1)
		cluster.Check(t, err)
	}
}

// Guests boot at the same moment. One of them is accepted, all others are refused. Only by chance do two write at once,
// so the test repeats it.
func TestVagrantBoxesStartAtTheSameMoment(t *testing.T) {
	for range 5 {
		t.Run("", func(t *testing.T) {
			l := buildVagrant(t, 6)
			for _, n := range l.Nodes {
				cluster.Check(t, n.Launch(cluster.Within(t)))
			}
			var left []*lab.Node
			cluster.Until(t, soon, "one podlaned is left", func() (bool, string) {
				left = slices.DeleteFunc(slices.Clone(l.Nodes), func(n *lab.Node) bool { return !n.Running() })
				return len(left) == 1, fmt.Sprint(len(left), " run")
			})
			holder := left[0]
			cluster.Check(t, holder.Ready(cluster.Within(t)))
			for _, n := range l.Nodes {
				if n != holder { // systemd starts it again
					cluster.Check(t, n.Launch(cluster.Within(t)))
					expectRefused(t, n, holder)
				}
			}
			keys, err := l.Etcd.List(cluster.Within(t), lab.DefaultPrefix+"/subnets/")
			cluster.Check(t, err)
			if len(keys) != 1 {
				t.Errorf("leases: %v, want only that of %s", keys, holder.Name)
			}
		})
	}
}

// n3 and n4 are copies of n1's disk. Each gets its own pod subnet, and keeps it however the nodes restart.
func TestClonedMachines(t *testing.T) {
	clones := map[int][]string{3: {"PODLANE_NODE_ID=lab-n1"}, 4: {"PODLANE_NODE_ID=lab-n1", "PODLANE_NODE_NAME=n1"}}
	l := cluster.Build(t, lab.Options{Nodes: 4, NodeEnv: func(i int) []string { return clones[i] }})
	cluster.Check(t, l.SetConfig(cluster.Within(t), lab.DefaultConfig))
	for _, n := range l.Nodes[:2] {
		cluster.Check(t, n.Start(cluster.Within(t)))
	}
	b := &bed{Lab: l}
	for i, n := range []*lab.Node{l.Nodes[0], l.Nodes[0], l.Nodes[1], l.Nodes[1]} {
		_, err := l.AddPod(cluster.Within(t), n, fmt.Sprint("p", i))
		cluster.Check(t, err)
	}
	cluster.AwaitPeers(t, l, soon, 1)
	traffic := cluster.StartFlood(t, b.pairs(l.Nodes[:2]...)...)
	first := cluster.SubnetText(t, l.Nodes[0])
	b.start(t, l.Nodes[2:])
	for i, want := range map[int]string{
		2: "of node n1 (id lab-n1) has the node id of this node, n3 (id lab-n1), and is alive at 198.18.1.1: it is left alone",
		3: "of node n1 (id lab-n1) has the node id and node name of this node, n1 (id lab-n1), and is alive at 198.18.1.1: it is left alone",
	} {
		if n := l.Nodes[i]; !strings.Contains(n.LogText(), want) {
			t.Errorf("%s does not log %q:\n%s", n.Name, want, n.LogText())
		}
	}
	subnets := cluster.DistinctSubnets(t, l.Nodes)
	if subnets[0] != first {
		t.Errorf("pod subnet of n1: %s, want %s as before", subnets[0], first)
	}
	for _, again := range [][]*lab.Node{l.Nodes[3:], l.Nodes[:1], {l.Nodes[0], l.Nodes[2], l.Nodes[3]}, l.Nodes} {
		for _, n := range again {
			cluster.Kill(t, n)
		}
		b.start(t, again)
		cluster.AwaitPeers(t, l, soon, 3)
		if diff := gocmp.Diff(subnets, cluster.DistinctSubnets(t, l.Nodes)); diff != "" {
			t.Errorf("pod subnets (-before +now):\n%s", diff)
		}
	}
	traffic.ExpectNothingLost(t)
	for _, n := range l.Nodes[1:] {
		_, err := l.Pods()[0].Ping(cluster.Within(t), cluster.OverlayAddr(t, n, n.Addr), 1)
		cluster.Check(t, err)
	}
}

// A machine is gone for ever, and a new one gets its address. The new one adopts its lease after 10 s without an
// answer. The other nodes notice nothing.
func TestRecycledAddress(t *testing.T) {
	b := makeBed(t)
	n, others := b.Nodes[2], b.Nodes[:2]
	traffic := cluster.StartFlood(t, b.pairs(others...)...)
	var kernels []*cluster.Monitor
	for _, other := range others {
		kernels = append(kernels, cluster.WatchKernel(t, other.Place))
	}
	cluster.Check(t, n.Reboot(cluster.Within(t)))
	cluster.Check(t, os.RemoveAll(n.StateDir()))
	cluster.Check(t, n.Launch(cluster.Within(t), "--node-id=new", "--node-name=newcomer"))
	took := cluster.AwaitStatus(t, n, 15*second, "ready", func(s cluster.Status) bool { return s.Ready && len(s.Peers) == 2 })
	t.Logf("the new machine is ready after %v", took)
	if took.Max < 10*second {
		t.Errorf("the new machine was ready after %v, want at least 10s for an answer of the old one", took)
	}
	if want := "of node n3 (id lab-n3) has the public address of this node, newcomer (id new), and did not answer: it is taken over"; !strings.Contains(n.LogText(), want) {
		t.Errorf("the new machine does not log %q:\n%s", want, n.LogText())
	}
	if now := cluster.SubnetText(t, n); now != b.Subnets[2] {
		t.Errorf("pod subnet of the new machine: %s, want %s of the old one", now, b.Subnets[2])
	}
	pod, err := b.AddPod(cluster.Within(t), n, "new")
	cluster.Check(t, err)
	for _, a := range b.podsOf(others[0])[0].Addrs {
		_, err := pod.Ping(cluster.Within(t), a, 1)
		cluster.Check(t, err)
	}
	traffic.ExpectNothingLost(t)
	for _, k := range kernels {
		k.ExpectNothing(t)
	}
}
