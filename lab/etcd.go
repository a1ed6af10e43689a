package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Etcd is the lab's etcd on the underlay. Each member is a process. Members are counted from 1. Only one goroutine at
// a time may start, stop and change members.
type Etcd struct {
	Client *clientv3.Client // connected to the members that are not paused or stopped

	members []*member
}

// redial makes the client return to a member quickly, because a test waits for it.
var redial = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond},
	MinConnectTimeout: time.Second,
}

// startEtcd starts the members with the lab command in the folder bin. It waits until all of them serve.
func startEtcd(ctx context.Context, members int, bin string) (_ *Etcd, err error) {
	e := &Etcd{}
	for i := 1; i <= members; i++ {
		e.members = append(e.members, &member{index: i, of: members, bin: bin})
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	e.Client, err = clientv3.New(clientv3.Config{
		Endpoints:   e.Endpoints(),
		DialTimeout: 5 * time.Second,
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(redial)},
		Logger:      zap.NewNop(),
	})
	if err != nil {
		return nil, fmt.Errorf("make a client of etcd: %w", err)
	}
	return e, e.Start(ctx)
}

// Addr returns the address of member i, which listens on port 2379 for clients.
func (e *Etcd) Addr(i int) netip.Addr { return e.members[i-1].addr() }

// Endpoints returns the members' client URLs.
func (e *Etcd) Endpoints() []string {
	var urls []string
	for _, m := range e.members {
		urls = append(urls, m.client())
	}
	return urls
}

// Get returns a key's value, or false if the key does not exist.
func (e *Etcd) Get(ctx context.Context, key string) (string, bool, error) {
	r, err := e.Client.Get(ctx, key)
	if err != nil || len(r.Kvs) == 0 {
		return "", false, err
	}
	return string(r.Kvs[0].Value), true, nil
}

// List returns the keys with a prefix, with their values.
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

// Leader returns the member that leads. It asks the members that are not paused or stopped, until one of them leads.
func (e *Etcd) Leader(ctx context.Context) (leader int, err error) {
	err = poll(ctx, 20*time.Millisecond, func() (bool, error) {
		leader = e.leading(ctx)
		return leader != 0, nil
	})
	if err != nil {
		return 0, fmt.Errorf("wait for a leader of etcd: %w", err)
	}
	return leader, nil
}

// leading returns the member that claims to lead; 0 if there is none. If there are two, one was the leader of an
// earlier term and does not know yet.
func (e *Etcd) leading(ctx context.Context) int {
	leader, term := 0, uint64(0)
	for _, m := range e.members {
		if !m.answers() {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		r, err := e.Client.Status(ctx, m.client())
		cancel()
		if err == nil && r.Leader == r.Header.MemberId && r.RaftTerm > term {
			leader, term = m.index, r.RaftTerm
		}
	}
	return leader
}
