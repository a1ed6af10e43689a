package cri

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

// reserved returns the addresses that host-local has reserved on the machine, in order.
func (m *machine) reserved(t *testing.T) (all []netip.Addr) {
	t.Helper()
	files, err := filepath.Glob(m.disk("var/lib/cni/networks/podlane/*"))
	cluster.Check(t, err)
	for _, f := range files {
		if addr, err := netip.ParseAddr(filepath.Base(f)); err == nil { // the others are a lock and the last reserved address
			all = append(all, addr)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

// expectReserved expects that exactly these pods' addresses are reserved.
func (m *machine) expectReserved(t *testing.T, when string, pods ...*pod) {
	t.Helper()
	var want []netip.Addr
	for _, p := range pods {
		want = append(want, p.addrs...)
	}
	slices.SortFunc(want, netip.Addr.Compare)
	if diff := gocmp.Diff(want, m.reserved(t), cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s: %s: reserved addresses (-want +got):\n%s", m.Name, when, diff)
	}
}

// sandboxes returns the ids of containerd's sandboxes in a state.
func (m *machine) sandboxes(t *testing.T, state cri.PodSandboxState) (ids []string) {
	t.Helper()
	r, err := m.runtime.ListPodSandbox(cluster.Within(t), &cri.ListPodSandboxRequest{
		Filter: &cri.PodSandboxFilter{State: &cri.PodSandboxStateValue{State: state}},
	})
	cluster.Check(t, err)
	for _, s := range r.Items {
		ids = append(ids, s.Id)
	}
	return ids
}

// clear removes all pods of the machine and reports everything that they leave behind.
func (m *machine) clear(t *testing.T) {
	t.Helper()
	for _, state := range []cri.PodSandboxState{cri.PodSandboxState_SANDBOX_READY, cri.PodSandboxState_SANDBOX_NOTREADY} {
		for _, id := range m.sandboxes(t, state) {
			cluster.Check(t, m.removeSandbox(cluster.Within(t), id))
		}
	}
	m.expectReserved(t, "all pods are removed")
	// The kernel removes a network namespace after its last process has ended: ctr does not wait for that.
	cluster.Until(t, within5, m.Name+" has no devices on the bridge", func() (bool, string) {
		veths := m.veths(t)
		return veths == "", veths
	})
	if rules := cluster.Run(t, m.Place, "nft list ruleset"); strings.Contains(rules, "CNI-DN-") {
		t.Errorf("%s: rules of hostPorts are left:\n%s", m.Name, rules)
	}
	cached, err := filepath.Glob(m.disk("var/lib/cni/results/*"))
	if err != nil || len(cached) > 0 {
		t.Errorf("%s: cached results are left: %v, error %v", m.Name, cached, err)
	}
	mounts, err := os.ReadFile(sandbox.Root(m.init.Process.Pid) + "/proc/1/mounts")
	if err != nil || strings.Contains(string(mounts), "/run/containerd/io") {
		t.Errorf("%s: mounts of pods are left: error %v\n%s", m.Name, err, mounts)
	}
}

// veths returns the machine's ends of its pods' interfaces.
func (m *machine) veths(t *testing.T) string {
	t.Helper()
	return cluster.Run(t, m.Place, "ip -o link show type bridge_slave")
}
