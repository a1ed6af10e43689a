package promises

import (
	"net/netip"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// Docker sets the policy of iptables' FORWARD to DROP.
func TestForwardPolicyDropBeforeTheStart(t *testing.T) {
	l := cluster.Build(t, lab.Options{})
	for _, n := range l.Nodes {
		cluster.Run(t, n.Place, "iptables -P FORWARD DROP")
	}
	cluster.Check(t, l.StartAll(cluster.Within(t)))
	cluster.Check(t, l.AddPods(cluster.Within(t), 2))
	cluster.AwaitPeers(t, l, within5, 2)
	expectFlat(t, l, cluster.OverlayAddr)
	expectMasquerade(t, l)
}

func TestForwardPolicyDropWhileRunning(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 2}, 1)
	cluster.AwaitPeers(t, l, within5, 1)
	pods := l.Pods()
	mirror := newMirror(t, pods[1].Place, netip.AddrPortFrom(pods[1].Addrs[0], 0))
	for _, command := range []string{"iptables -P FORWARD DROP", "iptables -F FORWARD"} {
		for _, n := range l.Nodes {
			cluster.Run(t, n.Place, command)
		}
		cluster.Until(t, second, "pods reach each other after "+command, func() (bool, string) {
			out, err := pods[0].Run(cluster.Within(t), "ping", "-n", "-q", "-c1", "-W0.05", pods[1].Addrs[0].String())
			return err == nil, out
		})
		if err := checkSource(cluster.Within(t), pods[0].Place, mirror, pods[0].Addrs[0]); err != nil {
			t.Error(err)
		}
	}
}
