package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/annotation"
	"github.com/podlane/podlane/subnet/store"
)

const (
	prefix      = annotation.DefaultPrefix + "/"
	flannelData = `{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}`
)

func testKeys(t testing.TB) annotation.Keys {
	t.Helper()
	keys, err := annotation.NewKeys(annotation.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// clusterNode returns a Node that flannel has annotated, with pairs of a key without its prefix and a value.
func clusterNode(name, podCIDR string, pairs ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), ResourceVersion: "7", CreationTimestamp: metav1.NewTime(time.Unix(1000, 0)),
		Annotations: map[string]string{"kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/containerd/containerd.sock",
			prefix + "kube-subnet-manager": "true", prefix + "backend-type": "vxlan", prefix + "backend-data": flannelData, prefix + "public-ip": "192.168.64.3"}}}
	if podCIDR != "" {
		n.Spec.PodCIDR, n.Spec.PodCIDRs = podCIDR, []string{podCIDR}
	}
	for i := 0; i < len(pairs); i += 2 {
		n.Annotations[prefix+pairs[i]] = pairs[i+1]
	}
	return n
}

func setOfNodes(t testing.TB, own string, nodes ...*corev1.Node) nodeSet {
	t.Helper()
	s := newNodeSet(testKeys(t), own)
	for _, n := range nodes {
		s.put(n)
	}
	return s
}

func leaseValue(data string) string {
	return `{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"vxlan","BackendData":` + data + `}`
}

func TestLeasesOfNodes(t *testing.T) {
	ofFlannel := func(name string) string {
		return leaseValue(`{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44","NodeID":"uid-` + name + `","Node":"` + name + `"}`)
	}
	announces := func(data string) []string { return []string{"backend-data", data} }
	lease := func(key, value string) store.SavedLease {
		return store.SavedLease{Key: key, Value: []byte(value), Created: 1000}
	}
	own := channel.Own{Exists: true, PodCIDRs: []string{"10.244.1.0/24"}}
	for name, c := range map[string]struct {
		nodes []*corev1.Node
		want  channel.Leases
	}{
		"no Nodes": {nil, channel.Leases{}},
		"no own Node": {[]*corev1.Node{clusterNode("n2", "10.244.2.0/24")},
			channel.Leases{Leases: []store.SavedLease{lease("10.244.2.0-24", ofFlannel("n2"))}}},
		"in the order of the keys": {[]*corev1.Node{clusterNode("n3", "10.244.2.0/24"), clusterNode("n1", "10.244.1.0/24"), clusterNode("n2", "10.244.3.0/24")},
			channel.Leases{Own: own, Leases: []store.SavedLease{lease("10.244.1.0-24", ofFlannel("n1")), lease("10.244.2.0-24", ofFlannel("n3")), lease("10.244.3.0-24", ofFlannel("n2"))}}},
		"one podCIDR twice": {[]*corev1.Node{clusterNode("n2", "10.244.1.0/24"), clusterNode("n1", "10.244.1.0/24")},
			channel.Leases{Own: own, Leases: []store.SavedLease{lease("10.244.1.0-24", ofFlannel("n1")), lease("10.244.1.0-24", ofFlannel("n2"))}}},
		"not a member": {[]*corev1.Node{clusterNode("n1", "10.244.1.0/24", "kube-subnet-manager", "")},
			channel.Leases{Own: own}},
		"invalid announcements": {[]*corev1.Node{clusterNode("n1", "10.244.1.0/24"), clusterNode("n3", "10.244.3.0/24", "public-ip", "224.0.0.1"), clusterNode("n2", "", "backend-data", "{}")},
			channel.Leases{Own: own, Leases: []store.SavedLease{lease("10.244.1.0-24", ofFlannel("n1"))}, Junk: 2,
				Skipped: []subnet.Skip{{Key: "n2", Reason: "the Node has no podCIDR"}, {Key: "n3", Reason: "PublicIP 224.0.0.1 cannot be the address of a node"}}}},
		"overwritten addresses": {[]*corev1.Node{clusterNode("n1", "10.244.1.0/24", "kube-subnet-manager", "", "public-ip-overwrite", "192.168.64.9", "public-ipv6-overwrite", "2001:db8::9")},
			channel.Leases{Own: channel.Own{Exists: true, PodCIDRs: []string{"10.244.1.0/24"}, PublicIP: "192.168.64.9", PublicIPv6: "2001:db8::9"}}},
		"a node that claims to be another one": {[]*corev1.Node{clusterNode("n2", "10.244.2.0/24", announces(`{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44","NodeID":"id-1","Node":"n1","Version":"v1"}`)...)},
			channel.Leases{Leases: []store.SavedLease{lease("10.244.2.0-24", leaseValue(`{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44","NodeID":"id-1","Node":"n2","Version":"v1"}`))}}},
	} {
		if diff := cmp.Diff(c.want, setOfNodes(t, "n1", c.nodes...).leases(subnet.Network{})); diff != "" {
			t.Errorf("%s: leases (-want +got):\n%s", name, diff)
		}
	}
}

// n1 got the podCIDR 10.244.9.0/24 while its pods use 10.244.1.0/24.
func TestFormerPodSubnets(t *testing.T) {
	network, _, err := subnet.ParseNetwork([]byte(testNetwork))
	if err != nil {
		t.Fatal(err)
	}
	uses := func(name, podCIDR, former string) *corev1.Node {
		return clusterNode(name, podCIDR, "backend-data", `{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44","Subnets":"`+former+`"}`)
	}
	n1 := uses("n1", "10.244.9.0/24", "10.244.1.0-24")
	noMember := clusterNode("n2", "10.244.1.0/24", "kube-subnet-manager", "")
	for name, c := range map[string]struct {
		nodes   []*corev1.Node
		network subnet.Network
		want    string
		skipped int
	}{
		"free":                           {[]*corev1.Node{n1, clusterNode("n2", "10.244.2.0/24")}, network, "10.244.1.0-24 10.244.2.0-24", 0},
		"the Node has no podCIDR":        {[]*corev1.Node{uses("n1", "", "10.244.1.0-24")}, network, "10.244.1.0-24", 0},
		"the podCIDR of another Node":    {[]*corev1.Node{n1, clusterNode("n2", "10.244.1.0/24")}, network, "10.244.1.0-24 10.244.9.0-24", 0},
		"of a Node that is no member":    {[]*corev1.Node{n1, noMember}, network, "10.244.9.0-24", 0},
		"a part of another Node's":       {[]*corev1.Node{uses("n1", "10.244.9.0/24", "10.244.1.128-25"), clusterNode("n2", "10.244.1.0/24")}, network, "10.244.1.0-24 10.244.9.0-24", 0},
		"more than another Node's":       {[]*corev1.Node{uses("n1", "10.244.9.0/24", "10.244.0.0-20"), clusterNode("n2", "10.244.2.0/24")}, network, "10.244.2.0-24 10.244.9.0-24", 0},
		"used by two Nodes":              {[]*corev1.Node{n1, uses("n2", "10.244.8.0/24", "10.244.1.0-24")}, network, "10.244.8.0-24 10.244.9.0-24", 0},
		"outside the pod network":        {[]*corev1.Node{uses("n1", "10.244.9.0/24", "10.5.1.0-24")}, network, "10.244.9.0-24", 0},
		"the pod network is not known":   {[]*corev1.Node{n1}, subnet.Network{}, "10.244.9.0-24", 0},
		"a podCIDR is missing, not free": {[]*corev1.Node{uses("n1", "", "10.244.1.0-24"), noMember}, network, "", 1},
	} {
		got := setOfNodes(t, "n1", c.nodes...).leases(c.network)
		if leaseKeys(got) != c.want || len(got.Skipped) != c.skipped {
			t.Errorf("%s: leases %q, want %q; skipped %v", name, leaseKeys(got), c.want, got.Skipped)
		}
		for _, l := range got.Leases {
			if lease, err := subnet.ParseLease(l.Key, l.Value); err != nil || lease.Node.ID != "uid-"+lease.Node.Name {
				t.Errorf("%s: lease %+v, error %v", name, lease, err)
			}
		}
	}
}

func TestSkippedNodesAreBounded(t *testing.T) {
	s := newNodeSet(testKeys(t), "n1")
	for i := range 2 * subnet.MaxSkips {
		s.put(clusterNode("n"+strings.Repeat("x", i), "10.244.1.0/24", "backend-data", "null"))
	}
	if got := s.leases(subnet.Network{}); len(got.Skipped) != subnet.MaxSkips || got.Junk != 2*subnet.MaxSkips {
		t.Errorf("%d skipped, %d junk", len(got.Skipped), got.Junk)
	}
}

func TestOnlyChangesOfThePodNetworkCount(t *testing.T) {
	base := func() *corev1.Node { return clusterNode("n1", "10.244.1.0/24") }
	for name, c := range map[string]struct {
		own    string
		change func(*corev1.Node)
		want   bool
	}{
		"heartbeat": {"n1", func(n *corev1.Node) {
			n.ResourceVersion = "9"
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, LastHeartbeatTime: metav1.NewTime(time.Unix(2000, 0))}}
		}, false},
		"another program's annotation":        {"n1", func(n *corev1.Node) { n.Annotations["example.org/x"] = "y" }, false},
		"address":                             {"n1", func(n *corev1.Node) { n.Annotations[prefix+"public-ip"] = "192.168.64.4" }, true},
		"podCIDR":                             {"n1", func(n *corev1.Node) { n.Spec.PodCIDRs = []string{"10.244.9.0/24"} }, true},
		"podCIDR with an old API server":      {"n1", func(n *corev1.Node) { n.Spec.PodCIDR, n.Spec.PodCIDRs = "10.244.9.0/24", nil }, true},
		"no member any more":                  {"n1", func(n *corev1.Node) { delete(n.Annotations, prefix+"kube-subnet-manager") }, true},
		"own overwrite":                       {"n1", func(n *corev1.Node) { n.Annotations[prefix+"public-ip-overwrite"] = "192.168.64.9" }, true},
		"another Node's overwrite":            {"n2", func(n *corev1.Node) { n.Annotations[prefix+"public-ip-overwrite"] = "192.168.64.9" }, false},
		"own Node was created again":          {"n1", func(n *corev1.Node) { n.UID = "uid-2" }, true},
		"own Node is without its annotations": {"n1", func(n *corev1.Node) { n.Annotations = nil }, true},
	} {
		s, n := setOfNodes(t, c.own, base()), base()
		c.change(n)
		if got := s.put(n); got != c.want {
			t.Errorf("%s: changed: %v, want %v", name, got, c.want)
		}
	}
}

func TestRemovedNode(t *testing.T) {
	s := setOfNodes(t, "n1", clusterNode("n1", "10.244.1.0/24"), clusterNode("n2", "10.244.2.0/24"))
	s.remove("n2")
	if got := s.leases(subnet.Network{}); len(got.Leases) != 1 || !got.Own.Exists {
		t.Errorf("after n2: %+v", got)
	}
	s.remove("n1")
	if got := s.leases(subnet.Network{}); len(got.Leases) != 0 || got.Own.Exists || got.Own.PodCIDRs != nil {
		t.Errorf("after n1: %+v", got)
	}
}
