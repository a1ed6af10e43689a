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

// podOn is the name of podlane's pod of a component on a node.
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

// replace deletes podlane's pod of a component on a node. The next one is another.
func (k *kube) replace(t *testing.T, n *node, component string) {
	t.Helper()
	k.kubectl(t, "-n", "podlane", "delete", "pod", k.podOn(t, n, component), "--request-timeout=0")
}

// forget takes away what podlane has saved on a node: the next start is like the first. What stands in its place, until it is
// taken away, keeps podlaned from saving it once more as it ends.
func (k *kube) forget(t *testing.T, n *node) (end func()) {
	t.Helper()
	file := n.disk("fs/var/lib/podlane/state.json")
	cluster.Until(t, minute, n.name+" forgets", func() (bool, string) {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err.Error()
		}
		err := os.Mkdir(file, 0o755) // podlaned may just have been quicker
		return err == nil, fmt.Sprint(err)
	})
	return func() { cluster.Check(t, os.Remove(file)) }
}

// expectUnready waits until the readiness of podlaned on a node names the problem. attach reports whether pods can still be
// attached, and so whether its own pod is ready.
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

// expectLine waits until a container of the podlane pod of a node has said something, in one line of its log and no more.
func (k *kube) expectLine(t *testing.T, n *node, container string, words ...string) {
	t.Helper()
	var lines []string
	cluster.Until(t, minute, container+" on "+n.name+" says: "+strings.Join(words, " "), func() (bool, string) {
		out, err := k.try(t, "-n", "podlane", "logs", k.podOn(t, n, "node"), "-c", container)
		lines = nil
		for line := range strings.Lines(out) {
			if containsAll(line, words) {
				lines = append(lines, line)
			}
		}
		return err == nil && len(lines) > 0, out
	})
	if len(lines) > 1 {
		t.Errorf("%s on %s says it more than once:\n%s", container, n.name, strings.Join(lines, ""))
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

// expectSteady tells of containers on a node that have not stayed up.
func (k *kube) expectSteady(t *testing.T, n *node) {
	t.Helper()
	out := k.get(t, `{.status.initContainerStatuses[*].restartCount} {.status.containerStatuses[*].restartCount}`, "-n", "podlane", "pod", k.podOn(t, n, "node"))
	if strings.Trim(out, "0 ") != "" {
		t.Errorf("the containers on %s were restarted so many times: %s", n.name, out)
	}
}

// otherCNI is another CNI's configuration that comes before podlane's.
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
	k.expectLine(t, n, "podlaned", "other CNI: 05-other.conflist comes before")
	cluster.Check(t, os.Remove(file))
	cluster.Until(t, 2*minute, "the status is well again", func() (bool, string) {
		out := status()
		return !strings.Contains(out, "05-other"), out
	})
	k.expectSteady(t, n)
}

// badFolders is CNI folders that podlane cannot write to: it says which, the overlay goes on, and it is enough that they can
// be written to again. One that is missing is made.
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
	k.expectLine(t, n, "podlaned", "cni-conf: ", "read-only file system")
	k.expectSteady(t, n)
	remount("/etc/cni", "rw")
	k.replace(t, n, "node")
	k.ready(t, n)
	k.expectNewPod(t, n.name)
	f.ExpectNothingLost(t)
}

// otherAuthority is an etcd that the pods do not trust: one that was in the network before goes on with what it has saved,
// a new one waits; both say so.
func (k *kube) otherAuthority(t *testing.T) {
	old, fresh := k.nodes[1], k.nodes[2]
	f := k.flood(t, k.nodes...)
	k.trustOnly(t, pki)
	k.replace(t, old, "node")
	remember := k.forget(t, fresh)
	k.replace(t, fresh, "node")
	k.expectAway(t, old, fresh, "certificate signed by unknown authority")
	remember()
	k.trustOnly(t, etcdPKI)
	k.replace(t, old, "node")
	k.replace(t, fresh, "node")
	k.settled(t)
	f.ExpectNothingLost(t)
}

// noEtcd is the same with no etcd at all; when it is there again, until the cluster ends, nothing has to be done.
func (k *kube) noEtcd(t, whole *testing.T) {
	old, fresh := k.nodes[1], k.nodes[2]
	before := k.subnets(t)
	f := k.flood(t, k.nodes...)
	k.stopEtcd()
	remember := k.forget(t, fresh)
	k.replace(t, fresh, "node")
	k.expectAway(t, old, fresh, "connection refused")
	remember()
	k.stopEtcd = k.serveEtcd(whole)
	k.settled(t)
	k.expectSteady(t, old)
	k.expectSteady(t, fresh)
	if now := k.subnets(t); now[fresh.name] != before[fresh.name] || len(now) != len(before) {
		t.Errorf("pod subnets %v, and before %v", now, before)
	}
	f.ExpectNothingLost(t)
}

// expectAway expects two nodes to report why etcd does not answer, and to keep running. Only the old one has saved state:
// it can attach pods, so its own pod is ready.
func (k *kube) expectAway(t *testing.T, old, fresh *node, why string) {
	t.Helper()
	k.expectUnready(t, old, true, "[-] etcd: ", why)
	k.expectLine(t, old, "podlaned", "etcd: ", why)
	k.expectLine(t, fresh, "network", "etcd", why, "waiting for it")
	for _, n := range []*node{old, fresh} {
		k.expectSteady(t, n)
	}
}
