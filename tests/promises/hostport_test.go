package promises

import (
	"net/netip"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

func TestHostPortLeadsToAPod(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 2}, 1)
	cluster.AwaitPeers(t, l, within5, 1)
	n := l.Nodes[0]
	pod, err := l.AddPod(cluster.Within(t), n, "web",
		lab.Port{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}, lab.Port{HostPort: 8080, ContainerPort: 80, Protocol: "udp"})
	cluster.Check(t, err)
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
		if err := sees(cluster.Within(t), from.place, hostPort, from.want); err != nil {
			t.Error(err)
		}
	}
	// On the node itself portmap masquerades: from which address is its own affair.
	for _, from := range []*lab.Place{n.Place, l.Pods()[0].Place} {
		for _, protocol := range protocols {
			if _, err := ask(cluster.Within(t), from, protocol, hostPort); err != nil {
				t.Errorf("%s asks %s by %s: %v", from.Name, hostPort, protocol, err)
			}
		}
	}
	cluster.Check(t, pod.Delete(cluster.Within(t)))
	if saw, err := ask(cluster.Within(t), l.Outside, "tcp", hostPort); err == nil {
		t.Errorf("the port of a pod that is gone answers: %v", saw)
	}
}
