package input

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/podlane/podlane/tests/authority"
)

// authorityIn is an authority in a folder, with its own certificate in NAME.pem.
type authorityIn struct {
	authority.Signed
	dir string
}

func newAuthority(t *testing.T, dir, name string) authorityIn {
	t.Helper()
	a := authorityIn{authority.New(t, name, time.Hour), dir}
	a.Write(t, filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
	return a
}

// issue writes a certificate to NAME.pem and its key to NAME.key. It is for servers on the underlay and for clients.
func (a authorityIn) issue(t *testing.T, name string) {
	t.Helper()
	a.Sign(t, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.ParseIP("198.18.0.1")},
	}).Write(t, filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key"))
}

// secureEtcd starts an etcd on the lab's underlay with server.pem, for clients with certificates of ca.pem. It reads
// server.pem again for each connection.
func secureEtcd(t *testing.T, dir string) *embed.Etcd {
	t.Helper()
	c := etcdConfig(t, "secure", 23790)
	file := func(name string) string { return filepath.Join(dir, name) }
	c.ListenClientUrls[0].Scheme, c.AdvertiseClientUrls[0].Scheme = "https", "https"
	c.ClientTLSInfo = transport.TLSInfo{CertFile: file("server.pem"), KeyFile: file("server.key"), TrustedCAFile: file("ca.pem"), ClientCertAuth: true}
	return startEmbedded(t, c)
}

// etcdConfig returns the configuration of an etcd with one member on the lab's underlay. port is for clients, and the
// next one for members.
func etcdConfig(t *testing.T, name string, port int) *embed.Config {
	c := embed.NewConfig()
	c.Name, c.Dir = name, filepath.Join(t.TempDir(), "etcd")
	c.UnsafeNoFsync = true
	c.LogLevel, c.LogOutputs = "error", []string{"/dev/null"}
	c.TickMs, c.ElectionMs = 10, 100
	at := func(port int) []url.URL {
		return []url.URL{{Scheme: "http", Host: net.JoinHostPort("198.18.0.1", strconv.Itoa(port))}}
	}
	c.ListenClientUrls, c.AdvertiseClientUrls = at(port), at(port)
	c.ListenPeerUrls, c.AdvertisePeerUrls = at(port+1), at(port+1)
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	return c
}

func startEmbedded(t *testing.T, c *embed.Config) *embed.Etcd {
	t.Helper()
	e, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	select {
	case <-e.Server.ReadyNotify():
	case <-time.After(waitLimit):
		t.Fatalf("etcd %s does not start", c.Name)
	}
	return e
}

// forwarder forwards connections to a server.
type forwarder struct {
	address string // its own address

	mu    sync.Mutex
	conns []net.Conn
}

// openForwarder opens a forwarder on the lab's underlay.
func openForwarder(t *testing.T, server string) *forwarder {
	t.Helper()
	l, err := net.Listen("tcp", "198.18.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &forwarder{address: l.Addr().String()}
	var passing sync.WaitGroup
	passing.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", server)
			if err != nil {
				_ = from.Close()
				continue
			}
			g.mu.Lock()
			g.conns = append(g.conns, from, to)
			g.mu.Unlock()
			passing.Go(func() { _, _ = io.Copy(to, from); _ = to.Close() })
			passing.Go(func() { _, _ = io.Copy(from, to); _ = from.Close() })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		g.cut()
		passing.Wait()
	})
	return g
}

// cut closes the connections.
func (g *forwarder) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		_ = c.Close()
	}
	g.conns = nil
}
