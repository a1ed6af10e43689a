package kubernetes

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/podlane/podlane/tests/authority"
	"github.com/podlane/podlane/tests/cluster"
)

// authorityIn is the authority of the cluster, in a folder. Its key also signs the tokens of service accounts.
type authorityIn struct {
	authority.Signed
	dir string
}

func newAuthority(t *testing.T, dir string) *authorityIn {
	t.Helper()
	cluster.Check(t, os.MkdirAll(dir, 0o700))
	a := &authorityIn{authority.New(t, "test", 24*time.Hour), dir}
	a.Write(t, a.file("ca.crt"), a.file("ca.key"))
	return a
}

func (a *authorityIn) file(name string) string { return filepath.Join(a.dir, name) }

// certify signs a certificate for a user, a server or both.
func (a *authorityIn) certify(t *testing.T, name string, user pkix.Name, addresses []string, names ...string) {
	t.Helper()
	c := &x509.Certificate{
		Subject: user, DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, address := range addresses {
		c.IPAddresses = append(c.IPAddresses, net.ParseIP(address))
	}
	a.Sign(t, c).Write(t, a.file(name+".crt"), a.file(name+".key"))
}

// issue signs a certificate and writes a kubeconfig with it.
func (a *authorityIn) issue(t *testing.T, name string, user pkix.Name, addresses []string, names ...string) {
	t.Helper()
	a.certify(t, name, user, addresses, names...)
	cluster.Check(t, os.WriteFile(a.file(name+".kubeconfig"), fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://%s:6443", certificate-authority: %s}}]
users: [{name: u, user: {client-certificate: %s, client-key: %s}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`, server, a.file("ca.crt"), a.file(name+".crt"), a.file(name+".key")), 0o600))
}

// issueAll makes all certificates of a cluster with these nodes.
func (a *authorityIn) issueAll(t *testing.T, nodes []*node) {
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

// issueEtcd makes the certificates of podlane's etcd. They are for its clients, and for members on any node.
func (a *authorityIn) issueEtcd(t *testing.T, nodes []*node) {
	t.Helper()
	addresses := []string{outside}
	for _, n := range nodes {
		addresses = append(addresses, n.address)
	}
	a.certify(t, "server", pkix.Name{CommonName: "etcd"}, addresses)
	a.certify(t, "client", pkix.Name{CommonName: "podlane"}, nil)
}
