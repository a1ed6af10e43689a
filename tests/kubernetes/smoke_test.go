package kubernetes

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

// fetch gets a page from a place. It tries again, because a Service may need a moment to reach all nodes.
func fetch(t *testing.T, place sandbox.Namespace, url string) string {
	t.Helper()
	var out string
	cluster.Until(t, 20*time.Second, place.Name+" gets "+url, func() (bool, string) {
		var err error
		out, err = place.Run("curl", "-sS", "--fail", "--max-time", "2", url)
		return err == nil, out
	})
	return out
}

// expectSource expects that a server sees one of these source addresses.
func expectSource(t *testing.T, place sandbox.Namespace, host string, want ...string) {
	t.Helper()
	source, _, err := net.SplitHostPort(fetch(t, place, "http://"+host+"/clientip"))
	if err != nil {
		t.Errorf("%s to %s: %v", place.Name, host, err)
		return
	}
	for _, w := range want {
		if w == source {
			return
		}
	}
	t.Errorf("source address of %s at %s: got %s, want %s", place.Name, host, source, strings.Join(want, " or "))
}

// smoke tests every way of a packet to a pod or from it.
func (k *kube) smoke(t *testing.T) {
	k.kubectl(t, "apply", "-f", "testdata/smoke.yaml")
	k.kubectl(t, "-n", "smoke", "rollout", "status", "daemonset/web", "--timeout=90s", "--request-timeout=0")
	pods := k.podsOf(t, "smoke", "app=web")
	if len(pods) != len(k.nodes) {
		t.Fatalf("%d pods on %d nodes, want one on each", len(pods), len(k.nodes))
	}
	service := k.get(t, "{.spec.clusterIP}", "-n", "smoke", "service", "web")
	local := k.get(t, "{.spec.clusterIP}", "-n", "smoke", "service", "local")
	for _, p := range pods {
		for _, q := range pods {
			expectSource(t, p.Namespace, q.address+":8080", p.address) // no NAT, not even to itself
		}
		seen := map[string]bool{}
		cluster.Until(t, 20*time.Second, p.name+" reaches all pods behind the Service", func() (bool, string) {
			seen[fetch(t, p.Namespace, "http://"+service+"/hostname")] = true
			return len(seen) == len(pods), fmt.Sprint(seen)
		})
		if got := fetch(t, p.Namespace, "http://"+local+"/hostname"); got != p.name {
			t.Errorf("Service with local traffic policy, asked by %s: got %s, want the pod itself", p.name, got)
		}
		out := k.kubectl(t, "-n", "smoke", "exec", p.name, "--", "curl", "-sS", "--max-time", "10", "http://web.smoke.svc.cluster.local/hostname")
		if !strings.HasPrefix(out, "web-") {
			t.Errorf("Service by name, asked by %s: got %q, want a pod web-...", p.name, out)
		}
		expectSource(t, p.Namespace, outside+":8080", k.node(p.node).address) // masqueraded
	}
	for _, n := range k.nodes {
		for _, p := range pods {
			fetch(t, n.net, "http://"+p.address+":8080/hostname")
		}
		fetch(t, k.underlay, fmt.Sprintf("http://%s:30080/hostname", n.address))
		for _, m := range k.nodes {
			fetch(t, m.net, fmt.Sprintf("http://%s:30080/hostname", n.address))
		}
		fetch(t, k.underlay, fmt.Sprintf("http://%s:9999/hostname", n.address)) // hostPort
		fetch(t, pods[0].Namespace, fmt.Sprintf("http://%s:9999/hostname", n.address))
	}
	k.kubectl(t, "delete", "namespace", "smoke", "--wait=false")
}

func (k *kube) node(name string) *node {
	for _, n := range k.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}
