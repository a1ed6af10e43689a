package machines

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/podlane/podlane/tests/cluster"
)

// frontAddr is where an etcd with TLS listens, on the lab's underlay.
const frontAddr = "198.18.0.1:2400"

// authority signs certificates. Its own is valid for two days before and after now.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// signed is a certificate and its key, in PEM too.
type signed struct {
	tls.Certificate
	cert, key []byte
}

func newAuthority(t *testing.T, name string) (a authority, own signed) {
	t.Helper()
	a.cert = &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	own = a.sign(t, a.cert, time.Now().Add(-48*time.Hour))
	a.cert, a.key = own.Leaf, own.PrivateKey.(*ecdsa.PrivateKey)
	return a, own
}

// issue makes a certificate for etcd and its clients that is valid for a day, from a time on.
func (a authority) issue(t *testing.T, name string, from time.Time) signed {
	t.Helper()
	return a.sign(t, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.ParseIP("198.18.0.1")},
	}, from)
}

func (a authority) sign(t *testing.T, template *x509.Certificate, from time.Time) signed {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	cluster.Check(t, err)
	signer := a.key
	if signer == nil {
		signer = key
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = from, from.Add(24*time.Hour)
	if template.IsCA {
		template.NotAfter = from.Add(96 * time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, signer)
	cluster.Check(t, err)
	secret, err := x509.MarshalECPrivateKey(key)
	cluster.Check(t, err)
	s := signed{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}),
	}
	s.Certificate, err = tls.X509KeyPair(s.cert, s.key)
	cluster.Check(t, err)
	return s
}

// front puts TLS before the lab's etcd, which wants clients that an authority has signed, until the function that it
// returns is called.
func front(t *testing.T, server signed, clients authority) (end func()) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(clients.cert)
	l, err := tls.Listen("tcp", frontAddr, &tls.Config{
		Certificates: []tls.Certificate{server.Certificate}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
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

// forward joins a connection with a new one to an address, until either or ctx ends.
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
