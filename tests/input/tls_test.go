package input

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
)

// authority signs certificates. Its own is in dir, in NAME.pem.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, dir, name string) authority {
	t.Helper()
	a := authority{dir: dir, cert: &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}}
	a.key = a.sign(t, name, a.cert)
	return a
}

// issue makes a certificate for servers on the underlay and for clients, in NAME.pem with its key in NAME.key.
func (a authority) issue(t *testing.T, name string) {
	t.Helper()
	a.sign(t, name, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.ParseIP("198.18.0.1")},
	})
}

func (a authority) sign(t *testing.T, name string, template *x509.Certificate) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer := a.key
	if signer == nil {
		signer = key
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: der},
		name + ".key": {Type: "EC PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(filepath.Join(a.dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return key
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
