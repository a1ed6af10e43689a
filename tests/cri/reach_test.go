package cri

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// Containers of one node and of two nodes reach each other in both families. So do the nodes.
func TestPodsReachEachOther(t *testing.T) {
	l, all := start(t)
	pods := []*pod{all[0].addPod(t, "a"), all[0].addPod(t, "b"), all[1].addPod(t, "c")}
	for _, to := range pods {
		for _, addr := range to.addrs {
			server := netip.AddrPortFrom(addr, 80)
			for _, from := range pods {
				awaitName(t, from.Name, to, func() (string, error) { return from.fetch(t, server) })
			}
			for _, n := range l.Nodes {
				awaitName(t, n.Name, to, func() (string, error) { return get(t, n.Place, server) })
			}
		}
	}
	flood(t, [2]*pod{pods[0], pods[1]}, [2]*pod{pods[0], pods[2]}).ExpectNothingLost(t)
	for _, m := range all {
		m.clear(t)
	}
}

// A container without Kubernetes and without the CRI: ctr calls the plugins itself. The container checks the answer, because ctr
// can lose the output of a short container.
func TestContainerWithoutTheCRI(t *testing.T) {
	_, all := start(t)
	web := all[1].addPod(t, "web")
	for _, addr := range web.addrs {
		server := netip.AddrPortFrom(addr, 80)
		awaitName(t, "a pod", web, func() (string, error) { return web.fetch(t, server) })
		all[0].run(t, "ctr", "run", "--rm", "--cni", "--cgroup", "/"+os.Getenv(cgroupVariable)+"/by-hand", image, "by-hand",
			"busybox", "sh", "-c", `test "$(busybox wget -q -O- http://`+server.String()+`/name)" = web`)
	}
	for _, m := range all {
		m.clear(t)
	}
}

// awaitName waits until a server answers with a pod's name, because its container has just started.
func awaitName(t *testing.T, from string, to *pod, ask func() (string, error)) {
	t.Helper()
	cluster.Until(t, within5, from+" reaches "+to.Name, func() (bool, string) {
		got, err := ask()
		if err != nil {
			return false, err.Error()
		}
		return "pod-"+got == to.Name, got
	})
}

// get returns the name that a server answers to a place of the lab.
func get(t *testing.T, from *lab.Place, server netip.AddrPort) (string, error) {
	t.Helper()
	_, body, err := cluster.GetFrom(cluster.Bounded(t, within5), from, "http://"+server.String()+"/name")
	return strings.TrimSpace(body), err
}

// portmap, the second plugin of podlaned's list, receives the ports of the runtime's request.
func TestHostPortLeadsToAPod(t *testing.T) {
	l, all := start(t)
	web := all[0].addPod(t, "web", &cri.PortMapping{Protocol: cri.Protocol_TCP, ContainerPort: 80, HostPort: 8080})
	near, far := all[0].addPod(t, "near"), all[1].addPod(t, "far")
	for _, addr := range []netip.Addr{all[0].Addr, all[0].Addr6} {
		server := netip.AddrPortFrom(addr, 8080)
		for _, from := range []*pod{web, near, far} {
			awaitName(t, from.Name, web, func() (string, error) { return from.fetch(t, server) })
		}
		for _, from := range []*lab.Place{l.Outside, all[0].Place, all[1].Place} {
			awaitName(t, from.Name, web, func() (string, error) { return get(t, from, server) })
		}
	}
	web.remove(t)
	if got, err := get(t, l.Outside, netip.AddrPortFrom(all[0].Addr, 8080)); err == nil {
		t.Errorf("the port of a pod that is gone answers: %s", got)
	}
	for _, m := range all {
		m.clear(t)
	}
}
