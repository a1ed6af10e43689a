package input

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/podlane/podlane/tests/authority"
)

// authorityIn is an authority in a folder: its own certificate is in NAME.pem.
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

// issue makes a certificate for servers on the underlay and for clients, in NAME.pem with its key in NAME.key.
func (a authorityIn) issue(t *testing.T, name string) {
	t.Helper()
	a.Sign(t, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.ParseIP("198.18.0.1")},
	}).Write(t, filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key"))
}

// secureEtcd starts an etcd on the lab's underlay that shows server.pem and wants clients that ca.pem has signed.
func secureEtcd(t *testing.T, dir string) (endpoint string) {
	t.Helper()
	c := embed.NewConfig()
	c.Name, c.Dir = "secure", filepath.Join(t.TempDir(), "etcd")
	c.UnsafeNoFsync = true
	c.LogLevel, c.LogOutputs = "error", []string{"/dev/null"}
	c.TickMs, c.ElectionMs = 10, 100
	client := url.URL{Scheme: "https", Host: "198.18.0.1:23790"}
	peer := url.URL{Scheme: "http", Host: "198.18.0.1:23800"}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	file := func(name string) string { return filepath.Join(dir, name) }
	c.ClientTLSInfo = transport.TLSInfo{CertFile: file("server.pem"), KeyFile: file("server.key"), TrustedCAFile: file("ca.pem"), ClientCertAuth: true}
	e, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	select {
	case <-e.Server.ReadyNotify():
	case <-time.After(patience):
		t.Fatal("etcd with TLS does not come up")
	}
	return client.String()
}
