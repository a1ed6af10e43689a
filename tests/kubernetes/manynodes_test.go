package kubernetes

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/tests/cluster"
)

const (
	manyNodes = 1000
	// maxMemory is how much memory podlane-kube may use with that many nodes, in KiB.
	maxMemory = 45 * 1024
)

// fakeNode is a Node without a machine, as another podlane or flannel would announce it. Pods are not scheduled to it,
// because it has no label kubernetes.io/os.
func fakeNode(i int) any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Node",
		"metadata": map[string]any{
			"name": fmt.Sprintf("fake-%d", i), "labels": map[string]string{"test/fake": "yes"},
			"annotations": map[string]string{
				"flannel.alpha.coreos.com/kube-subnet-manager": "true",
				"flannel.alpha.coreos.com/backend-type":        "vxlan",
				"flannel.alpha.coreos.com/backend-data":        fmt.Sprintf(`{"VNI":1,"VtepMAC":"02:fa:00:00:%02x:%02x"}`, i/256, i%256),
				"flannel.alpha.coreos.com/public-ip":           fmt.Sprintf("10.90.%d.%d", i/250, i%250+1),
			},
		},
		"spec": map[string]any{"podCIDR": fakeSubnet(i), "podCIDRs": []string{fakeSubnet(i)}},
	}
}

func fakeSubnet(i int) string { return fmt.Sprintf("10.%d.%d.0/24", 252+i/256, i%256) }

// thousandNodes adds Nodes until there are 1,000. All become peers. podlane-kube needs little memory for them.
func (k *kube) thousandNodes(t *testing.T) {
	f := k.flood(t, k.nodes...)
	added := manyNodes - len(k.nodes)
	list := map[string]any{"apiVersion": "v1", "kind": "List"}
	var items []any
	for i := range added {
		items = append(items, fakeNode(i))
	}
	list["items"] = items
	text, err := json.Marshal(list)
	cluster.Check(t, err)
	cluster.Check(t, writeFile(disks+"/many.json", string(text)))
	began := time.Now()
	k.kubectl(t, "create", "-f", disks+"/many.json", "--request-timeout=0")
	t.Logf("%d Nodes were created in %v", added, time.Since(began).Round(time.Second))
	k.awaitFakePeers(t, added)
	k.expectLittleMemory(t)
	for _, n := range k.nodes { // it lists all Nodes again, at once
		old := n.processes(t, "podlane-kube")
		n.kill(t, "podlane-kube")
		cluster.Until(t, minute, "podlane-kube runs again on "+n.name, func() (bool, string) {
			now := n.processes(t, "podlane-kube")
			return now != "" && now != old, now
		})
	}
	k.awaitReady(t)
	k.awaitFakePeers(t, added)
	k.awaitSteadyMemory(t)
	k.expectLittleMemory(t)
	k.kubectl(t, "delete", "nodes", "-l", "test/fake", "--wait=false", "--request-timeout=0")
	k.awaitFakePeers(t, 0)
	f.ExpectNothingLost(t)
}

// expectLittleMemory expects that podlane-kube uses little memory on all nodes, and did so since it started.
func (k *kube) expectLittleMemory(t *testing.T) {
	t.Helper()
	for _, n := range k.nodes {
		now, most := k.memoryOf(t, n, "podlane-kube")
		t.Logf("%s: podlane-kube uses %d KiB, at most %d KiB", n.name, now, most)
		if most > maxMemory {
			t.Errorf("%s: podlane-kube used %d KiB, want at most %d", n.name, most, maxMemory)
		}
	}
}

// awaitSteadyMemory waits until no podlane-kube has used more memory than before for 10 s.
func (k *kube) awaitSteadyMemory(t *testing.T) {
	t.Helper()
	last, since := "", time.Now()
	cluster.Until(t, minute, "the memory of podlane-kube does not grow", func() (bool, string) {
		sizes := ""
		for _, n := range k.nodes {
			_, most := k.memoryOf(t, n, "podlane-kube")
			sizes += fmt.Sprint(most, " ")
		}
		if sizes != last {
			last, since = sizes, time.Now()
		}
		return time.Since(since) > 10*time.Second, sizes
	})
}

// awaitFakePeers waits until the nodes have routes to this number of added nodes.
func (k *kube) awaitFakePeers(t *testing.T, want int) {
	t.Helper()
	began := time.Now()
	for _, n := range k.nodes {
		cluster.Until(t, 2*minute, fmt.Sprintf("%s has %d peers that were added", n.name, want), func() (bool, string) {
			routes := strings.Count(runIn(t, n.net, "ip route show root 10.252.0.0/14"), "\n")
			return routes == want, strconv.Itoa(routes)
		})
	}
	t.Logf("all nodes have them after %v", time.Since(began).Round(time.Second))
}

// memoryOf returns how much memory a program on a node uses, and what it used at most, in KiB.
func (k *kube) memoryOf(t *testing.T, n *node, program string) (now, most int) {
	t.Helper()
	out, err := n.run(t, "sh", "-c", `for p in /proc/[0-9]*; do case $(readlink $p/exe) in */`+program+`) cat $p/status;; esac; done`)
	cluster.Check(t, err)
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "VmRSS:"):
			now, err = strconv.Atoi(words[1])
		case strings.HasPrefix(line, "VmHWM:"):
			most, err = strconv.Atoi(words[1])
		}
		cluster.Check(t, err)
	}
	if now == 0 {
		t.Fatalf("no %s runs on %s: %s", program, n.name, out)
	}
	return now, most
}
