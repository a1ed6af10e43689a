package lab

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Etcd is the lab's etcd, in this process, on the underlay.
type Etcd struct {
	Client *clientv3.Client // of all members

	members []*member // nil: stopped
}

// member is a running member of etcd.
type member struct {
	*embed.Etcd
	stopped chan struct{} // closed when it is to stop
}

// startEtcd starts the members and waits until they have elected a leader.
func startEtcd(ctx context.Context, members int) (_ *Etcd, err error) {
	wal.SegmentSizeBytes = 4 << 20 // a segment is allocated whole, and the data is in memory
	e := &Etcd{members: make([]*member, members)}
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	for i := 1; i <= members; i++ {
		if err := e.start(i); err != nil {
			return nil, err
		}
	}
	for i := range members {
		if err := ready(ctx, e.members[i]); err != nil {
			return nil, fmt.Errorf("etcd member %d: %w", i+1, err)
		}
	}
	e.Client, err = clientv3.New(clientv3.Config{
		Endpoints:   e.Endpoints(),
		DialTimeout: 5 * time.Second,
		Logger:      zap.NewNop(),
	})
	return e, err
}

// Endpoints is the members' client URLs.
func (e *Etcd) Endpoints() []string {
	var urls []string
	for i := range e.members {
		urls = append(urls, endpoint(i+1, 2379))
	}
	return urls
}

// Stop stops member i, from 1. It keeps its data.
func (e *Etcd) Stop(i int) {
	if m := e.members[i-1]; m != nil {
		e.members[i-1] = nil
		close(m.stopped)
		m.Close()
	}
}

// Start starts member i, from 1, with the data it has, and waits until it serves, which without a quorum it does not.
func (e *Etcd) Start(ctx context.Context, i int) error {
	if e.members[i-1] != nil {
		return nil
	}
	if err := e.start(i); err != nil {
		return err
	}
	return ready(ctx, e.members[i-1])
}

// Get returns a key's value, or false where there is no such key.
func (e *Etcd) Get(ctx context.Context, key string) (string, bool, error) {
	r, err := e.Client.Get(ctx, key)
	if err != nil || len(r.Kvs) == 0 {
		return "", false, err
	}
	return string(r.Kvs[0].Value), true, nil
}

// List returns the keys with a prefix, and their values.
func (e *Etcd) List(ctx context.Context, prefix string) (map[string]string, error) {
	r, err := e.Client.Get(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, kv := range r.Kvs {
		found[string(kv.Key)] = string(kv.Value)
	}
	return found, nil
}

// Put writes a key.
func (e *Etcd) Put(ctx context.Context, key, value string) error {
	_, err := e.Client.Put(ctx, key, value)
	return err
}

// Delete deletes a key.
func (e *Etcd) Delete(ctx context.Context, key string) error {
	_, err := e.Client.Delete(ctx, key)
	return err
}

func (e *Etcd) start(i int) error {
	name := fmt.Sprintf("etcd%d", i)
	c := embed.NewConfig()
	c.Name, c.Dir = name, filepath.Join(dir, name)
	c.UnsafeNoFsync = true
	c.LogLevel, c.LogOutputs = "error", []string{"/dev/null"}
	c.TickMs, c.ElectionMs = 50, 500
	if len(e.members) == 1 {
		c.TickMs, c.ElectionMs = 10, 100 // nobody to wait for
	}
	client, peer := parse(endpoint(i, 2379)), parse(endpoint(i, 2380))
	c.ListenClientUrls, c.AdvertiseClientUrls = client, client
	c.ListenPeerUrls, c.AdvertisePeerUrls = peer, peer
	c.InitialCluster = cluster(len(e.members))
	m := &member{stopped: make(chan struct{})}
	c.GRPCAdditionalServerOptions = []grpc.ServerOption{grpc.ChainStreamInterceptor(m.cut)}
	var err error
	if m.Etcd, err = embed.StartEtcd(c); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	e.members[i-1] = m
	return nil
}

func ready(ctx context.Context, m *member) error {
	select {
	case <-m.Server.ReadyNotify():
		return nil
	case err := <-m.Err():
		return err
	case <-m.Server.StopNotify():
		return errors.New("it stopped")
	case <-ctx.Done():
		return fmt.Errorf("wait for a leader: %w", ctx.Err())
	}
}

func (e *Etcd) close() {
	if e.Client != nil {
		_ = e.Client.Close() // it reports the cancelled context of its own closing
	}
	for i := range e.members {
		e.Stop(i + 1)
	}
}

// cut ends a stream at once when the member stops, as a crash does; etcd would wait for its watchers for seconds.
func (m *member) cut(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	done := make(chan error, 1)
	go func() { done <- handle(server, stream) }() // ends with its stream
	select {
	case err := <-done:
		return err
	case <-m.stopped:
		return status.Error(codes.Unavailable, "etcd is stopping")
	}
}

func cluster(members int) string {
	var all []string
	for i := 1; i <= members; i++ {
		all = append(all, fmt.Sprintf("etcd%d=%s", i, endpoint(i, 2380)))
	}
	return strings.Join(all, ",")
}

func endpoint(i, port int) string {
	return fmt.Sprintf("http://%s:%d", plans[0].member(i).Addr(), port)
}

func parse(text string) []url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err) // endpoint's own text
	}
	return []url.URL{*u}
}
