package input

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// A whole cluster may start at the same moment, with etcd last. The first node writes the configuration. A later file changes
// nothing.
func TestNetworkFileIsForAnEtcdWithoutAConfiguration(t *testing.T) {
	l := build(t, 2)
	n, late := l.Nodes[0], l.Nodes[1]
	const first, other = `{"Network":"10.5.0.0/16"}`, `{"Network":"10.6.0.0/16"}`
	file := writeFile(t, "net-conf.json", first)
	cluster.Check(t, l.Etcd.Stop(1))
	cluster.Check(t, n.Launch(t.Context(), "--network-file", file))
	expectProblemSoon(t, n, "etcd: etcd does not answer at http://198.18.0.1:2379: ")
	cluster.Check(t, l.Etcd.Start(t.Context(), 1))
	cluster.Check(t, n.Ready(t.Context()))

	cluster.Check(t, late.Start(t.Context(), "--network-file", writeFile(t, "net-conf.json", other)))
	s := await(t, late, "a note about the difference", func(s status) bool { return s.Ready && len(s.Notes) > 0 })
	const note = "the network configuration in etcd differs from network-file ...net-conf.json, and the one in etcd stays in use: `podlaned config set FILE` changes it"
	if !slices.ContainsFunc(s.Notes, func(text string) bool { return containsParts(text, note) }) || len(s.Problems) != 0 {
		t.Errorf("notes %q, problems %q; want the note %q", s.Notes, s.Problems, note)
	}
	if have, _, err := l.Etcd.Get(t.Context(), lab.DefaultPrefix+"/config"); have != first || err != nil {
		t.Errorf("configuration in etcd: %q, error %v; want %q", have, err, first)
	}

	// A node with a saved state does not wait for etcd, even if its file is gone.
	cluster.Check(t, l.Etcd.Stop(1))
	if _, err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	cluster.Check(t, os.Remove(file))
	cluster.Check(t, n.Launch(t.Context(), "--network-file", file))
	await(t, n, "the overlay without etcd", func(s status) bool {
		return !s.Verified.IsZero() && s.hasProblem("network-file: ...net-conf.json: no such file") && s.hasProblem("etcd: ")
	})
}

// With network-file, no fault of etcd ends podlaned: Kubernetes would start it again and again. The status has the reason.
// podlaned works as soon as the fault is corrected.
func TestNetworkFileMeansNoCrashLoop(t *testing.T) {
	const network = `{"Network":"10.5.0.0/16"}`
	t.Run("invalid file", func(t *testing.T) {
		l := build(t, 1)
		n := l.Nodes[0]
		file := writeFile(t, "net-conf.json", `{"Network":`)
		cluster.Check(t, n.Launch(t.Context(), "--network-file", file))
		await(t, n, "both problems", func(s status) bool {
			return s.hasProblem("network-file: ...net-conf.json: network configuration: ") && s.hasProblem("etcd: ...there is no network configuration in etcd")
		})
		cluster.Check(t, os.WriteFile(file, []byte(network), 0o600))
		cluster.Check(t, n.Ready(t.Context()))
	})
	t.Run("access denied", func(t *testing.T) {
		l := build(t, 1)
		n := l.Nodes[0]
		root := enableAuth(t, l)
		cluster.Check(t, n.Launch(t.Context(), "--network-file", writeFile(t, "net-conf.json", network),
			"--etcd-username=stranger", "--etcd-password-file", writeFile(t, "password", "secret\n")))
		await(t, n, "the denial", func(s status) bool { return s.hasProblem(`etcd: ...etcd denies access to user "stranger"`) })
		if _, err := root.UserGrantRole(t.Context(), "stranger", "reader"); err != nil {
			t.Fatal(err)
		}
		await(t, n, "the refused write", func(s status) bool {
			return s.hasProblem(`etcd: the network configuration is missing from etcd and this node cannot write it: ...permission denied`)
		})
		if _, err := root.UserGrantRole(t.Context(), "stranger", "root"); err != nil {
			t.Fatal(err)
		}
		cluster.Check(t, n.Ready(t.Context()))
	})
	t.Run("wrong CA", func(t *testing.T) {
		l := build(t, 1)
		n := l.Nodes[0]
		dir := t.TempDir()
		ours, others := newAuthority(t, dir, "ca"), newAuthority(t, dir, "other-ca")
		ours.issue(t, "server")
		ours.issue(t, "client")
		others.issue(t, "other-client")
		secureEtcd(t, dir)
		path := func(name string) string { return filepath.Join(dir, name) }
		read := func(name string) string {
			t.Helper()
			data, err := os.ReadFile(path(name))
			cluster.Check(t, err)
			return string(data)
		}
		ca := writeFile(t, "mounted.pem", "no certificate")
		cluster.Check(t, n.Launch(t.Context(), "--network-file", writeFile(t, "net-conf.json", network), "--etcd-endpoints=https://198.18.0.1:23790",
			"--etcd-cafile", ca, "--etcd-certfile", path("client.pem"), "--etcd-keyfile", path("client.key")))
		await(t, n, "no certificate", func(s status) bool { return s.hasProblem("etcd: ...mounted.pem holds no certificate in PEM form") })
		cluster.Check(t, os.WriteFile(ca, []byte(read("other-ca.pem")), 0o600))
		await(t, n, "another CA", func(s status) bool { return s.hasProblem("etcd: ...certificate signed by unknown authority") })
		cluster.Check(t, os.WriteFile(ca, []byte(read("ca.pem")), 0o600))
		cluster.Check(t, n.Ready(t.Context()))
	})
}
