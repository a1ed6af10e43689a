package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/tests/authority"
)

// shake makes a handshake of the client with a server. The client has the CA in a file. The host is that of an endpoint.
func shake(t *testing.T, caFile, host string, server authority.Signed) error {
	t.Helper()
	var fs files
	identity, err := fs.credentials(Config{CAFile: caFile}, true)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(server.CertPEM, server.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		if c, err := l.Accept(); err == nil {
			_, _ = c.Read(make([]byte, 1)) // it shakes hands, and ends with the client
			_ = c.Close()
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, _, err = identity.ClientHandshake(ctx, net.JoinHostPort(host, "2379"), conn)
	_ = conn.Close()
	<-served
	return err
}

func TestNewestCAVerifiesTheServer(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	both := ours.file("both.pem")
	writeFile(t, both, string(ours.CertPEM)+string(others.CertPEM))
	sign := func(a authorityIn, c x509.Certificate) authority.Signed { return a.Sign(t, &c) }
	byAddress := x509.Certificate{IPAddresses: []net.IP{net.ParseIP("198.18.0.1"), net.ParseIP("fd00::1")}}
	byName := x509.Certificate{DNSNames: []string{"etcd.example.net"}}
	expired := byAddress
	expired.NotBefore, expired.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	client := byAddress
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for _, c := range []struct {
		name, ca, host string
		server         authority.Signed
		want           string
	}{
		{"IPv4", ours.file("ca.pem"), "198.18.0.1", sign(ours, byAddress), ""},
		{"IPv6", ours.file("ca.pem"), "fd00::1", sign(ours, byAddress), ""},
		{"name", ours.file("ca.pem"), "etcd.example.net", sign(ours, byName), ""},
		{"two CAs in the file", both, "198.18.0.1", sign(others, byAddress), ""},
		{"wrong CA", ours.file("ca.pem"), "198.18.0.1", sign(others, byAddress), "certificate signed by unknown authority"},
		{"wrong address", ours.file("ca.pem"), "198.18.0.2", sign(ours, byAddress), "certificate is valid for 198.18.0.1, fd00::1, not 198.18.0.2"},
		{"wrong name", ours.file("ca.pem"), "etcd.example.org", sign(ours, byName), "certificate is valid for etcd.example.net, not etcd.example.org"},
		{"address, but the certificate has a name", ours.file("ca.pem"), "198.18.0.1", sign(ours, byName), "doesn't contain any IP SANs"},
		{"expired", ours.file("ca.pem"), "198.18.0.1", sign(ours, expired), "certificate has expired"},
		{"not for servers", ours.file("ca.pem"), "198.18.0.1", sign(ours, client), "incompatible key usage"},
	} {
		err := shake(t, c.ca, c.host, c.server)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// replace replaces a file by rename.
func replace(t *testing.T, path, content string) {
	t.Helper()
	writeFile(t, path+".new", content)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// The CA is replaced together with the server's certificate. The node continues without help. The former CA is not accepted
// any more.
func TestCAIsReplaced(t *testing.T) {
	t.Parallel()
	etcd, a := startTLS(t, false)
	ca := a.file("trusted.pem")
	writeFile(t, ca, string(a.CertPEM))
	store := openStore(t, Config{Endpoints: []string{etcd.url}, CAFile: ca})
	if err := store.SetConfig(t.Context(), []byte(ipv4Config)); err != nil {
		t.Fatal(err)
	}
	n := run(t, store, quick(1))
	n.held(t)

	b := newAuthority(t)
	b.leaf("server")
	etcd.stop()
	etcd.tls.CertFile, etcd.tls.KeyFile = b.file("server.pem"), b.file("server-key.pem")
	etcd.start(etcd.dir)
	n.wait(t, "refusal", func(s State) bool { return s.Err != nil && strings.Contains(s.Err.Error(), "unknown authority") })
	start := time.Now()
	replace(t, ca, string(b.CertPEM))
	n.held(t)
	took := time.Since(start)
	t.Logf("the new CA is in use after %v", took)
	if took > 10*time.Second {
		t.Error("that is too long")
	}

	replace(t, ca, string(newAuthority(t).CertPEM))
	etcd.stop()
	etcd.start(etcd.dir)
	n.wait(t, "refusal", func(s State) bool { return s.Err != nil && strings.Contains(s.Err.Error(), "unknown authority") })
}

// The files are unusable for a short time. Their former content stays in use, and the fault is reported until it ends.
func TestFilesAreBrieflyUnusable(t *testing.T) {
	t.Parallel()
	etcd, a := startTLS(t, true)
	store := openStore(t, Config{
		Endpoints: []string{etcd.url}, CAFile: a.file("ca.pem"), CertFile: a.file("client.pem"), KeyFile: a.file("client-key.pem"),
	})
	if err := store.SetConfig(t.Context(), []byte(ipv4Config)); err != nil {
		t.Fatal(err)
	}
	n := run(t, store, quick(1))
	n.held(t)
	good := map[string]string{}
	for _, name := range []string{"ca.pem", "client.pem", "client-key.pem"} {
		content, err := os.ReadFile(a.file(name))
		if err != nil {
			t.Fatal(err)
		}
		good[name] = string(content)
	}
	writeFile(t, a.file("server-ca.pem"), string(a.CertPEM))
	etcd.tls.TrustedCAFile = a.file("server-ca.pem")
	for _, bad := range []struct{ name, content, says string }{
		{"ca.pem", "", "CA file " + a.file("ca.pem") + " holds no certificate in PEM form; the content that was read before stays in use until the file is correct"},
		{"client.pem", "", "certificate " + a.file("client.pem") + " with key " + a.file("client-key.pem") + ": "},
		{"client-key.pem", "junk", "certificate " + a.file("client.pem") + " with key " + a.file("client-key.pem") + ": "},
	} {
		writeFile(t, a.file(bad.name), bad.content)
		n.wait(t, bad.says, func(s State) bool { return held(s) && len(s.Files) == 1 && strings.Contains(s.Files[0], bad.says) })
		etcd.stop()
		n.wait(t, "error", func(s State) bool { return s.Err != nil && strings.Contains(s.Err.Error(), bad.says) })
		etcd.start(etcd.dir)
		n.held(t)
		writeFile(t, a.file(bad.name), good[bad.name])
		n.wait(t, "recovery", func(s State) bool { return held(s) && len(s.Files) == 0 })
	}
}
