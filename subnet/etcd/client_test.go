package etcd

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/tests/authority"
)

// authorityIn is a CA in a folder.
type authorityIn struct {
	authority.Signed
	t   *testing.T
	dir string
}

func newAuthority(t *testing.T) authorityIn {
	a := authorityIn{authority.New(t, "ca", time.Hour), t, t.TempDir()}
	a.Write(t, a.file("ca.pem"), a.file("ca-key.pem"))
	return a
}

func (a authorityIn) file(name string) string { return filepath.Join(a.dir, name) }

// leaf writes NAME.pem and NAME-key.pem.
func (a authorityIn) leaf(name string) {
	a.t.Helper()
	a.Sign(a.t, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}).Write(a.t, a.file(name+".pem"), a.file(name+"-key.pem"))
}

// startTLS starts an etcd with TLS, and a CA that signed its certificate and a client's.
func startTLS(t *testing.T, clientCert bool) (*server, authorityIn) {
	a := newAuthority(t)
	a.leaf("server")
	a.leaf("client")
	s := &server{t: t, url: freeURL(t, "https"), peer: freeURL(t, "http")}
	s.tls.CertFile, s.tls.KeyFile = a.file("server.pem"), a.file("server-key.pem")
	s.tls.ClientCertAuth = clientCert
	if clientCert {
		s.tls.TrustedCAFile = a.file("ca.pem")
	}
	s.start(t.TempDir())
	t.Cleanup(s.stop)
	return s, a
}

// works checks that a node gets a lease with a configuration of the client.
func works(t *testing.T, cfg Config) {
	t.Helper()
	store := openStore(t, cfg)
	if err := store.SetConfig(t.Context(), []byte(ipv4Config)); err != nil {
		t.Fatal(err)
	}
	run(t, store, quick(1)).held(t)
}

func TestTLS(t *testing.T) {
	for name, clientCert := range map[string]bool{"CA alone": false, "client certificate": true} {
		t.Run(name, func(t *testing.T) {
			etcd, a := startTLS(t, clientCert)
			cfg := Config{Endpoints: []string{etcd.url}, CAFile: a.file("ca.pem")}
			if clientCert {
				cfg.CertFile, cfg.KeyFile = a.file("client.pem"), a.file("client-key.pem")
			}
			works(t, cfg)
			cfg.CAFile = newAuthority(t).file("ca.pem")
			s := run(t, openStore(t, cfg), quick(1)).wait(t, "error", func(s State) bool { return s.Err != nil })
			if !strings.Contains(s.Err.Error(), "certificate") || !strings.Contains(s.Err.Error(), etcd.url) {
				t.Errorf("another CA: error %q does not name the certificate and etcd", s.Err)
			}
		})
	}
}

// passwordFile writes a password to a file.
func passwordFile(t *testing.T, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	writeFile(t, path, password+"\n")
	return path
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// withUsers enables authentication. User root may do all; podlane may only use the prefix.
func withUsers(t *testing.T, etcd *server) {
	t.Helper()
	c := etcd.client()
	ctx := t.Context()
	end := clientv3.GetPrefixRangeEnd(DefaultPrefix + "/")
	steps := []func() error{
		func() error { _, err := c.RoleAdd(ctx, "root"); return err },
		func() error { _, err := c.UserAdd(ctx, "root", "r"); return err },
		func() error { _, err := c.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := c.RoleAdd(ctx, "podlane"); return err },
		func() error {
			_, err := c.RoleGrantPermission(ctx, "podlane", DefaultPrefix+"/", end, clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := c.UserAdd(ctx, "podlane", "secret"); return err },
		func() error { _, err := c.UserGrantRole(ctx, "podlane", "podlane"); return err },
		func() error { _, err := c.UserAdd(ctx, "stranger", "secret"); return err },
		func() error { _, err := c.AuthEnable(ctx); return err },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUserAndPassword(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	withUsers(t, etcd)
	good := Config{Endpoints: []string{etcd.url}, Username: "podlane", PasswordFile: passwordFile(t, "secret")}
	works(t, good)
	for _, bad := range []Config{
		{Username: "podlane", PasswordFile: passwordFile(t, "wrong")},
		{Username: "stranger", PasswordFile: passwordFile(t, "secret")},
		{},
	} {
		bad.Endpoints = []string{etcd.url}
		text := run(t, openStore(t, bad), quick(2)).fails(t, ErrDenied)
		if !strings.Contains(text, `user "`+bad.Username+`"`) && (bad.Username != "" || !strings.Contains(text, "a client without a user")) {
			t.Errorf("%q does not name the user", text)
		}
		if _, _, err := openStore(t, bad).Config(t.Context()); !errors.Is(err, ErrDenied) {
			t.Errorf("Config: %v", err)
		}
	}
	// A restarted etcd does not know its former tokens.
	n := run(t, openStore(t, good), quick(1))
	n.held(t)
	etcd.stop()
	n.wait(t, "error", func(s State) bool { return s.Err != nil })
	etcd.start(etcd.dir)
	n.held(t)
}

func TestStartWithoutEtcdReportsItAndRetries(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, user := range []string{"", "podlane"} {
		dead := freeURL(t, "http")
		for _, e := range []string{dead, "http://" + silent.Addr().String()} {
			cfg := Config{Endpoints: []string{e}, Username: user}
			if user != "" {
				cfg.PasswordFile = passwordFile(t, user)
			}
			start := time.Now()
			n := run(t, openStore(t, cfg), quick(1))
			s := n.wait(t, "error", func(s State) bool { return s.Err != nil })
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("reported after %v", d)
			}
			if !strings.Contains(s.Err.Error(), "etcd does not answer at "+e) {
				t.Errorf("error %q", s.Err)
			}
			n.stop(t)
		}
	}
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	dir := etcd.dir
	etcd.stop()
	n := run(t, etcd.open(t), quick(1))
	n.wait(t, "error", func(s State) bool { return s.Err != nil && s.Set.Revision == 0 })
	etcd.start(dir)
	n.held(t)
}

func TestConnectionsThatBreakAtOnceAreNotMadeWithoutAPause(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"", "podlane"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var accepted atomic.Int32
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				accepted.Add(1)
				_ = c.Close()
			}
		}()
		cfg := Config{Endpoints: []string{"http://" + l.Addr().String()}, Username: user}
		if user != "" {
			cfg.PasswordFile = passwordFile(t, user)
		}
		run(t, openStore(t, cfg), quick(1))
		<-time.After(3 * time.Second) // what must not happen has no condition to wait for
		if n := accepted.Load(); n < 2 || n > 20 {
			t.Errorf("user %q: %d connections in 3 s", user, n)
		}
		l.Close()
	}
}

func TestCloseWhileWaiting(t *testing.T) {
	dead := freeURL(t, "http")
	store := openStore(t, Config{Endpoints: []string{dead}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Run(ctx, quick(1), func(State) {}); err != nil {
		t.Error(err)
	}
}

func TestOpenRefusesBadConfiguration(t *testing.T) {
	a := newAuthority(t)
	a.leaf("x")
	a.leaf("y")
	junk := a.file("junk")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	https := []string{"https://127.0.0.1:2379"}
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "no endpoint"},
		{Config{Endpoints: []string{"127.0.0.1:2379"}}, `"127.0.0.1:2379"`},
		{Config{Endpoints: []string{"ftp://a"}}, "ftp://a"},
		{Config{Endpoints: []string{"http://"}}, "http://"},
		{Config{Endpoints: []string{"http://root:secret@a:1"}}, "endpoint …@a:1: a user and password do not belong in it"},
		{Config{Endpoints: []string{"http://a:1", "https://b:1"}}, "one with TLS, one without"},
		{Config{Endpoints: []string{"http://a:1"}, CAFile: a.file("ca.pem")}, "without TLS"},
		{Config{Endpoints: []string{"http://a:1"}, Username: "u"}, "password"},
		{Config{Endpoints: https, CAFile: a.file("none")}, a.file("none")},
		{Config{Endpoints: https, CAFile: junk}, junk},
		{Config{Endpoints: https, CertFile: a.file("x.pem")}, a.file("x.pem")},
		{Config{Endpoints: https, CertFile: a.file("x.pem"), KeyFile: a.file("y-key.pem")}, a.file("y-key.pem")},
		{Config{Endpoints: https, CertFile: junk, KeyFile: a.file("y-key.pem")}, junk},
	} {
		if _, err := Open(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want it to say %q", c.cfg, err, c.want)
		}
	}
}

// Endpoints of each kind are dialled directly. A dead or silent one beside a good one does no harm.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	etcd := &server{t: t, url: "http://" + l.Addr().String(), peer: freeURL(t, "http")}
	_ = l.Close()
	etcd.start(t.TempDir())
	t.Cleanup(etcd.stop)
	works(t, Config{Endpoints: []string{etcd.url}})
	path := filepath.Join(t.TempDir(), "etcd")
	socket, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	go func() {
		for {
			from, err := socket.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", strings.TrimPrefix(etcd.url, "http://"))
			if err != nil {
				_ = from.Close()
				continue
			}
			go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
			go func() { _, _ = io.Copy(from, to); _ = from.Close() }()
		}
	}()
	works(t, Config{Endpoints: []string{"unix://" + path}})
	mute, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mute.Close() })
	for _, other := range []string{freeURL(t, "http"), "http://" + mute.Addr().String()} {
		works(t, Config{Endpoints: []string{other, etcd.url}})
	}
}
