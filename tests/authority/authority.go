// Package authority makes certificates for tests.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"testing"
	"time"
)

// Signed is a certificate and its key, also in PEM.
type Signed struct {
	Cert            *x509.Certificate
	Key             *ecdsa.PrivateKey
	CertPEM, KeyPEM []byte
}

// New returns an authority that signs itself. It is valid for `around` before and after now.
func New(t *testing.T, name string, around time.Duration) Signed {
	t.Helper()
	return Signed{}.Sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-around), NotAfter: time.Now().Add(around),
	})
}

// Sign makes a key and signs a certificate for it. The zero Signed makes a self-signed certificate. A certificate
// without a validity is valid from an hour ago, for a day.
func (s Signed) Sign(t *testing.T, c *x509.Certificate) Signed {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(23*time.Hour)
	}
	parent, signer := s.Cert, s.Key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	private, err := x509.MarshalECPrivateKey(key)
	check(t, err)
	return Signed{
		Cert: cert, Key: key,
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}),
	}
}

// Write writes the certificate and its key into files.
func (s Signed) Write(t *testing.T, cert, key string) {
	t.Helper()
	check(t, os.WriteFile(cert, s.CertPEM, 0o600))
	check(t, os.WriteFile(key, s.KeyPEM, 0o600))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
