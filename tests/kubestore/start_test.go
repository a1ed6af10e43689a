package kubestore

import (
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/lab/apiserver"
	"github.com/podlane/podlane/tests/cluster"
)

// firstStart is a first start of podlane on the second of two nodes, while something is wrong.
type firstStart struct {
	name    string
	prepare func(t *testing.T, l *lab.Lab) (fix func())
	want    []string // in the problems of podlaned's status
	both    bool     // the running node reports it too
}

// n2 sets the podCIDRs of the second Node, and corrects them.
func n2(podCIDRs ...string) func(*testing.T, *lab.Lab) func() {
	return func(_ *testing.T, l *lab.Lab) func() {
		l.API.SetNode("n2", podCIDRs...)
		return func() { l.API.SetNode("n2", l.PodCIDRs(2)...) }
	}
}

// networkFile replaces the network configuration, and corrects it.
func networkFile(config string) func(*testing.T, *lab.Lab) func() {
	return func(t *testing.T, l *lab.Lab) func() {
		cluster.Check(t, l.SetNetworkFile(config))
		return func() { cluster.Check(t, l.SetNetworkFile(cluster.DualStack)) }
	}
}

// anotherCertificate makes the API server use another certificate, whose CA the second node has, or does not have.
func anotherCertificate(begin time.Duration, known bool) func(*testing.T, *lab.Lab) func() {
	return func(t *testing.T, l *lab.Lab) func() {
		good := l.API.Kubeconfig(nil, "")
		c, err := apiserver.NewCertificate(net.IP(apiAddress(l).AsSlice()), time.Now().Add(begin))
		cluster.Check(t, err)
		if known {
			cluster.Check(t, l.Nodes[1].SetKubeconfig(l.API.Kubeconfig(c.CA, "")))
		}
		before := l.API.Certificate()
		cluster.Check(t, l.API.SetCertificate(c))
		return func() {
			cluster.Check(t, l.API.SetCertificate(before))
			if known { // podlane-kube reads its file at its start
				cluster.Check(t, l.Nodes[1].KillFeeder())
				cluster.Check(t, l.Nodes[1].SetKubeconfig(good))
				cluster.Check(t, l.Nodes[1].LaunchFeeder(cluster.Within(t)))
			}
		}
	}
}

// rule makes the API server deny something, and allows it again.
func rule(denied ...string) func(*testing.T, *lab.Lab) func() {
	return func(_ *testing.T, l *lab.Lab) func() {
		l.API.Deny(denied...)
		return func() { l.API.Deny() }
	}
}

var firstStarts = []firstStart{
	{"no podCIDR", n2(), []string{"the Node n2 has no podCIDR", "--allocate-node-cidrs", "--cluster-cidr", "--pod-network-cidr"}, false},
	{"a podCIDR outside the network", n2("10.99.2.0/24", "fd00:5:0:2::/64"), []string{"10.99.2.0/24", "10.5.0.0/16"}, false},
	{"no podCIDR of IPv6", n2("10.5.2.0/24"), []string{"n2", "IPv6"}, false},
	{"the podCIDR of another Node", n2("10.5.1.0/24", "fd00:5:0:2::/64"), []string{"10.5.1.0/24", "n1"}, false},
	{"no Node", func(_ *testing.T, l *lab.Lab) func() {
		l.API.DeleteNode("n2")
		return func() { l.API.SetNode("n2", l.PodCIDRs(2)...) }
	}, []string{"there is no Node n2", "node-name"}, false},
	{"a network configuration as no JSON", networkFile(`{"Network": `), []string{"net-conf.json"}, true},
	{"a network configuration with a wrong value", networkFile(`{"Network": "10.5.0.0"}`), []string{"podlane-network", "net-conf.json", "10.5.0.0"}, true},
	{"a network configuration without a network", networkFile(`{"Backend": {"Type": "vxlan"}}`), []string{"network.Network", "helm"}, true},
	{"the API server refuses connections", func(t *testing.T, l *lab.Lab) func() {
		cluster.Check(t, l.API.Refuse())
		return func() { cluster.Check(t, l.API.Accept()) }
	}, []string{"the API server does not answer"}, true},
	{"a token without the right to list", rule("list nodes", "watch nodes"), []string{"403", "RBAC"}, true},
	{"a token without the right to announce", rule("patch nodes/status"), []string{"n2", "annotations"}, false},
	{"another CA", anotherCertificate(-time.Minute, false), []string{"certificate", "CA"}, false},
	{"a certificate of the past", anotherCertificate(-24*time.Hour, true), []string{"certificate is not valid at this node's time"}, false},
	{"an old copy that lacks the Node", func(_ *testing.T, l *lab.Lab) func() {
		old := l.API.Snapshot().Without("n2")
		l.API.SetConfigMap("default", "later", "a", "b")
		l.API.Lag(old)
		return func() { l.API.Lag(nil) }
	}, nil, false},
	{"podlane-kube is for another node", func(t *testing.T, l *lab.Lab) func() {
		cluster.Check(t, l.Nodes[1].LaunchFeeder(cluster.Within(t), "--node-name", "n1"))
		return func() {
			cluster.Check(t, l.Nodes[1].KillFeeder())
			cluster.Check(t, l.Nodes[1].LaunchFeeder(cluster.Within(t)))
		}
	}, []string{"podlane-kube", `"n1"`, `"n2"`, "--node-name"}, false},
	{"the network is in kubeadm's configuration", func(t *testing.T, l *lab.Lab) func() {
		l.API.SetConfigMap("kube-system", "kubeadm-config", "ClusterConfiguration", "networking:\n  podSubnet: 10.5.0.0/16,fd00:5::/48\n")
		cluster.Check(t, l.SetNetworkFile(`{"Backend": {"Type": "vxlan"}}`))
		return func() {}
	}, nil, false},
}

// Whatever is wrong at the first start, podlaned and podlane-kube go on, report it, and recover by themselves. The other
// node is not disturbed.
func TestFirstStart(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 2, IPv6: true, Config: cluster.DualStack, Kubernetes: true}, 0)
	running, n := l.Nodes[0], l.Nodes[1]
	for _, f := range firstStarts {
		ok := t.Run(f.name, func(t *testing.T) {
			forget(t, n)
			l.API.DeleteNode(n.Name)
			l.API.SetNode(n.Name, l.PodCIDRs(2)...)
			cluster.AwaitPeers(t, l, soon, 0)
			kernel := cluster.KernelOf(t, running)
			fix := sync.OnceFunc(f.prepare(t, l))
			defer fix()
			if !n.FeederRunning() {
				cluster.Check(t, n.LaunchFeeder(cluster.Within(t)))
			}
			cluster.Check(t, n.Launch(cluster.Within(t)))
			before := processes(l.Nodes)
			if f.want != nil {
				expectProblem(t, n, soon, f.want...)
				cluster.ExpectKernel(t, running, kernel)
			}
			if f.both {
				expectProblem(t, running, soon, f.want...)
			}
			if now := processes(l.Nodes); !slices.Equal(before, now) {
				t.Errorf("processes %v, want %v: one has ended", now, before)
			}
			fix()
			cluster.AwaitPeers(t, l, soon, 1)
			for _, n := range l.Nodes {
				cluster.AwaitStatus(t, n, soon, "no problem", func(s cluster.Status) bool { return s.Ready && len(s.Problems) == 0 })
			}
		})
		if !ok {
			t.Fatal("the next first start needs a cluster that has recovered")
		}
	}
}
