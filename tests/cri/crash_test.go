package cri

import (
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// leaveReservation writes an empty file of host-local, as a power cut leaves it. It reserves an address of the same pod
// subnet as other.
func (m *machine) leaveReservation(t *testing.T, other netip.Addr) {
	t.Helper()
	parts := other.As4()
	parts[3] = 200
	cluster.Check(t, os.WriteFile(m.disk("var/lib/cni/networks/podlane", netip.AddrFrom4(parts).String()), nil, 0o600))
}

// Containerd and its shims are killed, so all sandboxes are dead. GC frees their addresses and nothing else. containerd
// 1.x never calls GC; other runtimes do after their start.
func TestGCAfterTheRuntimeCrashed(t *testing.T) {
	l, all := start(t)
	m, far := all[0], all[1].addPod(t, "far")
	for _, c := range []struct {
		name  string
		cache string // the runtime's cache of attachments: libcni runs DEL for each. An empty one: the runtime forgot them.
		away  func(*testing.T, *lab.Node)
	}{
		{"cached", m.disk("var/lib/cni"), func(*testing.T, *lab.Node) {}},
		{"not-cached", t.TempDir(), func(*testing.T, *lab.Node) {}},
		{"node-not-ready", t.TempDir(), func(t *testing.T, n *lab.Node) {
			cluster.Kill(t, n)
			cluster.Check(t, os.Remove(n.NodeFile()))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dead := []*pod{m.addPod(t, c.name+"1"), m.addPod(t, c.name+"2", &cri.PortMapping{ContainerPort: 80, HostPort: 8080})}
			m.killRuntime(t)
			m.killShims(t)
			m.startRuntime(t)
			m.awaitRuntime(t)
			live := m.addPod(t, c.name+"3")
			m.expectReserved(t, "after the crash", dead[0], dead[1], live)
			valid := m.sandboxes(t, cri.PodSandboxState_SANDBOX_READY)
			if !slices.Equal(valid, []string{live.id}) {
				t.Fatalf("sandboxes %v are ready, want %s alone", valid, live.id)
			}
			traffic := flood(t, [2]*pod{live, far})
			m.leaveReservation(t, live.addrs[0])
			c.away(t, m.Node)
			plugins, list := m.plugins(t, c.cache)
			cluster.Check(t, plugins.GCNetworkList(cluster.Within(t), list, &libcni.GCArgs{
				ValidAttachments: []types.GCAttachment{{ContainerID: live.id, IfName: "eth0"}},
			}))
			m.expectReserved(t, "after the GC", live)
			for _, p := range dead { // the kubelet removes them later; this must not free anything else
				p.remove(t)
			}
			m.expectReserved(t, "after the removal of the dead", live)
			traffic.ExpectNothingLost(t)
			m.clear(t)
			if !l.Nodes[0].Running() {
				cluster.Check(t, l.Nodes[0].Start(cluster.Within(t)))
			}
		})
	}
	all[1].clear(t)
}
