package promises

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
)

// low keeps the nodes' own pod subnets below those of the leases that the tests write.
const low = `{"Network": "10.5.0.0/16", "SubnetMin": "10.5.1.0", "SubnetMax": "10.5.99.0", "Backend": {"Type": "vxlan"}}`

// leaseKey is the key of a lease in etcd.
func leaseKey(subnet string) string {
	return lab.DefaultPrefix + "/subnets/" + strings.ReplaceAll(subnet, "/", "-")
}

func TestPeerJoinsAndLeaves(t *testing.T) {
	l := build(t, lab.Options{Nodes: 4, Config: low})
	check(t, l.SetConfig(within(t), low))
	old, late := l.Nodes[:3], l.Nodes[3]
	for _, n := range old {
		check(t, n.Start(within(t)))
	}
	awaitPeers(t, l, 5*time.Second, 2)
	kernels := kernelsOf(t, old)

	check(t, late.Start(within(t)))
	awaitPeers(t, l, 5*time.Second, 3)
	check(t, l.AddPods(within(t), 1))
	expectFlat(t, l, overlayAddr)

	// Neither the end of its podlaned nor its crash is a node's leaving.
	key := subnetText(t, late)
	stop(t, late)
	check(t, late.Start(within(t)))
	kill(t, late)
	joined := kernelsOf(t, old)
	check(t, l.Etcd.Delete(within(t), leaseKey(key)))
	for i, n := range old {
		took := until(t, 2*time.Second, n.Name+" has removed the peer", func() (bool, string) {
			now, err := readKernel(within(t), n)
			return err == nil && now == kernels[i], differences(kernels[i], now)
		})
		t.Logf("%s has removed the peer after %v", n.Name, took)
		if gone := differences(joined[i], kernels[i]); strings.Count(gone, "\n") != 3 {
			t.Errorf("of a peer %s had more, or less, than an FDB entry, a neighbour and a route:\n%s", n.Name, gone)
		}
	}
	awaitPeers(t, l, 2*time.Second, 2)
}

func kernelsOf(t *testing.T, nodes []*lab.Node) (texts []string) {
	t.Helper()
	for _, n := range nodes {
		texts = append(texts, kernelOf(t, n))
	}
	return texts
}

// What a monitor tells of neighbours and FDB entries.
const (
	entryAdded   = "new neighbour or FDB entry of podlane.1"
	entryDeleted = "deleted neighbour or FDB entry of podlane.1"
)

// A flannel node's lease has flannel's keys alone. It moves to another address, gets another VTEP, and leaves.
func TestFlannelNodeAsAPeer(t *testing.T) {
	l := start(t, lab.Options{Nodes: 2, Config: low}, 0)
	awaitPeers(t, l, 5*time.Second, 1)
	n, key := l.Nodes[0], leaseKey("10.5.200.0/24")
	before := kernelOf(t, n)
	lease := func(address, mac string) string {
		return fmt.Sprintf(`{"PublicIP":%q,"PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":%q}}`, address, mac)
	}
	const route = "+ 10.5.200.0/24 via 10.5.200.0 dev podlane.1 proto 112 metric 131272 onlink \n"
	for _, c := range []struct {
		what, value, fdb, neighbour, route string
		changes                            []string // what the kernel tells of, in order
	}{
		{
			"it joins", lease("198.18.7.1", "ba:11:22:33:44:55"),
			"+ ba:11:22:33:44:55 dst 198.18.7.1 self permanent\n", "+ 10.5.200.0 lladdr ba:11:22:33:44:55 PERMANENT \n", route,
			[]string{entryAdded, "new route, family 2"},
		}, {
			"it moves to another address", lease("198.18.7.2", "ba:11:22:33:44:55"),
			"+ ba:11:22:33:44:55 dst 198.18.7.2 self permanent\n", "+ 10.5.200.0 lladdr ba:11:22:33:44:55 PERMANENT \n", route,
			[]string{entryAdded}, // in place
		}, {
			"it gets another VTEP", lease("198.18.7.2", "ba:11:22:33:44:66"),
			"+ ba:11:22:33:44:66 dst 198.18.7.2 self permanent\n", "+ 10.5.200.0 lladdr ba:11:22:33:44:66 PERMANENT \n", route,
			[]string{entryAdded, entryDeleted},
		}, {
			"another backend: shown, not programmed", `{"PublicIP":"198.18.7.2","PublicIPv6":null,"BackendType":"host-gw"}`, "", "", "",
			[]string{"deleted route, family 2", entryDeleted, entryAdded, entryDeleted}, // a neighbour fails before it goes
		},
	} {
		watch := watchKernel(t, n.Place)
		check(t, l.Etcd.Put(within(t), key, c.value))
		want := c.fdb + c.neighbour + c.route
		took := until(t, 2*time.Second, c.what, func() (bool, string) {
			now, err := readKernel(within(t), n)
			is := differences(before, now)
			return err == nil && is == want, is
		})
		t.Logf("%s: programmed after %v", c.what, took)
		if changes := slices.Compact(watch.changes(t)); !slices.Equal(changes, c.changes) {
			t.Errorf("%s: the kernel tells of %q, want %q", c.what, changes, c.changes)
		}
		awaitStatus(t, n, 2*time.Second, c.what, func(s status) bool { return s.Ready && len(s.Peers) == 2 })
	}
	check(t, l.Etcd.Delete(within(t), key))
	awaitPeers(t, l, 2*time.Second, 1)
	expectKernel(t, n, before)
}

// What is under subnets/ and makes no sense is skipped, counted and shown; the peers beside it are not disturbed.
func TestLeasesThatMakeNoSense(t *testing.T) {
	l := start(t, lab.Options{Nodes: 2, Config: low}, 0)
	awaitPeers(t, l, 5*time.Second, 1)
	n := l.Nodes[0]
	before, watch := kernelOf(t, n), watchKernel(t, n.Place)
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
		check(t, l.Etcd.Put(within(t), lab.DefaultPrefix+"/subnets/"+key, value))
	}
	awaitStatus(t, n, 2*time.Second, "all are skipped", func(s status) bool {
		return s.Ready && len(s.Peers) == 1 && len(s.Skipped) == len(bad)
	})
	expectKernel(t, n, before)
	watch.expectNothing(t)
}
