package promises

import (
	"net/netip"
	"testing"

	"github.com/podlane/podlane/lab"
)

// Docker sets the policy of iptables' FORWARD to DROP.
func TestForwardPolicyDropBeforeTheStart(t *testing.T) {
	l := build(t, lab.Options{})
	for _, n := range l.Nodes {
		run(t, n.Place, "iptables -P FORWARD DROP")
	}
	check(t, l.StartAll(within(t)))
	check(t, l.AddPods(within(t), 2))
	awaitPeers(t, l, within5, 2)
	expectFlat(t, l, overlayAddr)
	expectMasquerade(t, l)
}

func TestForwardPolicyDropWhileRunning(t *testing.T) {
	l := start(t, lab.Options{Nodes: 2}, 1)
	awaitPeers(t, l, within5, 1)
	pods := l.Pods()
	mirror := newMirror(t, pods[1].Place, netip.AddrPortFrom(pods[1].Addrs[0], 0))
	for _, command := range []string{"iptables -P FORWARD DROP", "iptables -F FORWARD"} {
		for _, n := range l.Nodes {
			run(t, n.Place, command)
		}
		until(t, second, "pods reach each other after "+command, func() (bool, string) {
			out, err := pods[0].Run(within(t), "ping", "-n", "-q", "-c1", "-W0.05", pods[1].Addrs[0].String())
			return err == nil, out
		})
		if err := sees(within(t), pods[0].Place, mirror, pods[0].Addrs[0]); err != nil {
			t.Error(err)
		}
	}
}
