package promises

import (
	"fmt"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// aroundUnderlay returns a pod network that contains the underlay. 198.18.0.0/16 and fd98:18::/64 are outside the pod
// subnets from min to max. The IPv6 pod subnets are fixed.
func aroundUnderlay(min, max string) string {
	return fmt.Sprintf(`{"Network": "198.0.0.0/8", "SubnetMin": %q, "SubnetMax": %q, "EnableIPv6": true,
		"IPv6Network": "fd00::/8", "IPv6SubnetMin": "fd00:5::", "IPv6SubnetMax": "fd00:7::"}`, min, max)
}

// The third node has a pod subnet of an earlier range. FORWARD drops all other packets, so the accepts matter.
func TestPodNetworkContainsTheUnderlay(t *testing.T) {
	l := cluster.Build(t, lab.Options{IPv6: true})
	for _, n := range l.Nodes {
		cluster.Run(t, n.Place, "iptables -P FORWARD DROP")
		cluster.Run(t, n.Place, "ip6tables -P FORWARD DROP")
	}
	cluster.Check(t, l.SetConfig(cluster.Within(t), aroundUnderlay("198.200.0.0", "198.200.9.0")))
	cluster.Check(t, l.Nodes[2].Start(cluster.Within(t)))
	cluster.Check(t, l.SetConfig(cluster.Within(t), aroundUnderlay("198.64.0.0", "198.99.0.0")))
	for i, n := range l.Nodes[:2] {
		cluster.Check(t, n.Start(cluster.Within(t)))
		if p, err := n.Subnet(); err != nil || p.IPv4.Addr().As4()[1] < 64 || p.IPv4.Addr().As4()[1] > 99 {
			t.Errorf("n%d: pod subnet %s, error %v; want one between SubnetMin and SubnetMax", i+1, p, err)
		}
	}
	if key := cluster.SubnetText(t, l.Nodes[2]); !strings.HasPrefix(key, "198.200.") {
		t.Errorf("n3: pod subnet %s, want its earlier one in 198.200.0.0", key)
	}
	cluster.Check(t, l.AddPods(cluster.Within(t), 2))
	cluster.AwaitBridges(t, l.Nodes...)
	cluster.AwaitPeers(t, l, within5, 2)
	expectFlat(t, l, cluster.OverlayAddr)
	expectMasquerade(t, l)
	if network := cluster.NodeFile(t, l.Nodes[0])["PODLANE_NETWORK"]; network != "198.0.0.0/8" {
		t.Errorf("node file: pod network %s, want 198.0.0.0/8", network)
	}
	for _, n := range l.Nodes {
		s, err := cluster.StatusOf(cluster.Within(t), n)
		cluster.Check(t, err)
		for _, note := range s.Notes {
			if !strings.Contains(note, "network configuration") { // which has changed
				t.Errorf("%s: unexpected note: %s", n.Name, note)
			}
		}
	}
	expectPodSubnetOnTheUnderlaySkipped(t, l)
}

// expectPodSubnetOnTheUnderlaySkipped expects that a pod subnet on the underlay does not divert the nodes' own traffic.
func expectPodSubnetOnTheUnderlaySkipped(t *testing.T, l *lab.Lab) {
	t.Helper()
	const key, reason = "198.18.1.0-24", "pod subnet 198.18.1.0/24 overlaps the underlay, 198.18.0.0/16"
	cluster.Check(t, l.Etcd.Put(cluster.Within(t), lab.DefaultPrefix+"/subnets/"+key,
		`{"PublicIP":"198.18.7.7","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}`))
	for _, n := range l.Nodes {
		cluster.AwaitStatus(t, n, within5, reason, func(s cluster.Status) bool {
			return s.Ready && len(s.Skipped) == 1 && s.Skipped[0].Key == key && s.Skipped[0].Reason == reason
		})
	}
	expectFlat(t, l, cluster.OverlayAddr)
}

// flannel keeps its device's MAC, and writes another lease if its IPv4 address changes.
func TestFlannelNodeReturnsWithAnotherIPv4Address(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 1, IPv6: true, Config: cluster.DualStack}, 0)
	n := l.Nodes[0]
	put := func(key, address string) {
		cluster.Check(t, l.Etcd.Put(cluster.Within(t), lab.DefaultPrefix+"/subnets/"+key, fmt.Sprintf(`{"PublicIP":%q,"PublicIPv6":"fd98:18::777","BackendType":"vxlan",
			"BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"},"BackendV6Data":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:66"}}`, address)))
	}
	const old, returned = "10.5.253.0-24&fd00:5:0:fd::-64", "10.5.254.0-24&fd00:5:0:fe::-64"
	expect := func(subnet4, subnet6, address string) {
		cluster.Until(t, within5, "the node's traffic goes to "+address, func() (bool, string) {
			out := cluster.Run(t, n.Place, "ip route show proto 112") + cluster.Run(t, n.Place, "ip -6 route show proto 112") +
				cluster.Run(t, n.Place, "bridge fdb show dev podlane.1")
			return strings.Contains(out, subnet4+" via") && strings.Contains(out, subnet6+" via") && strings.Count(out, " via ") == 2 &&
				strings.Contains(out, "c6:d2:32:6f:8f:44 dst "+address), out
		})
	}
	put(old, "198.18.7.7")
	expect("10.5.253.0/24", "fd00:5:0:fd::/64", "198.18.7.7")
	put(returned, "198.18.7.8")
	expect("10.5.254.0/24", "fd00:5:0:fe::/64", "198.18.7.8")
	const reason = "the same node has a newer lease, 10.5.254.0/24 and fd00:5:0:fe::/64 of 198.18.7.8"
	cluster.AwaitStatus(t, n, within5, reason, func(s cluster.Status) bool {
		return s.Ready && len(s.Peers) == 1 && len(s.Skipped) == 1 && s.Skipped[0].Key == old && s.Skipped[0].Reason == reason
	})
	cluster.Check(t, l.Etcd.Delete(cluster.Within(t), lab.DefaultPrefix+"/subnets/"+returned))
	expect("10.5.253.0/24", "fd00:5:0:fd::/64", "198.18.7.7")
}

// 198.18.127.255 is a host address in 198.18.0.0/16, and the broadcast address of 198.18.0.0/17.
func TestPeersAreCheckedAgainWhenTheUnderlayChanges(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 1}, 0)
	n := l.Nodes[0]
	cluster.Check(t, l.Etcd.Put(cluster.Within(t), lab.DefaultPrefix+"/subnets/10.5.253.0-24",
		`{"PublicIP":"198.18.127.255","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}`))
	cluster.AwaitStatus(t, n, within5, "a peer", func(s cluster.Status) bool { return s.Ready && len(s.Peers) == 1 && len(s.Skipped) == 0 })
	cluster.Run(t, n.Place, "ip address add 198.18.1.1/17 dev eth0")
	cluster.Run(t, n.Place, "ip address del 198.18.1.1/16 dev eth0")
	const reason = "public address 198.18.127.255 is the broadcast address of the underlay 198.18.0.0/17"
	cluster.AwaitStatus(t, n, within5, reason, func(s cluster.Status) bool {
		return s.Ready && len(s.Peers) == 0 && len(s.Skipped) == 1 && s.Skipped[0].Reason == reason
	})
	if out := cluster.Run(t, n.Place, "bridge fdb show dev podlane.1"); strings.Contains(out, "198.18.127.255") {
		t.Errorf("the FDB still has the address:\n%s", out)
	}
}
