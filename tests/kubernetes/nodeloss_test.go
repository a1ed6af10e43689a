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

// subnets returns the pod subnets in podlane's store by the names of their nodes.
func (k *kube) subnets(t *testing.T) map[string]string {
	t.Helper()
	if k.etcd == "" {
		return k.announced(t)
	}
	return k.leases(t)
}

// announced returns the podCIDRs of the Nodes that have podlane's annotations.
func (k *kube) announced(t *testing.T) map[string]string {
	t.Helper()
	subnets := map[string]string{}
	for line := range strings.Lines(k.get(t, `{range .items[*]}{.metadata.name} {.spec.podCIDRs[*]} {.metadata.annotations.flannel\.alpha\.coreos\.com/kube-subnet-manager}{"\n"}{end}`, "nodes")) {
		if words := strings.Fields(line); len(words) > 2 && words[len(words)-1] == "true" {
			subnets[words[0]] = strings.Join(words[1:len(words)-1], ",")
		}
	}
	return subnets
}

// leases returns the pod subnets in etcd.
func (k *kube) leases(t *testing.T) map[string]string {
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

// awaitNode waits until a node is Ready and its pods have a network. A kubelet may look for its Node before it has
// created it again. It then gives up after 140 s and starts again.
func (k *kube) awaitNode(t *testing.T, n *node) {
	t.Helper()
	cluster.Until(t, 2*minute, n.name+" is registered", func() (bool, string) {
		out, err := k.try(t, "get", "node", n.name)
		return err == nil, out
	})
	k.kubectl(t, "wait", "--for=condition=Ready", "node/"+n.name, "--timeout=300s", "--request-timeout=0")
	k.awaitRollout(t)
}

// otherNodes returns all nodes but one.
func (k *kube) otherNodes(excluded *node) []*node {
	return slices.DeleteFunc(slices.Clone(k.nodes), func(n *node) bool { return n == excluded })
}

// A node loses its power and boots again. It keeps its pod subnet. The other nodes' pods lose nothing.
func (k *kube) powerCut(t *testing.T) {
	target := k.nodes[2]
	before := k.subnets(t)
	f := k.flood(t, k.otherNodes(target)...)
	target.powerOff(t, k.underlay)
	cluster.Until(t, 2*minute, target.name+" is reported as gone", func() (bool, string) {
		status := k.get(t, `{.status.conditions[?(@.type=="Ready")].status}`, "node", target.name)
		return status == "Unknown", status
	})
	target.plug(t, k.underlay)
	target.boot(t, k.cluster, k.images)
	k.awaitNode(t, target)
	if now := k.subnets(t); now[target.name] != before[target.name] || len(now) != len(before) {
		t.Errorf("pod subnets %v, want %v as before", now, before)
	}
	f.ExpectNothingLost(t)
	k.flood(t, k.nodes...).ExpectNothingLost(t)
}

// A node is deleted from the cluster. Its lease is released, and no other. The node can join again.
func (k *kube) deletedNode(t *testing.T) {
	target := k.nodes[2]
	if k.etcd != "" {
		k.kubectl(t, "-n", "podlane", "rollout", "status", "deployment/podlane-release", "--timeout=60s", "--request-timeout=0")
		host := k.get(t, "{.items[0].spec.nodeName}", "-n", "podlane", "pods", "-l", "app.kubernetes.io/component=release")
		if host == target.name {
			target = k.nodes[1]
		}
	}
	before := k.subnets(t)
	f := k.flood(t, k.otherNodes(target)...)
	target.powerOff(t, k.underlay)
	k.kubectl(t, "delete", "node", target.name, "--wait=false")
	k.awaitReleased(t, target, before[target.name])
	for _, n := range k.otherNodes(target) {
		if k.subnets(t)[n.name] != before[n.name] {
			t.Errorf("%s: want pod subnet %s as before, leases: %v", n.name, before[n.name], k.subnets(t))
		}
	}
	target.plug(t, k.underlay)
	target.boot(t, k.cluster, k.images)
	k.awaitNode(t, target)
	f.ExpectNothingLost(t)
	k.flood(t, k.nodes...).ExpectNothingLost(t)
}

// awaitReleased waits until a deleted Node has left. In the store kubernetes, the other nodes remove its routes within a
// second.
func (k *kube) awaitReleased(t *testing.T, target *node, subnet string) {
	t.Helper()
	if k.etcd != "" {
		took := cluster.Until(t, minute, "the lease of "+target.name+" is released", func() (bool, string) {
			now := k.subnets(t)
			return now[target.name] == "", fmt.Sprint(now)
		})
		t.Logf("the lease was released after the Node was deleted: %v", took)
		return
	}
	took := cluster.Until(t, time.Second, "the other nodes have no route to "+target.name, func() (bool, string) {
		all := ""
		for _, n := range k.otherNodes(target) {
			all += runIn(t, n.net, "ip route show exact "+subnet)
		}
		return all == "", all
	})
	t.Logf("the routes were removed after the Node was deleted: %v", took)
}
