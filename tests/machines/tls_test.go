package machines

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/podlane/podlane/tests/authority"
	"github.com/podlane/podlane/tests/cluster"
)

// tlsProxyAddr is the address of an etcd with TLS, on the lab's underlay.
const tlsProxyAddr = "198.18.0.1:2400"

// issue makes a certificate for etcd and its clients. It is valid from a time on, for a day.
func issue(t *testing.T, ca authority.Signed, name string, from time.Time) authority.Signed {
	t.Helper()
	return ca.Sign(t, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.ParseIP("198.18.0.1")},
		NotBefore:   from, NotAfter: from.Add(24 * time.Hour),
	})
}

// startTLSProxy starts a TLS server before the lab's etcd until end is called. It accepts clients with a certificate of
// an authority.
func startTLSProxy(t *testing.T, server, clients authority.Signed) (end func()) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(clients.Cert)
	own, err := tls.X509KeyPair(server.CertPEM, server.KeyPEM)
	cluster.Check(t, err)
	l, err := tls.Listen("tcp", tlsProxyAddr, &tls.Config{
		Certificates: []tls.Certificate{own}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12,
	})
	cluster.Check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { forward(ctx, c, "198.18.0.1:2379") })
		}
	})
	end = sync.OnceFunc(func() {
		l.Close()
		cancel()
		all.Wait()
	})
	t.Cleanup(end)
	return end
}

// forward forwards a connection to an address, until either side or ctx ends.
func forward(ctx context.Context, c net.Conn, to string) {
	defer c.Close()
	d, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(c, d) // either end may close at any time
		c.Close()
	})
	_, _ = io.Copy(d, c)
	d.Close()
	back.Wait()
}
