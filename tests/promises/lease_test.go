package promises

import (
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// An operator's command deletes the configuration and all leases, but the nodes still run.
func TestAllKeysAreDeleted(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 3}, 1)
	cluster.AwaitPeers(t, l, within5, 2)
	pods := l.Pods()
	before, err := l.Etcd.List(cluster.Within(t), lab.DefaultPrefix)
	cluster.Check(t, err)
	f := cluster.StartFlood(t, [2]*lab.Pod{pods[0], pods[1]}, [2]*lab.Pod{pods[1], pods[2]})
	_, err = l.Etcd.Client.Delete(cluster.Within(t), lab.DefaultPrefix, clientv3.WithPrefix())
	cluster.Check(t, err)
	cluster.Until(t, within5, "all keys are back", func() (bool, string) {
		now, err := l.Etcd.List(cluster.Within(t), lab.DefaultPrefix)
		cluster.Check(t, err)
		for key, value := range before {
			if now[key] != value {
				return false, key + ": " + now[key]
			}
		}
		return true, ""
	})
	cluster.AwaitPeers(t, l, within5, 2)
	f.ExpectNothingLost(t)
}

// While podlaned is stopped, another node gets its pod subnet. The pods go on. No new pod is attached, and ADD returns
// the reason. None gets an address of another subnet.
func TestPodSubnetTakenByAnotherNodeIsReported(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 2}, 1)
	cluster.AwaitPeers(t, l, within5, 1)
	n, pod := l.Nodes[0], l.Pods()[0]
	own, file := cluster.SubnetText(t, n), cluster.NodeFile(t, n)
	cluster.Stop(t, n)
	foreignLease := `{"PublicIP":"198.18.7.1","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"ba:11:22:33:44:55","NodeID":"thief","Node":"thief"}}`
	cluster.Check(t, l.Etcd.Delete(cluster.Within(t), cluster.LeaseKey(own)))
	cluster.Check(t, l.Etcd.Put(cluster.Within(t), cluster.LeaseKey(own), foreignLease))
	cluster.Check(t, n.Launch(cluster.Within(t)))
	cluster.AwaitStatus(t, n, within5, "the conflict is named", func(s cluster.Status) bool {
		problems := strings.Join(s.Problems, " ")
		return !s.Ready && strings.Contains(problems, strings.ReplaceAll(own, "-", "/")) && strings.Contains(problems, "thief")
	})
	cluster.Until(t, within5, "the node file has the reason", func() (bool, string) {
		now := cluster.NodeFile(t, n)
		return strings.Contains(now["PODLANE_NOT_READY"], "thief") && now["PODLANE_SUBNET"] == file["PODLANE_SUBNET"], now["PODLANE_NOT_READY"]
	})
	if _, err := l.AddPod(cluster.Within(t), n, "late"); err == nil || !strings.Contains(err.Error(), "thief") {
		t.Errorf("add a pod: %v, want an error that names the thief", err)
	}
	if _, err := pod.Ping(cluster.Within(t), cluster.Gateway(t, n, pod.Addrs[0]), 1); err != nil {
		t.Errorf("ping from the old pod: %v", err)
	}
	cluster.Check(t, l.Etcd.Delete(cluster.Within(t), cluster.LeaseKey(own)))
	cluster.AwaitStatus(t, n, within5, "ready", func(s cluster.Status) bool { return s.Ready && len(s.Peers) == 1 })
	if now := cluster.SubnetText(t, n); now != own {
		t.Errorf("pod subnet %s, want %s as before", now, own)
	}
	cluster.Until(t, within5, "pods of both nodes talk", func() (bool, string) {
		_, err := pod.Ping(cluster.Bounded(t, time.Second), l.Pods()[1].Addrs[0], 1)
		return err == nil, "no answer"
	})
}

// A mistyped prefix is not an etcd that lost its data.
func TestMistypedEtcdPrefixIsRefused(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 1}, 0)
	n := l.Nodes[0]
	cluster.Stop(t, n)
	output := cluster.RunFails(t, n.Place, "podlaned --etcd-prefix /typo")
	for _, want := range []string{"/typo/config: there is no network configuration in etcd", "it is of the etcd prefix " + lab.DefaultPrefix} {
		if !strings.Contains(output, want) {
			t.Errorf("want %q in the output: %s", want, output)
		}
	}
	if keys, err := l.Etcd.List(cluster.Within(t), "/typo"); err != nil || len(keys) != 0 {
		t.Errorf("keys below the mistyped prefix: %v, error %v; want none", keys, err)
	}
}

// The node's address and MTU change while podlaned runs and pods exist.
func TestUnderlayChanges(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 2}, 1)
	cluster.AwaitPeers(t, l, within5, 1)
	n, pods := l.Nodes[0], l.Pods()
	own := cluster.SubnetText(t, n)
	cluster.Run(t, n.Place, "ip link set eth0 mtu 600")
	small := cluster.AwaitStatus(t, n, within5, "too small an MTU is reported", func(s cluster.Status) bool {
		return !s.Ready && strings.Contains(strings.Join(s.Problems, " "), "MTU of 600")
	})
	cluster.Run(t, n.Place, "ip link set eth0 mtu 1500")
	again := cluster.AwaitStatus(t, n, within5, "ready", func(s cluster.Status) bool { return s.Ready })
	t.Logf("too small an MTU is reported after %s, ready again after %s", small, again)
	cluster.Run(t, n.Place, "ip address add 198.18.9.9/16 dev eth0")
	cluster.Run(t, n.Place, "ip address del "+n.Addr.String()+"/16 dev eth0")
	cluster.Run(t, n.Place, "ip address add 198.18.9.9/16 dev eth0")
	cluster.Run(t, n.Place, "ip route replace default via 198.18.0.1")
	took := cluster.Until(t, within5, "the pods talk over the new address", func() (bool, string) {
		_, err := pods[0].Ping(cluster.Bounded(t, time.Second), pods[1].Addrs[0], 1)
		return err == nil, "no answer"
	})
	ready := cluster.AwaitStatus(t, n, within5, "ready on the new address", func(s cluster.Status) bool { return s.Ready })
	t.Logf("another address: the pods talk after %s, and ready %s later", took, ready)
	if now := cluster.SubnetText(t, n); now != own {
		t.Errorf("pod subnet %s, want %s as before", now, own)
	}
}
