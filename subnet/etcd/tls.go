package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc/credentials"
)

// rotating holds TLS credentials that read the CA and the certificate from their files at each handshake. A change does not
// affect existing connections. The standard library does the handshake with all its checks.
type rotating struct {
	credentials.TransportCredentials // for the protocol's name; its handshakes are not used
	config                           func() *tls.Config
}

// ClientHandshake makes the handshake of a connection. gRPC calls it.
func (r rotating) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return credentials.NewTLS(r.config()).ClientHandshake(ctx, authority, conn)
}

// Clone returns r, which has no state.
func (r rotating) Clone() credentials.TransportCredentials { return r }

// credentials reads the TLS files of cfg, so that their faults are reported at the start. It returns nil for endpoints
// without TLS.
func (fs *files) credentials(cfg Config, secure bool) (credentials.TransportCredentials, error) {
	given := cfg.CAFile + cfg.CertFile + cfg.KeyFile
	switch {
	case !secure && given != "":
		return nil, fmt.Errorf("endpoint %s is without TLS, but TLS files are given: want https://", cfg.Endpoints[0])
	case !secure:
		return nil, nil
	case (cfg.CertFile == "") != (cfg.KeyFile == ""):
		return nil, fmt.Errorf("a certificate needs a key, and a key needs a certificate: only %s is given", cfg.CertFile+cfg.KeyFile)
	}
	var authority *file[*x509.CertPool]
	var pair *file[*tls.Certificate]
	var err error
	if cfg.CAFile != "" {
		if authority, err = openFile(cfg.loadCA); err != nil {
			return nil, err
		}
		*fs = append(*fs, authority)
	}
	if cfg.CertFile != "" {
		if pair, err = openFile(cfg.loadCertificate); err != nil {
			return nil, err
		}
		*fs = append(*fs, pair)
	}
	config := func() *tls.Config {
		c := &tls.Config{MinVersion: tls.VersionTLS12}
		if authority != nil {
			c.RootCAs = authority.content()
		}
		if pair != nil {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair.content(), nil }
		}
		return c
	}
	return rotating{credentials.NewTLS(config()), config}, nil
}

func (cfg Config) loadCA() (*x509.CertPool, error) {
	pem, err := os.ReadFile(cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %s holds no certificate in PEM form", cfg.CAFile)
	}
	return pool, nil
}

func (cfg Config) loadCertificate() (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", cfg.CertFile, cfg.KeyFile, err)
	}
	return &c, nil
}
