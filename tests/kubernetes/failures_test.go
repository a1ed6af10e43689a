package kubernetes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/podlane/podlane/tests/cluster"
)

// podOn returns the name of podlane's pod of a component on a node.
func (k *kube) podOn(t *testing.T, n *node, component string) string {
	t.Helper()
	var name string
	cluster.Until(t, minute, "one pod of the component "+component+" on "+n.name, func() (bool, string) {
		out := k.get(t, `{range .items[*]}{.metadata.name}{" "}{.metadata.deletionTimestamp}{"\n"}{end}`, "-n", "podlane", "pods",
			"-l", "app.kubernetes.io/component="+component, "--field-selector=spec.nodeName="+n.name)
		words := strings.Fields(out)
		if len(words) != 1 {
			return false, out
		}
		name = words[0]
		return true, out
	})
	return name
}

// replace deletes podlane's pod of a component on a node. A new one starts.
func (k *kube) replace(t *testing.T, n *node, component string) {
	t.Helper()
	k.kubectl(t, "-n", "podlane", "delete", "pod", k.podOn(t, n, component), "--request-timeout=0")
}

// removeState removes podlaned's saved state on a node, so its next start is like the first. Until end is called, a
// folder in its place stops podlaned from saving again when it exits.
func (k *kube) removeState(t *testing.T, n *node) (end func()) {
	t.Helper()
	file := n.disk("fs/var/lib/podlane/state.json")
	cluster.Until(t, minute, n.name+": the saved state is removed", func() (bool, string) {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err.Error()
		}
		err := os.Mkdir(file, 0o755) // podlaned may have been quicker
		return err == nil, fmt.Sprint(err)
	})
	return func() { cluster.Check(t, os.Remove(file)) }
}

// expectUnready waits until podlaned's readiness on a node names the problem. attach reports whether pods can still be
// attached, and so whether podlaned's own pod is ready.
func (k *kube) expectUnready(t *testing.T, n *node, attach bool, words ...string) {
	t.Helper()
	cluster.Until(t, 2*minute, "podlaned on "+n.name+" is not ready: "+strings.Join(words, " "), func() (bool, string) {
		out, err := n.net.Run("curl", "-sS", "--max-time", "2", "http://127.0.0.1:9472/readyz")
		return err == nil && containsAll(out, words) && strings.HasSuffix(out, "not ready\n"), out
	})
	cluster.Until(t, minute, fmt.Sprintf("the pod on %s is ready: %v", n.name, attach), func() (bool, string) {
		out := k.get(t, `{.status.containerStatuses[?(@.name=="podlaned")].ready}`, "-n", "podlane", "pod", k.podOn(t, n, "node"))
		return out == fmt.Sprint(attach), out
	})
}

// expectLine waits until podlaned on a node has logged these words. It must be exactly one line.
func (k *kube) expectLine(t *testing.T, n *node, words ...string) {
	t.Helper()
	var lines []string
	cluster.Until(t, minute, "podlaned on "+n.name+" logs: "+strings.Join(words, " "), func() (bool, string) {
		out, err := k.try(t, "-n", "podlane", "logs", k.podOn(t, n, "node"), "-c", "podlaned")
		lines = nil
		for line := range strings.Lines(out) {
			if containsAll(line, words) {
				lines = append(lines, line)
			}
		}
		return err == nil && len(lines) > 0, out
	})
	if len(lines) > 1 {
		t.Errorf("podlaned on %s logs it more than once:\n%s", n.name, strings.Join(lines, ""))
	}
	t.Log(strings.TrimSpace(lines[0]))
}

func containsAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// expectNoRestarts expects that no container on a node was restarted.
func (k *kube) expectNoRestarts(t *testing.T, n *node) {
	t.Helper()
	out := k.get(t, `{.status.initContainerStatuses[*].restartCount} {.status.containerStatuses[*].restartCount}`, "-n", "podlane", "pod", k.podOn(t, n, "node"))
	if strings.Trim(out, "0 ") != "" {
		t.Errorf("restarts of the containers on %s: %s, want 0", n.name, out)
	}
}

// otherCNI adds another CNI's configuration that sorts before podlane's.
func (k *kube) otherCNI(t *testing.T) {
	n := k.nodes[1]
	file := n.disk("fs/etc/cni/net.d/05-other.conflist")
	cluster.Check(t, os.WriteFile(file, []byte(`{"cniVersion":"1.0.0","name":"other","plugins":[{"type":"bridge"}]}`), 0o644))
	status := func() string {
		out, _ := k.try(t, "-n", "podlane", "exec", k.podOn(t, n, "node"), "-c", "podlaned", "--", "podlaned", "status") // it ends with 1
		return out
	}
	cluster.Until(t, 2*minute, "the status names 05-other.conflist", func() (bool, string) {
		out := status()
		return strings.Contains(out, "05-other.conflist comes before 10-podlane.conflist in /etc/cni/net.d"), out
	})
	k.expectLine(t, n, "other CNI: 05-other.conflist comes before")
	cluster.Check(t, os.Remove(file))
	cluster.Until(t, 2*minute, "the status no longer names it", func() (bool, string) {
		out := status()
		return !strings.Contains(out, "05-other"), out
	})
	k.expectNoRestarts(t, n)
}

// badFolders makes the CNI folders read-only. podlane names them, and the overlay goes on. Once they are writable
// again, nothing else has to be done. A missing folder is created.
func (k *kube) badFolders(t *testing.T) {
	n := k.nodes[1]
	f := k.flood(t, k.nodes...)
	remount := func(folder, how string) {
		if out, err := n.run(t, "mount", "-o", "remount,bind,"+how, folder); err != nil {
			t.Fatal(err, out)
		}
	}
	remount("/opt/cni", "ro")
	cluster.Check(t, os.Remove(n.disk("fs/opt/cni/bin/podlane-cni")))
	k.replace(t, n, "node")
	cluster.Until(t, minute, "the init container fails", func() (bool, string) {
		out, _ := k.try(t, "-n", "podlane", "logs", k.podOn(t, n, "node"), "-c", "install")
		return strings.Contains(out, "read-only file system"), out
	})
	remount("/etc/cni", "ro")
	cluster.Check(t, os.Remove(n.disk("fs/etc/cni/net.d/10-podlane.conflist")))
	remount("/opt/cni", "rw")
	cluster.Check(t, os.RemoveAll(n.disk("fs/opt/cni/bin")))
	k.replace(t, n, "node")
	k.expectUnready(t, n, false, "[-] node-file")
	k.expectLine(t, n, "cni-conf: ", "read-only file system")
	k.expectNoRestarts(t, n)
	remount("/etc/cni", "rw")
	k.replace(t, n, "node")
	k.awaitNode(t, n)
	k.expectNewPod(t, n.name)
	f.ExpectNothingLost(t)
}

// otherAuthority makes the pods not trust etcd. A node that joined before goes on with its saved state. A new one
// waits. Both report it.
func (k *kube) otherAuthority(t *testing.T) {
	old, fresh := k.nodes[1], k.nodes[2]
	f := k.flood(t, k.nodes...)
	k.trustOnly(t, pki)
	k.replace(t, old, "node")
	allowState := k.removeState(t, fresh)
	k.replace(t, fresh, "node")
	k.expectNoEtcd(t, old, fresh, "certificate signed by unknown authority")
	allowState()
	k.trustOnly(t, etcdPKI)
	k.replace(t, old, "node")
	k.replace(t, fresh, "node")
	k.awaitRollout(t)
	f.ExpectNothingLost(t)
}

// noEtcd is the same without an etcd. It is started again and runs until the cluster ends; nothing else has to be done.
func (k *kube) noEtcd(t, whole *testing.T) {
	old, fresh := k.nodes[1], k.nodes[2]
	before := k.subnets(t)
	f := k.flood(t, k.nodes...)
	k.stopEtcd()
	allowState := k.removeState(t, fresh)
	k.replace(t, fresh, "node")
	k.expectNoEtcd(t, old, fresh, "connection refused")
	allowState()
	k.stopEtcd = k.serveEtcd(whole)
	k.awaitRollout(t)
	k.expectNoRestarts(t, old)
	k.expectNoRestarts(t, fresh)
	if now := k.subnets(t); now[fresh.name] != before[fresh.name] || len(now) != len(before) {
		t.Errorf("pod subnets %v, want %v as before", now, before)
	}
	f.ExpectNothingLost(t)
}

// expectNoEtcd expects that two nodes report why etcd does not answer. They must keep running. Only the old one has
// saved state. So it can attach pods, and its own pod is ready.
func (k *kube) expectNoEtcd(t *testing.T, old, fresh *node, why string) {
	t.Helper()
	k.expectUnready(t, old, true, "[-] etcd: ", why)
	k.expectLine(t, old, "etcd: ", why)
	k.expectUnready(t, fresh, false, "[-] etcd: ", why)
	k.expectLine(t, fresh, "etcd: ", why)
	for _, n := range []*node{old, fresh} {
		k.expectNoRestarts(t, n)
	}
}
