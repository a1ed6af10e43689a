package kubestore

import (
	"strings"
	"testing"
	"unicode"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// hostile is what root of one node can write into its own Node.
type hostile struct {
	podCIDR     string
	annotations []string
	want        string // in the reason why the others do not use it
}

// hostiles returns announcements that try to redirect another node's packets, or to break an operator's terminal. other has the
// annotations of the second Node.
func hostiles(other map[string]string) map[string]hostile {
	const free, data, address = "10.5.9.0/24", flannel + "backend-data", flannel + "public-ip"
	forged := func(fields string) []string {
		return []string{data, `{"VNI":1,"VtepMAC":"ba:11:22:33:44:55"` + fields + `}`}
	}
	return map[string]hostile{
		"the identity of another node":          {free, []string{data, other[data]}, "is that of an older lease"},
		"the podCIDR and identity of another":   {"10.5.2.0/24", []string{data, other[data], address, other[address]}, "10.5.2.0/24 overlaps that of an older lease"},
		"a podCIDR in that of another node":     {"10.5.2.128/25", nil, "10.5.2.128/25 overlaps that of an older lease"},
		"a podCIDR around all nodes":            {"10.5.0.0/20", nil, "10.5.0.0/20 overlaps"},
		"a podCIDR around the network":          {"10.0.0.0/8", nil, "outside the pod network"},
		"the whole Internet as podCIDR":         {"0.0.0.0/0", nil, "is not a prefix"},
		"an IPv4-mapped podCIDR":                {"::ffff:10.5.2.0/120", nil, "is not a prefix"},
		"the underlay as podCIDR":               {"198.18.0.0/16", nil, "outside the pod network"},
		"a multicast MAC":                       {free, []string{data, `{"VNI":1,"VtepMAC":"01:00:5e:00:00:01"}`}, "multicast"},
		"a loopback address":                    {free, []string{address, "127.0.0.1"}, "cannot be the address of a node"},
		"the underlay's broadcast address":      {free, []string{address, "198.18.255.255"}, "broadcast address"},
		"the address of a pod":                  {free, []string{address, "10.5.1.2"}, "is in the pod network"},
		"5 MB of data":                          {free, forged(`,"X":"` + strings.Repeat("x", 5<<20) + `"`), "more than 65536 bytes"},
		"deep JSON":                             {free, []string{data, strings.Repeat("[", 60000)}, "not JSON"},
		"a terminal's escapes in the name":      {free, forged(`,"Node":"\u001b[2J\u009b1m"`), "node name"},
		"a terminal's escapes in the version":   {free, forged(`,"Version":"\u202e\u001b]0;x\u0007"`), "version"},
		"a terminal's escapes in the backend":   {free, []string{flannel + "backend-type", "vx\x1b[31m\nlan"}, "BackendType"},
		"a terminal's escapes in the address":   {free, []string{address, "\x1b[2J\n198.18.7.1"}, "is not an IPv4 address"},
		"a terminal's escapes instead of JSON":  {free, []string{data, "\x1b]0;x\x07{"}, "not JSON"},
		"a terminal's escapes in the podCIDR":   {"\x1b[2J", nil, "is not a prefix"},
		"former pod subnets around the network": {free, forged(`,"Subnets":"10.5.128.0-17"`), "too large"},
	}
}

var hostileFaults = []fault{
	{"a Node announces itself as an attacker would", func(t *testing.T, b *bed) {
		traffic, third := b.flood(t), b.Nodes[2]
		other, _ := b.API.Node("n2")
		for name, h := range hostiles(other.Annotations) {
			b.announceForeign("evil", h.podCIDR, h.annotations...)
			cluster.AwaitStatus(t, third, soon, name, func(s cluster.Status) bool { return strings.Contains(reasons(s), h.want) && len(s.Peers) == 2 })
			b.expectPeersWithRoutes(t, []*lab.Node{b.Nodes[0], third}, b.Nodes[1])
			out, err := third.Run(cluster.Within(t), "podlaned", "status")
			if out == "" || len(out) > 4<<10 {
				t.Errorf("%s: a status of %d bytes, error %v", name, len(out), err)
			}
			expectPrintable(t, name, out)
			b.API.DeleteNode("evil")
			cluster.AwaitStatus(t, third, soon, name+" is gone", func(s cluster.Status) bool { return len(s.Skipped) == 0 && len(s.Problems) == 0 })
		}
		for _, n := range b.Nodes {
			expectPrintable(t, "the logs of "+n.Name, n.LogText()+n.FeederLogText())
		}
		traffic.ExpectNothingLost(t)
	}},
	{"a Node gets another name", func(t *testing.T, b *bed) {
		n := b.Nodes[2]
		others, own := cluster.StartFlood(t, b.pairs(b.Nodes[:2]...)...), cluster.StartFlood(t, b.pairs(n)...)
		interrupted := cluster.StartFlood(t, [2]*lab.Pod{cluster.PodsOf(b.Lab, b.Nodes[0])[0], cluster.PodsOf(b.Lab, n)[0]})
		b.rename(t, n, "n3", "renamed")
		b.rename(t, n, "renamed", "n3")
		interrupted.ExpectGap(t, soon) // until the node announces its new name
		others.ExpectNothingLost(t)
		own.ExpectNothingLost(t)
	}},
	{"two podlane-kubes feed one podlaned", func(t *testing.T, b *bed) {
		n, traffic := b.Nodes[0], b.flood(t)
		second := n.Command(t.Context(), "podlane-kube", "node")
		cluster.Check(t, n.StartCommand(second))
		expectNote(t, n, soon, "connected to the channel and replaced podlane-kube")
		for range 3 {
			b.expectChanges(t)
			s, err := cluster.StatusOf(cluster.Within(t), n)
			if err != nil || !s.Ready || len(s.Problems) > 0 || s.Kubernetes.Losses > 0 {
				t.Errorf("ready %v, problems %q, error %v, store %+v", s.Ready, s.Problems, err, s.Kubernetes)
			}
		}
		cluster.Check(t, second.Process.Kill())
		_ = second.Wait() // it was killed
		b.expectChanges(t)
		traffic.ExpectNothingLost(t)
	}},
}

func TestHostileNodes(t *testing.T) { runFaults(t, hostileFaults) }

// rename registers a Node with another name, as a kubelet with another host name does, and starts its daemons with that name.
func (b *bed) rename(t *testing.T, n *lab.Node, from, to string) {
	t.Helper()
	b.API.DeleteNode(from)
	b.API.SetNode(to, b.PodCIDRs(n.Index)...)
	expectProblem(t, n, soon, "the Node "+from+" was deleted or renamed")
	cluster.Check(t, n.KillFeeder())
	cluster.Kill(t, n)
	cluster.Check(t, n.LaunchFeeder(cluster.Within(t), "--node-name", to))
	cluster.Check(t, n.Launch(cluster.Within(t), "--node-name", to))
	cluster.AwaitPeers(t, b.Lab, soon, len(b.Nodes)-1)
}

// expectPrintable expects that a text cannot change what a terminal shows.
func expectPrintable(t *testing.T, what, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("%s: %q is not printable", what, text[max(0, i-40):min(len(text), i+40)])
	}
}
