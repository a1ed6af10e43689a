package promises

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// lowSubnets keeps the nodes' own pod subnets below those of the leases that the tests write.
const lowSubnets = `{"Network": "10.5.0.0/16", "SubnetMin": "10.5.1.0", "SubnetMax": "10.5.99.0", "Backend": {"Type": "vxlan"}}`

func TestPeerJoinsAndLeaves(t *testing.T) {
	l := cluster.Build(t, lab.Options{Nodes: 4, Config: lowSubnets})
	cluster.Check(t, l.SetConfig(cluster.Within(t), lowSubnets))
	old, late := l.Nodes[:3], l.Nodes[3]
	for _, n := range old {
		cluster.Check(t, n.Start(cluster.Within(t)))
	}
	cluster.AwaitPeers(t, l, 5*time.Second, 2)
	for i, n := range old {
		_, err := l.AddPod(cluster.Within(t), n, fmt.Sprint("early", i+1)) // this makes the node's bridge
		cluster.Check(t, err)
	}
	cluster.AwaitBridges(t, old...)
	kernels := kernelsOf(t, old)

	cluster.Check(t, late.Start(cluster.Within(t)))
	cluster.AwaitPeers(t, l, 5*time.Second, 3)
	cluster.Check(t, l.AddPods(cluster.Within(t), 1))
	expectFlat(t, l, cluster.OverlayAddr)

	// A node does not leave when its podlaned is stopped or crashes.
	key := cluster.SubnetText(t, late)
	cluster.Stop(t, late)
	cluster.Check(t, late.Start(cluster.Within(t)))
	cluster.Kill(t, late)
	joined := kernelsOf(t, old)
	cluster.Check(t, l.Etcd.Delete(cluster.Within(t), cluster.LeaseKey(key)))
	for i, n := range old {
		took := cluster.Until(t, 2*time.Second, n.Name+" has removed the peer", func() (bool, string) {
			now, err := cluster.ReadKernel(cluster.Within(t), n)
			return err == nil && now == kernels[i], cluster.Differences(kernels[i], now)
		})
		t.Logf("%s has removed the peer after %v", n.Name, took)
		if gone := cluster.Differences(joined[i], kernels[i]); strings.Count(gone, "\n") != 5 {
			t.Errorf("%s had other than five items of a peer (FDB entry, neighbour, route, elements of the firewall's two sets):\n%s", n.Name, gone)
		}
	}
	cluster.AwaitPeers(t, l, 2*time.Second, 2)
}

func kernelsOf(t *testing.T, nodes []*lab.Node) (texts []string) {
	t.Helper()
	for _, n := range nodes {
		texts = append(texts, cluster.KernelOf(t, n))
	}
	return texts
}

// The monitor's words for changes of the firewall.
const (
	elementAdded   = "nftables message 12"
	elementDeleted = "nftables message 14"
	transaction    = "nftables message 15"
)

// The monitor's words for neighbours and FDB entries.
func added(address, mac string) string {
	return fmt.Sprintf("new neighbour or FDB entry of podlane.1: %s %s", address, mac)
}

func deleted(address, mac string) string {
	return fmt.Sprintf("deleted neighbour or FDB entry of podlane.1: %s %s", address, mac)
}

// A flannel node's lease has only flannel's keys. The node moves to another address, gets another VTEP, and leaves.
func TestFlannelNodeAsAPeer(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 2, Config: lowSubnets}, 0)
	cluster.AwaitPeers(t, l, 5*time.Second, 1)
	n, key := l.Nodes[0], cluster.LeaseKey("10.5.200.0/24")
	before := cluster.KernelOf(t, n)
	lease := func(address, mac string) string {
		return fmt.Sprintf(`{"PublicIP":%q,"PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":%q}}`, address, mac)
	}
	const first, other = "ba:11:22:33:44:55", "ba:11:22:33:44:66" // its VTEPs
	const route = "+ 10.5.200.0/24 via 10.5.200.0 dev podlane.1 proto 112 metric 131272 onlink \n"
	for _, c := range []struct {
		what, value, fdb, neighbour, route, elements string
		changes                                      []string // the kernel's notifications, in order
	}{
		{
			"it joins", lease("198.18.7.1", first),
			"+ ba:11:22:33:44:55 dst 198.18.7.1 self permanent\n", "+ 10.5.200.0 lladdr ba:11:22:33:44:55 PERMANENT \n", route, "+ element 10.5.200.0\n+ element 198.18.7.1\n",
			[]string{added("10.5.200.0", first), added("198.18.7.1", first), "new route, family 2", elementAdded, transaction},
		}, {
			"it moves to another address", lease("198.18.7.2", first),
			"+ ba:11:22:33:44:55 dst 198.18.7.2 self permanent\n", "+ 10.5.200.0 lladdr ba:11:22:33:44:55 PERMANENT \n", route, "+ element 10.5.200.0\n+ element 198.18.7.2\n",
			[]string{added("198.18.7.2", first), elementAdded, elementDeleted, transaction}, // in place
		}, {
			"it gets another VTEP", lease("198.18.7.2", other),
			"+ ba:11:22:33:44:66 dst 198.18.7.2 self permanent\n", "+ 10.5.200.0 lladdr ba:11:22:33:44:66 PERMANENT \n", route, "+ element 10.5.200.0\n+ element 198.18.7.2\n",
			[]string{added("10.5.200.0", other), added("198.18.7.2", other), deleted("198.18.7.2", first)},
		}, {
			"another backend: shown, not programmed", `{"PublicIP":"198.18.7.2","PublicIPv6":null,"BackendType":"host-gw"}`, "", "", "", "",
			[]string{
				"deleted route, family 2", deleted("198.18.7.2", other), added("10.5.200.0", ""), deleted("10.5.200.0", ""), elementDeleted, transaction,
			}, // a neighbour fails before it is deleted
		},
	} {
		watch := cluster.WatchKernel(t, n.Place)
		cluster.Check(t, l.Etcd.Put(cluster.Within(t), key, c.value))
		want := c.fdb + c.neighbour + c.route + c.elements
		took := cluster.Until(t, 2*time.Second, c.what, func() (bool, string) {
			now, err := cluster.ReadKernel(cluster.Within(t), n)
			is := cluster.Differences(before, now)
			return err == nil && is == want, is
		})
		t.Logf("%s: programmed after %v", c.what, took)
		if diff := gocmp.Diff(c.changes, slices.Compact(watch.Changes(t))); diff != "" {
			t.Errorf("%s: changes of the kernel (-want +got):\n%s", c.what, diff)
		}
		cluster.AwaitStatus(t, n, 2*time.Second, c.what, func(s cluster.Status) bool { return s.Ready && len(s.Peers) == 2 })
	}
	cluster.Check(t, l.Etcd.Delete(cluster.Within(t), key))
	cluster.AwaitPeers(t, l, 2*time.Second, 1)
	cluster.ExpectKernel(t, n, before)
}

// Invalid keys and values below subnets/ are skipped, counted and shown. The peers are not disturbed.
func TestInvalidLeasesAreSkipped(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 2, Config: lowSubnets}, 0)
	cluster.AwaitPeers(t, l, 5*time.Second, 1)
	n := l.Nodes[0]
	before, watch := cluster.KernelOf(t, n), cluster.WatchKernel(t, n.Place)
	const good = `{"PublicIP":"198.18.7.1","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"ba:11:22:33:44:55"}}`
	bad := map[string]string{
		"no-lease":       good,
		"10.5.201.0-24":  "{",
		"10.5.202.0-24":  strings.Replace(good, "ba:11:22:33:44:55", "ba:11", 1),
		"10.5.203.0-24":  strings.Replace(good, "198.18.7.1", "0.0.0.0", 1),
		"10.6.0.0-24":    good,
		"10.5.0.0-16":    good,
		"10.5.204.7-24":  good,
		"999.5.204.0-24": good,
		"10.5.205.0-24":  strings.Replace(good, "198.18.7.1", n.Addr.String(), 1),
	}
	for key, value := range bad {
		cluster.Check(t, l.Etcd.Put(cluster.Within(t), lab.DefaultPrefix+"/subnets/"+key, value))
	}
	cluster.AwaitStatus(t, n, 2*time.Second, "all are skipped", func(s cluster.Status) bool {
		return s.Ready && len(s.Peers) == 1 && len(s.Skipped) == len(bad)
	})
	cluster.ExpectKernel(t, n, before)
	watch.ExpectNothing(t)
}
