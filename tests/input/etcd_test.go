package input

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// reportLimit is the time for a start without etcd to report the problem.
const reportLimit = 5 * time.Second

// expectProblemSoon waits until a node's status has a problem. The node has just started. It must be soon.
func expectProblemSoon(t *testing.T, n *lab.Node, want string) {
	t.Helper()
	begun := time.Now()
	await(t, n, want, func(s status) bool { return !s.Ready && s.hasProblem(want) })
	if took := time.Since(begun); took > reportLimit {
		t.Errorf("problem %q after %v, want at most %v", want, took, reportLimit)
	}
	if !containsParts(n.LogText(), `level=warning msg="etcd: `) {
		t.Errorf("the log has no warning of etcd:\n%s", n.LogText())
	}
}

func TestEtcdIsDownAtTheStart(t *testing.T) {
	l := buildConfigured(t, 1, 0)
	n := l.Nodes[0]
	if err := l.Etcd.Stop(1); err != nil {
		t.Fatal(err)
	}
	if err := n.Launch(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectProblemSoon(t, n, "etcd: etcd does not answer at http://198.18.0.1:2379: ...connection refused")
	expectUntouched(t, l, n, "")
	run(t, n, nil, "config", "get").expectError(t, exitError, "etcd does not answer at http://198.18.0.1:2379: read /podlane/network/config: ...connection refused")
	run(t, n, nil, "config", "set", writeFile(t, "network.json", lab.DefaultConfig)).expectError(t, exitError, "etcd does not answer at http://198.18.0.1:2379: ")
	if err := l.Etcd.Start(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEtcdIsSilentAtTheStart(t *testing.T) {
	l := buildConfigured(t, 1, 0)
	n := l.Nodes[0]
	if err := n.Unplug(); err != nil {
		t.Fatal(err)
	}
	if err := n.Launch(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectProblemSoon(t, n, "etcd: etcd does not answer at http://198.18.0.1:2379: ")
	expectUntouched(t, l, n, "")
	if err := n.Plug(); err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// enableAuth enables passwords in etcd and returns root's client. The users root, stranger and reader have the password
// "secret". stranger may not read, and reader may only read.
func enableAuth(t *testing.T, l *lab.Lab) *clientv3.Client {
	t.Helper()
	ctx, c := t.Context(), l.Etcd.Client
	do := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, role := range []string{"root", "reader"} {
		do(c.RoleAdd(ctx, role))
	}
	for _, user := range []string{"root", "stranger", "reader"} {
		do(c.UserAdd(ctx, user, "secret"))
	}
	do(c.UserGrantRole(ctx, "root", "root"))
	do(c.UserGrantRole(ctx, "reader", "reader"))
	do(c.RoleGrantPermission(ctx, "reader", lab.DefaultPrefix+"/", clientv3.GetPrefixRangeEnd(lab.DefaultPrefix+"/"), clientv3.PermissionType(clientv3.PermRead)))
	do(c.AuthEnable(ctx))
	return rootClient(t, l, "secret")
}

func rootClient(t *testing.T, l *lab.Lab, password string) *clientv3.Client {
	t.Helper()
	root, err := clientv3.New(clientv3.Config{Endpoints: l.Etcd.Endpoints(), Username: "root", Password: password, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func TestEtcdDeniesAccess(t *testing.T) {
	l := buildConfigured(t, 1, 0)
	n := l.Nodes[0]
	root := enableAuth(t, l)
	for _, c := range []struct{ name, user, password, want string }{
		{"wrong password", "root", "guess", `etcd denies access to user "root" at http://198.18.0.1:2379: ...authentication failed, invalid user ID or password`},
		{"unknown user", "nobody", "secret", `etcd denies access to user "nobody" at http://198.18.0.1:2379: ...authentication failed`},
		{"no permission", "stranger", "secret", `etcd denies access to user "stranger" at http://198.18.0.1:2379: ...permission denied`},
		{"no permission to write", "reader", "secret", `etcd denies access to user "reader" at http://198.18.0.1:2379: ...permission denied` +
			"...`etcdctl role grant-permission ROLE --prefix=true readwrite /podlane/network/`"},
		{"no user", "", "", `etcd denies access to a client without a user at http://198.18.0.1:2379: ...user name is empty...see the settings etcd-username and etcd-password-file`},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"--etcd-username", c.user, "--etcd-password-file", writeFile(t, "password", c.password+"\n")}
			if c.user == "" {
				args = nil
			}
			run(t, n, nil, args...).expectError(t, exitError, c.want)
			if c.user != "reader" {
				run(t, n, nil, append([]string{"config", "get"}, args...)...).expectError(t, exitError, c.want)
			}
			expectUntouched(t, l, n, "")
			keys, err := root.Get(t.Context(), lab.DefaultPrefix, clientv3.WithPrefix())
			if err != nil || len(keys.Kvs) != 1 {
				t.Errorf("keys in etcd: %v, error %v; want only the configuration", keys, err)
			}
		})
	}
	password := writeFile(t, "password", "secret\n")
	if err := n.Launch(t.Context(), "--etcd-username=root", "--etcd-password-file", password); err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(t.Context()); err != nil {
		t.Fatalf("not ready with the correct password: %v", err)
	}
	changePassword(t, l, n, root, password)
	startAsReader(t, n, writeFile(t, "reader", "secret\n"))
}

// changePassword changes root's password in etcd and in a node's file. The node needs no signal.
func changePassword(t *testing.T, l *lab.Lab, n *lab.Node, root *clientv3.Client, file string) {
	t.Helper()
	if _, err := root.UserChangePassword(t.Context(), "root", "another"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Etcd.Kill(1); err != nil { // this also deletes its tokens
		t.Fatal(err)
	}
	if err := l.Etcd.Start(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := rootClient(t, l, "another").Put(t.Context(), leases+"bad-1", "{}"); err != nil { // the node reads it with a new token
		t.Fatal(err)
	}
	await(t, n, "ready with the new password", func(s status) bool { return s.Ready && len(s.Problems) == 0 && s.skipReason("bad-1") != "" })
}

// startAsReader starts a node with a lease as a user who may not write. It runs on its lease, even if its saved state
// is lost.
func startAsReader(t *testing.T, n *lab.Node, password string) {
	t.Helper()
	if code, err := n.Stop(t.Context()); code != exitOK || err != nil {
		t.Fatalf("stop: exit code %d, error %v; want 0", code, err)
	}
	for _, lost := range []string{"", n.StateDir()} {
		if lost != "" {
			if err := errors.Join(n.Kill(), os.RemoveAll(lost), os.Remove(n.NodeFile())); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.Launch(t.Context(), "--etcd-username=reader", "--etcd-password-file", password); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		await(t, n, "the node file, and the refusal", func(s status) bool {
			_, err := os.Stat(n.NodeFile())
			return err == nil && !s.Ready && s.hasProblem(`etcd denies access to user "reader"...grant-permission ROLE --prefix=true readwrite /podlane/network/`)
		})
		if took := time.Since(begun); took > reportLimit {
			t.Errorf("node file after %v, want at most %v", took, reportLimit)
		}
	}
}

func TestCertificatesThatDoNotMatch(t *testing.T) {
	l := build(t, 1)
	n := l.Nodes[0]
	dir := t.TempDir()
	ours, others := newAuthority(t, dir, "ca"), newAuthority(t, dir, "other-ca")
	ours.issue(t, "server")
	ours.issue(t, "client")
	others.issue(t, "other-client")
	etcd := secureEtcd(t, dir)
	g := openForwarder(t, etcd.Config().AdvertiseClientUrls[0].Host)
	endpoint := "https://" + g.address
	path := func(name string) string { return filepath.Join(dir, name) }
	with := func(ca, client string) []string {
		args := []string{"--etcd-endpoints", endpoint}
		if ca != "" {
			args = append(args, "--etcd-cafile", path(ca+".pem"))
		}
		if client != "" {
			args = append(args, "--etcd-certfile", path(client+".pem"), "--etcd-keyfile", path(client+".key"))
		}
		return args
	}
	network := writeFile(t, "network.json", lab.DefaultConfig)
	for _, c := range []struct{ name, ca, client, want string }{
		{"wrong CA", "other-ca", "client", "certificate signed by unknown authority"},
		{"no CA", "", "client", "certificate signed by unknown authority"},
		{"no client certificate", "ca", "", "certificate required"},
		{"client certificate of another CA", "ca", "other-client", "unknown certificate authority"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := with(c.ca, c.client)
			// With TLS 1.3, the alert for a missing client certificate arrives while the client already writes. It
			// may be lost.
			cluster.Until(t, waitLimit, c.want, func() (bool, string) {
				o := run(t, n, nil, append([]string{"config", "set", network}, args...)...)
				o.expectError(t, exitError, "etcd does not answer at "+endpoint+": ")
				return containsParts(o.err, c.want), o.err
			})
			if err := n.Launch(t.Context(), args...); err != nil {
				t.Fatal(err)
			}
			expectProblemSoon(t, n, "etcd: etcd does not answer at "+endpoint+": ")
			await(t, n, c.want, func(s status) bool { return s.hasProblem(c.want) })
			expectUntouched(t, l, n, "")
			if code, err := n.Stop(t.Context()); code != exitOK || err != nil {
				t.Errorf("stop: exit code %d, error %v; want 0", code, err)
			}
		})
	}
	t.Run("key of another certificate", func(t *testing.T) {
		args := append(with("ca", ""), "--etcd-certfile", path("client.pem"), "--etcd-keyfile", path("other-client.key"))
		run(t, n, nil, args...).expectError(t, exitError, "client.pem with key ...other-client.key: tls: private key does not match public key")
	})
	if o := run(t, n, nil, append([]string{"config", "set", network}, with("ca", "client")...)...); o.code != exitOK {
		t.Fatalf("config set with correct files: %+v", o)
	}
	if err := n.Start(t.Context(), with("ca", "client")...); err != nil {
		t.Fatal(err)
	}
	renewCA(t, n, dir, func(key string) {
		g.cut()
		put := &etcdserverpb.PutRequest{Key: []byte(lab.DefaultPrefix + "/subnets/" + key), Value: []byte(lease("198.18.9.9", "aa:bb:cc:00:00:01"))}
		if _, err := etcd.Server.Put(t.Context(), put); err != nil {
			t.Fatal(err)
		}
	})
}

// renewCA gives etcd a certificate of another CA, and a running node that CA. The node needs no signal. A file may be
// unusable for a moment. reconnect ends the node's connections. It writes a key that the node must read over a new one.
func renewCA(t *testing.T, n *lab.Node, dir string, reconnect func(key string)) {
	t.Helper()
	next := newAuthority(t, t.TempDir(), "ca")
	next.issue(t, "server")
	for _, name := range []string{"ca.pem", "server.pem", "server.key"} {
		if err := os.Rename(filepath.Join(next.dir, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	reconnect("bad-1")
	await(t, n, "ready with the new CA", func(s status) bool { return s.Ready && len(s.Problems) == 0 && s.skipReason("bad-1") != "" })
	if err := os.Truncate(filepath.Join(dir, "ca.pem"), 0); err != nil {
		t.Fatal(err)
	}
	reconnect("bad-2")
	const fault = "etcd files: CA file ...ca.pem holds no certificate in PEM form; the content that was read before stays in use until the file is correct"
	await(t, n, fault, func(s status) bool { return s.Ready && s.hasProblem(fault) && s.skipReason("bad-2") != "" })
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), next.CertPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	reconnect("bad-3")
	await(t, n, "no problem", func(s status) bool { return s.Ready && len(s.Problems) == 0 && s.skipReason("bad-3") != "" })
}
