package kubernetes

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/tests/cluster"
)

// subnets is the pod subnets in etcd by the names of their nodes.
func (k *kube) subnets(t *testing.T) map[string]string {
	t.Helper()
	code := base64.StdEncoding.EncodeToString
	prefix := "/podlane/network/subnets/"
	out, err := k.underlay.Run("curl", "-sS", "--fail", "--max-time", "5", "--cacert", etcdPKI+"/ca.crt",
		"--cert", etcdPKI+"/client.crt", "--key", etcdPKI+"/client.key", k.etcd+"/v3/kv/range", "-d",
		fmt.Sprintf(`{"key":%q,"range_end":%q}`, code([]byte(prefix)), code([]byte(prefix+"~"))))
	cluster.Check(t, err)
	var answer struct{ Kvs []struct{ Key, Value []byte } }
	cluster.Check(t, json.Unmarshal([]byte(out), &answer))
	subnets := map[string]string{}
	for _, kv := range answer.Kvs {
		var value struct{ BackendData struct{ Node string } }
		cluster.Check(t, json.Unmarshal(kv.Value, &value))
		subnets[value.BackendData.Node] = strings.TrimPrefix(string(kv.Key), prefix)
	}
	return subnets
}

// ready waits until a node is Ready and its pods have a network. A kubelet that looks for its Node before it has made it
// anew gives up after 140 s and begins again.
func (k *kube) ready(t *testing.T, n *node) {
	t.Helper()
	cluster.Until(t, 2*minute, n.name+" is known", func() (bool, string) {
		out, err := k.try(t, "get", "node", n.name)
		return err == nil, out
	})
	k.kubectl(t, "wait", "--for=condition=Ready", "node/"+n.name, "--timeout=300s", "--request-timeout=0")
	k.settled(t)
}

// others is the nodes but one.
func (k *kube) others(not *node) []*node {
	return slices.DeleteFunc(slices.Clone(k.nodes), func(n *node) bool { return n == not })
}

// A node that loses its power and comes back has the pod subnet it had, and costs the others nothing.
func (k *kube) powerCut(t *testing.T) {
	victim := k.nodes[2]
	before := k.subnets(t)
	f := k.flood(t, k.others(victim)...)
	victim.powerOff(t, k.underlay)
	cluster.Until(t, 2*minute, victim.name+" is seen to be gone", func() (bool, string) {
		status := k.get(t, `{.status.conditions[?(@.type=="Ready")].status}`, "node", victim.name)
		return status == "Unknown", status
	})
	victim.plug(t, k.underlay)
	victim.boot(t, k.images)
	k.ready(t, victim)
	if now := k.subnets(t); now[victim.name] != before[victim.name] || len(now) != len(before) {
		t.Errorf("pod subnets %v, and before %v", now, before)
	}
	f.ExpectNothingLost(t)
	k.flood(t, k.nodes...).ExpectNothingLost(t)
}

// The lease of a node that is taken out of the cluster is released, and no other; it can come back.
func (k *kube) deletedNode(t *testing.T) {
	k.kubectl(t, "-n", "podlane", "rollout", "status", "deployment/podlane-release", "--timeout=60s", "--request-timeout=0")
	host := k.get(t, "{.items[0].spec.nodeName}", "-n", "podlane", "pods", "-l", "app.kubernetes.io/component=release")
	victim := k.nodes[2]
	if host == victim.name {
		victim = k.nodes[1]
	}
	before := k.subnets(t)
	f := k.flood(t, k.others(victim)...)
	victim.powerOff(t, k.underlay)
	k.kubectl(t, "delete", "node", victim.name)
	began := time.Now()
	cluster.Until(t, minute, "the lease of "+victim.name+" is released", func() (bool, string) {
		now := k.subnets(t)
		return now[victim.name] == "", fmt.Sprint(now)
	})
	t.Logf("released %v after the Node was deleted", time.Since(began).Round(time.Second))
	for _, n := range k.others(victim) {
		if k.subnets(t)[n.name] != before[n.name] {
			t.Errorf("%s had %s, and now the leases are %v", n.name, before[n.name], k.subnets(t))
		}
	}
	victim.plug(t, k.underlay)
	victim.boot(t, k.images)
	k.ready(t, victim)
	f.ExpectNothingLost(t)
	k.flood(t, k.nodes...).ExpectNothingLost(t)
}
