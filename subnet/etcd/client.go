// Package etcd is the lease store: it lists and watches the leases of all nodes in etcd, takes this node's own, and
// holds it. The schema is flannel's, so that nodes of both kinds can share one overlay.
//
// Run is level-triggered. A mirror holds everything under the prefix at one revision; after every change a pure
// function (session.next) looks at the mirror and names at most one write, which is executed as a compare-and-swap.
// Whatever comes back, also that somebody else was faster, goes into the mirror, and the function looks again.
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
	// verify an https server where CAFile is empty. The files are read again for each connection.
	CAFile, CertFile, KeyFile string

	Username       string
	PasswordFile   string        // read again for each token; a newline at its end is not part of the password
	RequestTimeout time.Duration // deadline of each call; DefaultRequestTimeout where 0

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
	files     files
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
	identity, err := s.files.open(cfg, secure)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	s.config = clientv3.Config{
		Endpoints:            cfg.Endpoints,
		Username:             cfg.Username,
		Password:             cfg.PasswordFile, // never sent: password.intercept replaces it with the file's content
		DialTimeout:          s.timeout,
		DialKeepAliveTime:    10 * time.Second, // gRPC's least
		DialKeepAliveTimeout: 3 * time.Second,  // below the timeout of a call, which so is the last one to a dead member
		MaxCallRecvMsgSize:   maxMessage,
		MaxUnaryRetries:      3, // enough for a token that has run out; the rest is Run's to retry
		DialOptions:          append(dialOptions(len(cfg.Endpoints), s.connected, cfg.Observe), identity...),
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
