package cri

import (
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/podlane/podlane/tests/cluster"
)

// A node loses its power and boots. Containerd finds sandboxes on its disk without their namespaces. Some are removed
// before podlaned runs and some after; all their addresses are free again.
func TestNodeRebootsWithStaleSandboxes(t *testing.T) {
	l, all := start(t)
	n, m := l.Nodes[0], all[0]
	early, late := m.addPod(t, "early"), m.addPod(t, "late", &cri.PortMapping{ContainerPort: 80, HostPort: 8080})
	stay := [2]*pod{all[1].addPod(t, "x"), all[1].addPod(t, "y")}
	others, subnet := flood(t, stay), cluster.SubnetText(t, n)

	m.powerOff(t)
	cluster.Check(t, n.Reboot(cluster.Within(t)))
	m.boot(t)
	m.awaitRuntime(t)
	stale, want := m.sandboxes(t, cri.PodSandboxState_SANDBOX_NOTREADY), []string{early.id, late.id}
	slices.Sort(stale)
	slices.Sort(want)
	if diff := gocmp.Diff(want, stale); diff != "" {
		t.Fatalf("stale sandboxes (-want +got):\n%s", diff)
	}
	if id, err := m.runSandbox(cluster.Within(t), m.sandboxConfig("hasty")); err == nil {
		t.Errorf("sandbox %s was made before podlaned ran", id)
	} else {
		expectWords(t, err, []string{"there is no node file " + n.NodeFile()})
	}
	m.expectReserved(t, "after the boot", early, late)
	early.remove(t)
	m.expectReserved(t, "after one is removed without podlaned", late)

	cluster.Check(t, n.Start(cluster.Within(t)))
	if now := cluster.SubnetText(t, n); now != subnet {
		t.Errorf("pod subnet %s, want %s as before the boot", now, subnet)
	}
	p := m.addPod(t, "new", &cri.PortMapping{ContainerPort: 80, HostPort: 8080})
	m.expectReserved(t, "after a new pod", late, p)
	late.remove(t)
	m.expectReserved(t, "after the other is removed", p)
	across := flood(t, [2]*pod{p, stay[0]})
	across.ExpectNothingLost(t)
	others.ExpectNothingLost(t)
	for _, m := range all {
		m.clear(t)
	}
}
