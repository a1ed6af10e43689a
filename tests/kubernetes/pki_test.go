package kubernetes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/podlane/podlane/tests/cluster"
)

// authority signs the certificates of the cluster. Its key signs the tokens of service accounts too.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	cluster.Check(t, os.MkdirAll(dir, 0o700))
	a := &authority{dir: dir}
	a.cert, a.key = a.sign(t, "ca", &x509.Certificate{
		Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// sign writes NAME.crt and NAME.key.
func (a *authority) sign(t *testing.T, name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	cluster.Check(t, err)
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	cluster.Check(t, err)
	private, err := x509.MarshalECPrivateKey(key)
	cluster.Check(t, err)
	a.write(t, name+".crt", "CERTIFICATE", der)
	a.write(t, name+".key", "EC PRIVATE KEY", private)
	cert, err := x509.ParseCertificate(der)
	cluster.Check(t, err)
	return cert, key
}

func (a *authority) write(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	cluster.Check(t, os.WriteFile(filepath.Join(a.dir, file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// certify signs a certificate for a user, a server or both.
func (a *authority) certify(t *testing.T, name string, user pkix.Name, addresses []string, names ...string) {
	t.Helper()
	c := &x509.Certificate{
		Subject: user, DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, address := range addresses {
		c.IPAddresses = append(c.IPAddresses, net.ParseIP(address))
	}
	a.sign(t, name, c)
}

// issue signs a certificate, and writes a kubeconfig with it.
func (a *authority) issue(t *testing.T, name string, user pkix.Name, addresses []string, names ...string) {
	t.Helper()
	a.certify(t, name, user, addresses, names...)
	file := func(name string) string { return filepath.Join(a.dir, name) }
	cluster.Check(t, os.WriteFile(file(name+".kubeconfig"), fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://%s:6443", certificate-authority: %s}}]
users: [{name: u, user: {client-certificate: %s, client-key: %s}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`, server, file("ca.crt"), file(name+".crt"), file(name+".key")), 0o600))
}

// issueAll makes all certificates of a cluster with these nodes.
func (a *authority) issueAll(t *testing.T, nodes []*node) {
	t.Helper()
	a.issue(t, "apiserver", pkix.Name{CommonName: "kube-apiserver"}, []string{server, "127.0.0.1", "10.96.0.1"},
		"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
	a.issue(t, "admin", pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, nil)
	a.issue(t, "proxy-client", pkix.Name{CommonName: "proxy-client"}, nil)
	for _, user := range []string{"controller-manager", "scheduler", "proxy"} {
		a.issue(t, user, pkix.Name{CommonName: "system:kube-" + user}, nil)
	}
	for _, n := range nodes {
		a.issue(t, n.name, pkix.Name{CommonName: "system:node:" + n.name, Organization: []string{"system:nodes"}}, []string{n.address}, n.name)
	}
}

// issueEtcd makes the certificates of podlane's etcd: that of its members, wherever they are, and that of its clients.
func (a *authority) issueEtcd(t *testing.T, nodes []*node) {
	t.Helper()
	addresses := []string{outside}
	for _, n := range nodes {
		addresses = append(addresses, n.address)
	}
	a.certify(t, "server", pkix.Name{CommonName: "etcd"}, addresses)
	a.certify(t, "client", pkix.Name{CommonName: "podlane"}, nil)
}
