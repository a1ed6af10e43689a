package cri

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// podlaned and containerd end in every way and start again. The sandboxes live on, and new ones are made meanwhile.
func TestDaemonsRestartUnderLiveSandboxes(t *testing.T) {
	l, all := start(t)
	n, m := l.Nodes[0], all[0]
	a, b, c := m.addPod(t, "a"), m.addPod(t, "b"), all[1].addPod(t, "c")
	traffic := flood(t, [2]*pod{a, b}, [2]*pod{a, c})
	for _, end := range []struct {
		name string
		of   func(*testing.T, *lab.Node)
	}{{"terminated", cluster.Stop}, {"killed", cluster.Kill}} {
		end.of(t, n)
		p := m.addPod(t, end.name) // ADD needs only the node file, not podlaned
		flood(t, [2]*pod{p, c}).ExpectNothingLost(t)
		cluster.Check(t, n.Start(cluster.Within(t)))
		p.remove(t)
	}
	m.killRuntime(t)
	m.startRuntime(t)
	m.awaitRuntime(t)
	if ready := m.sandboxes(t, cri.PodSandboxState_SANDBOX_READY); len(ready) != 2 {
		t.Errorf("sandboxes %v are ready after containerd's restart, want two", ready)
	}
	if _, err := a.exec(t, "busybox", "true"); err != nil {
		t.Error(err)
	}
	traffic.ExpectNothingLost(t)
	for _, m := range all {
		m.clear(t)
	}
}

// After an upgrade of podlaned alone, or a downgrade of the plugins, no pod fails: the list names podlane-gate only if
// it is installed.
func TestPodlaneGateIsNotInstalled(t *testing.T) {
	_, all := start(t)
	m := all[0]
	gate := m.disk("opt/cni/bin/podlane-gate")
	for _, c := range []struct {
		name   string
		change func() error
		named  bool
	}{
		{"installed", func() error { return nil }, true},
		{"missing", func() error { return os.Rename(gate, gate+".away") }, false},
		{"again", func() error { return os.Rename(gate+".away", gate) }, true},
	} {
		cluster.Check(t, c.change())
		cluster.Check(t, m.Restart(cluster.Within(t)))
		text, err := os.ReadFile(conflist(m.Name))
		cluster.Check(t, err)
		if named := strings.Contains(string(text), "podlane-gate"); named != c.named {
			t.Errorf("podlane-gate is %s: list names it: got %v, want %v: %s", c.name, named, c.named, text)
		}
		s, err := cluster.StatusOf(cluster.Within(t), m.Node)
		cluster.Check(t, err)
		if !s.Ready || len(s.Problems) > 0 {
			t.Errorf("podlane-gate is %s: ready %v, problems %q; want it ready without problems", c.name, s.Ready, s.Problems)
		}
		if noted := strings.Contains(strings.Join(s.Notes, " "), "podlane-gate"); noted == c.named {
			t.Errorf("podlane-gate is %s: a note names it: got %v, want %v: %q", c.name, noted, !c.named, s.Notes)
		}
		cluster.Until(t, within5, "containerd has read the list that is written while podlane-gate is "+c.name, func() (bool, string) {
			id, err := m.runSandbox(cluster.Within(t), m.sandboxConfig(c.name))
			if err == nil {
				err = m.removeSandbox(cluster.Within(t), id)
			}
			return err == nil, fmt.Sprint(err)
		})
	}
}

// While podlaned has no network for pods, ADD returns the reason. It succeeds once the reason is gone.
func TestPodsBeforeTheNodeIsReady(t *testing.T) {
	l, all := build(t)
	n, m := l.Nodes[0], all[0]
	if ready, message := m.networkReady(t); ready {
		t.Errorf("containerd has a network without podlaned: %s", message)
	}
	m.expectRefused(t, "cni plugin not initialized")
	cluster.Check(t, l.StartAll(cluster.Within(t)))
	m.awaitNetwork(t)
	m.expectAccepted(t)

	cluster.Kill(t, n)
	cluster.Check(t, os.Remove(n.NodeFile())) // as at a boot, which keeps the configuration list
	m.expectRefused(t, "there is no node file "+n.NodeFile())
	m.expectNotReady(t, "there is no node file "+n.NodeFile())
	cluster.Check(t, n.Start(cluster.Within(t)))
	m.expectAccepted(t)

	key := cluster.LeaseKey(cluster.SubnetText(t, n))
	cluster.Check(t, l.Etcd.Put(cluster.Within(t), key, cluster.ForeignLease))
	cluster.Until(t, within5, "the node file refuses pods", func() (bool, string) {
		reason := cluster.NodeFile(t, n)["PODLANE_NOT_READY"]
		return reason != "", reason
	})
	m.expectRefused(t, "no new pod may be attached", "thief")
	m.expectNotReady(t, "no new pod may be attached", "thief")
	cluster.Check(t, l.Etcd.Delete(cluster.Within(t), key))
	cluster.AwaitStatus(t, n, within5, "ready", func(s cluster.Status) bool { return s.Ready })
	m.expectAccepted(t)
}

// expectRefused expects that no sandbox can be made, for a reason with these words, and that no address stays reserved.
// containerd keeps the failed sandbox until clear: without a CNI configuration it refuses its removal too.
func (m *machine) expectRefused(t *testing.T, words ...string) {
	t.Helper()
	id, err := m.runSandbox(cluster.Within(t), m.sandboxConfig("early"))
	if err == nil {
		t.Fatalf("sandbox %s was made", id)
	}
	expectWords(t, err, words)
	m.expectReserved(t, "after a refusal")
	if veths := m.veths(t); veths != "" {
		t.Errorf("%s: devices are left on the bridge:\n%s", m.Name, veths)
	}
}

// expectNotReady expects that STATUS returns the code for "not available", with these words.
func (m *machine) expectNotReady(t *testing.T, words ...string) {
	t.Helper()
	plugins, list := m.plugins(t, t.TempDir())
	err := plugins.GetStatusNetworkList(cluster.Within(t), list)
	var e *types.Error
	if !errors.As(err, &e) || e.Code != types.ErrPluginNotAvailable {
		t.Fatalf("STATUS: got %v, want code %d", err, types.ErrPluginNotAvailable)
	}
	expectWords(t, err, words)
}

// expectAccepted expects that STATUS succeeds and a sandbox can be made. It removes all refused sandboxes.
func (m *machine) expectAccepted(t *testing.T) {
	t.Helper()
	plugins, list := m.plugins(t, t.TempDir())
	cluster.Check(t, plugins.GetStatusNetworkList(cluster.Within(t), list))
	_, err := m.runSandbox(cluster.Within(t), m.sandboxConfig("late"))
	cluster.Check(t, err)
	m.clear(t)
}

func expectWords(t *testing.T, err error, words []string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q, want %q in it", err, w)
		}
	}
}
