// Package etcd is the lease store in etcd: it lists and watches the leases of all nodes, and gets and holds this node's own.
// The schema is flannel's, so that nodes of both kinds can share one overlay.
//
// Run is level-triggered. A machine (subnet/machine) holds everything under the prefix at one revision. After every change it
// decides on at most one write, which Run executes as a compare-and-swap. Run gives every result to the machine, even if
// another node was faster, and asks it again.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// DefaultPrefix is the prefix of podlane's keys. flannel's is /coreos.com/network.
const DefaultPrefix = "/podlane/network"

// DefaultRequestTimeout is the deadline of one call to etcd. It is below 5 s, so that a start without etcd reports that within
// 5 s.
const DefaultRequestTimeout = 4 * time.Second

// Config holds where etcd is and how to connect to it.
type Config struct {
	Endpoints []string // http://, https://, unix:// or unixs:// URLs; at least one, all with or all without TLS
	Prefix    string   // of all keys; empty: DefaultPrefix

	// CAFile alone verifies the server. With CertFile and KeyFile the node also presents a certificate. If CAFile is empty, the
	// system's roots verify an https server. The files are read again for each connection.
	CAFile, CertFile, KeyFile string

	Username       string
	PasswordFile   string        // read again for each token; a newline at its end is not part of the password
	RequestTimeout time.Duration // deadline of each call; 0: DefaultRequestTimeout

	// Observe is called after each unary call to etcd, also after each repeated attempt. It gets the call's name (Range, Txn,
	// LeaseGrant, ...), its duration and its error. It may be called concurrently and must not block. May be nil.
	Observe func(call string, took time.Duration, err error)
}

// Store is the lease store in etcd. Its methods may be called concurrently, but only one Run at a time.
type Store struct {
	prefix    string // without a slash at the end
	endpoints string // for errors
	user      string
	timeout   time.Duration
	pageSize  int64
	config    clientv3.Config
	files     files
	connected chan struct{} // receives a value after new connections

	mu     sync.Mutex
	client *clientv3.Client
	cancel context.CancelFunc
}

// Open checks the configuration and reads its files. It never waits for etcd.
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
	identity, err := s.files.open(cfg, secure)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	s.config = clientv3.Config{
		Endpoints:            cfg.Endpoints,
		Username:             cfg.Username,
		Password:             cfg.PasswordFile, // never sent: password.intercept replaces it with the file's content
		DialTimeout:          s.timeout,
		DialKeepAliveTime:    10 * time.Second, // the shortest that gRPC allows
		DialKeepAliveTimeout: 3 * time.Second,  // shorter than a call's timeout, so that only one call waits for a dead member
		MaxCallRecvMsgSize:   maxMessage,
		MaxUnaryRetries:      3, // enough for an expired token; Run retries the rest
		DialOptions:          append(dialOptions(len(cfg.Endpoints), s.connected, cfg.Observe), identity...),
		Logger:               zap.NewNop(),
	}
	return s, nil
}

// Close ends the connections to etcd. Later calls make new ones.
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

// connect returns the client, and makes it first if there is none. Open does not make it, because a client with a user name
// asks etcd for a token at once.
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

// checkEndpoints reports whether the endpoints use TLS. All must be alike, because the client uses the first one's scheme.
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
