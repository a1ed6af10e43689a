package etcd

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/podlane/podlane/lab/sandbox"
)

// specVariable makes this program an etcd: a separate process can be killed.
const specVariable = "PODLANE_TEST_ETCD"

func TestMain(m *testing.M) {
	if spec := os.Getenv(specVariable); spec != "" {
		fmt.Println(serve(spec))
		os.Exit(1)
	}
	sandbox.Main(m)
}

// server is a real etcd, in a process of its own.
type server struct {
	t       *testing.T
	process *exec.Cmd
	dir     string
	url     string // where clients reach it; kept over a stop
	peer    string
	tls     transport.TLSInfo
	out     *bufio.Reader

	name, members string // of a cluster; empty: it is alone
	joins         bool   // a cluster that exists
}

// serve runs etcd. It returns if etcd ends by itself.
func serve(spec string) error {
	var s struct {
		Dir, URL, Peer, Name, Members string
		Joins                         bool
		TLS                           transport.TLSInfo
	}
	if err := json.Unmarshal([]byte(spec), &s); err != nil {
		return err
	}
	client, err := url.Parse(s.URL)
	if err != nil {
		return err
	}
	peer, err := url.Parse(s.Peer)
	if err != nil {
		return err
	}
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogOutputs, cfg.UnsafeNoFsync, cfg.ClientTLSInfo = s.Dir, []string{"/dev/null"}, true, s.TLS
	cfg.MaxRequestBytes = 10 << 20
	cfg.TickMs, cfg.ElectionMs = 50, 500
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	if s.Members != "" {
		cfg.Name, cfg.InitialCluster = s.Name, s.Members
	}
	if s.Joins {
		cfg.ClusterState = embed.ClusterStateFlagExisting
	}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	<-e.Server.ReadyNotify()
	fmt.Println("ready")
	return <-e.Err()
}

// startEtcd starts an etcd on an empty folder.
func startEtcd(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, url: freeURL(t, "http"), peer: freeURL(t, "http")}
	s.start(t.TempDir())
	t.Cleanup(s.stop)
	return s
}

// freeURL returns a URL with a free port. Without TLS it has an address of its own, so that no outgoing connection uses the port
// meanwhile. Certificates name 127.0.0.1.
func freeURL(t *testing.T, scheme string) string {
	t.Helper()
	host := "127.0.0.1"
	if scheme == "http" {
		host = fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250))
	}
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return scheme + "://" + l.Addr().String()
}

// start starts etcd on a folder. After a stop it has the same address again.
func (s *server) start(dir string) {
	s.t.Helper()
	s.launch(dir)
	s.ready()
}

// launch starts etcd and does not wait.
func (s *server) launch(dir string) {
	s.t.Helper()
	s.dir = dir
	spec, err := json.Marshal(map[string]any{"Dir": dir, "URL": s.url, "Peer": s.peer, "Name": s.name, "Members": s.members, "Joins": s.joins, "TLS": map[string]any{
		"CertFile": s.tls.CertFile, "KeyFile": s.tls.KeyFile, "TrustedCAFile": s.tls.TrustedCAFile, "ClientCertAuth": s.tls.ClientCertAuth,
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.process = exec.Command("/proc/self/exe")
	s.process.Env = append(os.Environ(), specVariable+"="+string(spec))
	s.process.Stderr = os.Stderr
	out, err := s.process.StdoutPipe()
	if err == nil {
		err = s.process.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.out = bufio.NewReader(out)
}

// ready waits until etcd serves. A member of a cluster serves when enough others do.
func (s *server) ready() {
	s.t.Helper()
	line, err := s.out.ReadString('\n')
	if line != "ready\n" {
		s.t.Fatalf("etcd: %s %v", line, err)
	}
}

// stop kills etcd.
func (s *server) stop() {
	if s.process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait() // it was killed, which is an error
		s.process = nil
	}
}

// client returns a client of etcd, as an operator uses.
func (s *server) client() *clientv3.Client {
	s.t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.url}, MaxCallSendMsgSize: 10 << 20, Logger: zap.NewNop()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (s *server) put(key, value string) {
	s.t.Helper()
	s.do(clientv3.OpPut(DefaultPrefix+"/"+key, value))
}

func (s *server) deleteAll(part string) {
	s.t.Helper()
	s.do(clientv3.OpDelete(DefaultPrefix+"/"+part, clientv3.WithPrefix()))
}

func (s *server) delete(key string) {
	s.t.Helper()
	s.do(clientv3.OpDelete(DefaultPrefix + "/" + key))
}

// try writes once. It returns an error because a cluster may currently be without a leader.
func (s *server) try(key, value string) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Second)
	defer cancel()
	_, err := s.client().Put(ctx, DefaultPrefix+"/"+key, value)
	return err
}

func (s *server) do(op clientv3.Op) clientv3.OpResponse {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.url}, MaxCallSendMsgSize: 10 << 20, Logger: zap.NewNop()})
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	resp, err := c.Do(ctx, op)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// record holds a key's value, revision and etcd lease.
type record struct {
	value    string
	modified int64
	ttl      int64
}

// keys returns everything under a part of the prefix, by the last part of the key.
func (s *server) keys(part string) map[string]record {
	s.t.Helper()
	resp := s.do(clientv3.OpGet(DefaultPrefix+"/"+part, clientv3.WithPrefix()))
	m := map[string]record{}
	for _, kv := range resp.Get().Kvs {
		m[strings.TrimPrefix(string(kv.Key), DefaultPrefix+"/"+part)] = record{string(kv.Value), kv.ModRevision, kv.Lease}
	}
	return m
}

func (s *server) open(t *testing.T) *Store {
	t.Helper()
	return openStore(t, Config{Endpoints: []string{s.url}})
}

// eventually polls a condition that cannot be waited for in another way.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// newClient returns a client of a user.
func newClient(url, user, password string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{url}, Username: user, Password: password, Logger: zap.NewNop()})
}
