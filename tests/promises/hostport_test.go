package promises

import (
	"net/netip"
	"testing"

	"github.com/podlane/podlane/lab"
)

func TestHostPortLeadsToAPod(t *testing.T) {
	l := start(t, lab.Options{Nodes: 2}, 1)
	awaitPeers(t, l, within5, 1)
	n := l.Nodes[0]
	pod, err := l.AddPod(within(t), n, "web",
		lab.Port{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}, lab.Port{HostPort: 8080, ContainerPort: 80, Protocol: "udp"})
	check(t, err)
	newMirror(t, pod.Place, netip.AddrPortFrom(pod.Addrs[0], 80))
	hostPort := netip.AddrPortFrom(n.Addr, 8080)
	for _, from := range []struct {
		place *lab.Place
		want  netip.Addr
	}{
		{l.Outside, world[0]},
		{l.Nodes[1].Place, l.Nodes[1].Addr},
		{l.Pods()[1].Place, l.Nodes[1].Addr}, // it leaves the pod network, for it goes to the node's address
	} {
		if err := sees(within(t), from.place, hostPort, from.want); err != nil {
			t.Error(err)
		}
	}
	// On the node itself portmap masquerades: from which address is its own affair.
	for _, from := range []*lab.Place{n.Place, l.Pods()[0].Place} {
		for _, protocol := range protocols {
			if _, err := ask(within(t), from, protocol, hostPort); err != nil {
				t.Errorf("%s asks %s by %s: %v", from.Name, hostPort, protocol, err)
			}
		}
	}
	check(t, pod.Delete(within(t)))
	if saw, err := ask(within(t), l.Outside, "tcp", hostPort); err == nil {
		t.Errorf("the port of a pod that is gone answers: %v", saw)
	}
}
