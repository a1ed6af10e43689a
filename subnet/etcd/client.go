// Package etcd is the lease store: it lists and watches the leases of all nodes in etcd, takes this node's own, and
// holds it. The schema is flannel's, so that nodes of both kinds can share one overlay.
//
// Run is level-triggered. A mirror holds everything under the prefix at one revision; after every change a pure
// function (session.next) looks at the mirror and names at most one write, which is executed as a compare-and-swap.
// Whatever comes back, also that somebody else was faster, goes into the mirror, and the function looks again.
package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// DefaultPrefix is where podlane keeps its keys; flannel's is /coreos.com/network.
const DefaultPrefix = "/podlane/network"

// DefaultRequestTimeout is the deadline of one call to etcd. It is below 5 s so that a start without etcd can say so
// within 5 s.
const DefaultRequestTimeout = 4 * time.Second

// Config says where etcd is and how to talk to it.
type Config struct {
	Endpoints []string // http://, https://, unix:// or unixs:// URLs; at least one, all with or all without TLS
	Prefix    string   // of all keys; DefaultPrefix where empty

	// CAFile alone verifies the server; with CertFile and KeyFile the node shows a certificate too. The system's roots
	// verify an https server where CAFile is empty. Certificate and key are read anew for each connection.
	CAFile, CertFile, KeyFile string

	Username, Password string
	RequestTimeout     time.Duration // deadline of each call; DefaultRequestTimeout where 0

	// Observe is told of each unary call to etcd, also of each attempt that is made again: its name (Range, Txn,
	// LeaseGrant, ...), how long it took, and what came of it. It may be called at the same time and must not block. May
	// be nil.
	Observe func(call string, took time.Duration, err error)
}

// Store is the leases in etcd. Its methods may be called at the same time, Run once at a time.
type Store struct {
	prefix    string // without a slash at the end
	endpoints string // for errors
	user      string
	timeout   time.Duration
	pageSize  int64
	config    clientv3.Config
	connected chan struct{} // told of each new connection

	mu     sync.Mutex
	client *clientv3.Client
	cancel context.CancelFunc
}

// Open checks the configuration and reads the files it names. It never waits for etcd.
func Open(cfg Config) (*Store, error) {
	secure, err := checkEndpoints(cfg.Endpoints)
	if err != nil {
		return nil, err
	}
	s := &Store{
		prefix:    strings.TrimRight(cfg.Prefix, "/"),
		endpoints: strings.Join(cfg.Endpoints, ", "),
		user:      cfg.Username,
		timeout:   cfg.RequestTimeout,
		pageSize:  500,
		connected: make(chan struct{}, 1),
	}
	if s.prefix == "" {
		s.prefix = DefaultPrefix
	}
	if !strings.HasPrefix(s.prefix, "/") {
		s.prefix = "/" + s.prefix
	}
	if s.timeout <= 0 {
		s.timeout = DefaultRequestTimeout
	}
	if (cfg.Username == "") != (cfg.Password == "") {
		return nil, errors.New("etcd: user name and password come together: one of them is missing")
	}
	tlsConfig, err := cfg.tls(secure)
	if err != nil {
		return nil, err
	}
	s.config = clientv3.Config{
		Endpoints:            cfg.Endpoints,
		TLS:                  tlsConfig,
		Username:             cfg.Username,
		Password:             cfg.Password,
		DialTimeout:          s.timeout,
		DialKeepAliveTime:    10 * time.Second, // gRPC's least
		DialKeepAliveTimeout: 3 * time.Second,  // below the timeout of a call, which so is the last one to a dead member
		MaxCallRecvMsgSize:   maxMessage,
		MaxUnaryRetries:      3, // enough for a token that has run out; the rest is Run's to retry
		DialOptions:          s.dialOptions(cfg.Observe),
		Logger:               zap.NewNop(),
	}
	return s, nil
}

// Close ends the connections to etcd. What is called afterwards makes new ones.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return nil
	}
	err := s.client.Close()
	s.cancel()
	s.client = nil
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// connect returns the client, and makes it first where there is none. With a user name making it asks etcd for a token,
// which is why Open does not.
func (s *Store) connect(ctx context.Context) (*clientv3.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	abort := context.AfterFunc(ctx, cancel)
	cfg := s.config
	cfg.Context = lasting
	client, err := clientv3.New(cfg)
	if err == nil && !abort() {
		err = errors.Join(ctx.Err(), client.Close())
	}
	if err != nil {
		cancel()
		return nil, s.explain("connect", err)
	}
	s.client, s.cancel = client, cancel
	return client, nil
}

// window is how many bytes etcd may be ahead of us: a page of a list at once.
const window = 1 << 20

// dialOptions make calls fail at once, with the reason, where no connection can be made: the etcd client would wait for
// the deadline and then name only that. A lost connection is tried again after at most 3 s, not after gRPC's 2 minutes.
func (s *Store) dialOptions(observe func(string, time.Duration, error)) []grpc.DialOption {
	call := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		start := time.Now()
		err := invoke(ctx, method, req, reply, cc, append(opts, grpc.WaitForReady(false))...)
		if observe != nil {
			observe(path.Base(method), time.Since(start), err)
		}
		return err
	}
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(call),
		grpc.WithStatsHandler(connections{s.connected}),
		// With windows of one size gRPC does not measure the line by pings, one for each answer: on a quiet node as many as
		// there are answers.
		grpc.WithStaticStreamWindowSize(window),
		grpc.WithStaticConnWindowSize(window),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 250 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
	}
}

// checkEndpoints tells whether the endpoints use TLS; all must be alike, for the client uses the first one's scheme.
func checkEndpoints(endpoints []string) (secure bool, err error) {
	if len(endpoints) == 0 {
		return false, errors.New("etcd: no endpoint given: want one like http://127.0.0.1:2379")
	}
	for i, e := range endpoints {
		u, err := url.Parse(e)
		if secret := strings.LastIndex(e, "@"); secret >= 0 {
			return false, fmt.Errorf("etcd: endpoint …%s: a user and password do not belong in it: give etcd-username and etcd-password-file", e[secret:])
		}
		if err != nil || u.Host == "" && u.Path == "" {
			return false, fmt.Errorf("etcd: endpoint %q is not a URL like http://127.0.0.1:2379", e)
		}
		var tls bool
		switch u.Scheme {
		case "http", "unix":
		case "https", "unixs":
			tls = true
		default:
			return false, fmt.Errorf("etcd: endpoint %q begins with neither http:// nor https://", e)
		}
		if i > 0 && tls != secure {
			return false, fmt.Errorf("etcd: endpoints %s and %s: one with TLS, one without", endpoints[0], e)
		}
		secure = tls
	}
	return secure, nil
}

// tls reads the files, so that what is wrong with them is told at the start.
func (cfg Config) tls(secure bool) (*tls.Config, error) {
	files := cfg.CAFile + cfg.CertFile + cfg.KeyFile
	switch {
	case !secure && files != "":
		return nil, fmt.Errorf("etcd: endpoint %s is without TLS, but TLS files are given: want https://", cfg.Endpoints[0])
	case !secure:
		return nil, nil
	case (cfg.CertFile == "") != (cfg.KeyFile == ""):
		return nil, fmt.Errorf("etcd: certificate and key come together: only %s is given", cfg.CertFile+cfg.KeyFile)
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("etcd: read CA: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("etcd: CA file %s holds no certificate in PEM form", cfg.CAFile)
		}
	}
	if cfg.CertFile != "" {
		load := func() (*tls.Certificate, error) {
			c, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("etcd: certificate %s with key %s: %w", cfg.CertFile, cfg.KeyFile, err)
			}
			return &c, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return t, nil
}
