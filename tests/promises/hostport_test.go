package promises

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

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
		{l.Outside, outsideAddrs[0]},
		{l.Nodes[1].Place, l.Nodes[1].Addr},
		{l.Pods()[1].Place, l.Nodes[1].Addr}, // it leaves the pod network, because the destination is the node's address
	} {
		if err := checkSource(cluster.Within(t), from.place, hostPort, from.want); err != nil {
			t.Error(err)
		}
	}
	// On the node itself portmap masquerades, with an address of its choice.
	for _, from := range []*lab.Place{n.Place, l.Pods()[0].Place} {
		for _, protocol := range protocols {
			if _, err := askMirror(cluster.Within(t), from, protocol, hostPort); err != nil {
				t.Errorf("%s asks %s by %s: %v", from.Name, hostPort, protocol, err)
			}
		}
	}
	cluster.Check(t, pod.Delete(cluster.Within(t)))
	if saw, err := askMirror(cluster.Within(t), l.Outside, "tcp", hostPort); err == nil {
		t.Errorf("the port of a pod that is gone answers: %v", saw)
	}
}

// Portmap's nftables backend does not masquerade packets from a pod to a port of its own node. The answer crosses the
// bridge, and is translated back only if connection tracking sees it there. The node's setting for all bridges is off,
// as on nodes without kube-proxy.
func TestHostPortFromAPodOfTheSameNode(t *testing.T) {
	for _, c := range []struct {
		name   string
		module bool
		source int // the source that the pod sees: the client pod's address, or the bridge's
	}{
		{"with br_netfilter", true, 0},
		{"without br_netfilter", false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := cluster.Build(t, lab.Options{Nodes: 1, IPv6: true, Config: cluster.DualStack, Portmap: "nftables"})
			n := l.Nodes[0]
			cluster.Run(t, n.Place, "sysctl -w net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0")
			if !c.module {
				hideModule(t, n)
			}
			cluster.Check(t, l.StartAll(cluster.Within(t)))
			web, err := l.AddPod(cluster.Within(t), n, "web",
				lab.Port{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}, lab.Port{HostPort: 8080, ContainerPort: 80, Protocol: "udp"})
			cluster.Check(t, err)
			asker, err := l.AddPod(cluster.Within(t), n, "asker")
			cluster.Check(t, err)
			cluster.AwaitBridges(t, n)
			for i, a := range web.Addrs {
				newMirror(t, web.Place, netip.AddrPortFrom(a, 80))
				hostPort := netip.AddrPortFrom(cluster.UnderlayAddr(t, n, a), 8080)
				want := []netip.Addr{asker.Addrs[i], cluster.Gateway(t, n, a)}[c.source]
				if err := checkSource(cluster.Within(t), asker.Place, hostPort, want); err != nil {
					t.Error(err)
				}
				if err := checkSource(cluster.Within(t), asker.Place, netip.AddrPortFrom(a, 80), asker.Addrs[i]); err != nil {
					t.Error(err) // a pod keeps its address, unless a port leads to another pod
				}
			}
			s, err := cluster.StatusOf(cluster.Within(t), n)
			cluster.Check(t, err)
			if !s.Ready || len(s.Problems) > 0 {
				t.Errorf("ready %v, problems %q; want it ready without problems", s.Ready, s.Problems)
			}
		})
	}
}

// hideModule hides the kernel module br_netfilter from a node until the test ends. With all its settings off the module
// does nothing.
func hideModule(t *testing.T, n *lab.Node) {
	t.Helper()
	const settings = "/proc/sys/net/bridge" // of the reader's network namespace
	cluster.Check(t, n.Do(func() error { return unix.Mount("none", settings, "tmpfs", 0, "") }))
	t.Cleanup(func() {
		cluster.Check(t, n.Do(func() error { return unix.Unmount(settings, unix.MNT_DETACH) }))
	})
}
