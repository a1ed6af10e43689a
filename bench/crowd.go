package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/etcd"
	"github.com/podlane/podlane/subnet/store"
)

// crowd is nodes that join one etcd together, with the results.
type crowd struct {
	size
	etcd *lab.Etcd

	held, known time.Duration // from the start of the first node until the last one holds a pod subnet, and until each knows all others
	own         series        // seconds from a node's start until it holds, in the order in which they came to hold
	retries     series        // of each node

	mu      sync.Mutex
	knowing int // how many nodes know all others
}

// run lets the nodes join and ends them when each knows all others.
func (c *crowd) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	places, began, done := make(chan struct{}, c.atOnce), time.Now(), make(chan struct{})
	for i := range c.nodes {
		g.Go(func() error {
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			m := &member{index: i, began: time.Now()}
			m.holds = func() {
				<-places
				c.mu.Lock()
				defer c.mu.Unlock()
				c.own.addTime(time.Since(m.began))
				c.retries.add(float64(m.writes - 1))
				c.held = time.Since(began)
			}
			m.knows = func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.known = time.Since(began)
				if c.knowing++; c.knowing == c.nodes {
					close(done)
				}
			}
			return m.join(ctx, c)
		})
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
	failed := ctx.Err()
	cancel()
	err := errors.Join(g.Wait(), failed)
	if err == nil && len(c.own) != c.nodes {
		err = fmt.Errorf("%d of them hold a pod subnet", len(c.own))
	}
	return err
}

// member is one of the nodes.
type member struct {
	index        int
	began        time.Time
	holds, knows func() // each is called once

	mu     sync.Mutex
	held   bool
	knew   bool
	last   store.State // the watch starts from it
	writes int         // until then
}

// join runs the node's store. If not all nodes can run it at once, it ends when the node holds.
func (m *member) join(ctx context.Context, c *crowd) error {
	client, err := etcd.Open(etcd.Config{Endpoints: c.etcd.Endpoints(), Observe: m.observe})
	if err != nil {
		return err
	}
	within, leave := context.WithCancel(ctx)
	defer leave()
	err = client.Run(within, etcd.Options{Self: joiner(m.index)}, func(s store.State) {
		if m.receive(s, c.nodes) && c.atOnce < c.nodes {
			m.last = s
			leave()
		}
	})
	if err = errors.Join(err, client.Close()); err != nil || ctx.Err() != nil {
		return err
	}
	return m.stay(ctx, c)
}

func (m *member) observe(call string, _ time.Duration, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if call == "Txn" && !m.held {
		m.writes++
	}
}

// receive applies a state of the store. first reports whether it is the first one by which the node holds.
func (m *member) receive(s store.State, nodes int) (first bool) {
	m.mu.Lock()
	first = s.Held && !m.held
	m.held = m.held || s.Held
	m.mu.Unlock()
	if first {
		m.holds()
	}
	if m.held {
		m.count(len(s.Set.Records), nodes)
	}
	return first
}

func (m *member) count(known, nodes int) {
	if known == nodes && !m.knew {
		m.knew = true
		m.knows()
	}
}

// stay watches after the node holds, with plain gRPC: a watch of etcd's client costs more than one of etcd.
func (m *member) stay(ctx context.Context, c *crowd) (err error) {
	conn, err := grpc.NewClient(c.etcd.Addr(1).String()+":2379", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, conn.Close()); ctx.Err() != nil {
			err = nil // this is the normal end
		}
	}()
	watch, err := etcdserverpb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		return err
	}
	known, from, prefix := 0, m.last.Set.Revision+1, lab.DefaultPrefix+"/subnets/"
	for _, r := range m.last.Set.Records {
		if r.Created < from { // the watch brings younger ones
			known++
		}
	}
	m.last = store.State{}
	err = watch.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{CreateRequest: &etcdserverpb.WatchCreateRequest{
		Key: []byte(prefix), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(prefix)), StartRevision: from,
	}}})
	for err == nil {
		var resp *etcdserverpb.WatchResponse
		if resp, err = watch.Recv(); err == nil && resp.Canceled {
			err = errors.New(resp.CancelReason)
		}
		if err != nil {
			break
		}
		for _, e := range resp.Events {
			switch {
			case e.Type == mvccpb.DELETE:
				known--
			case e.Kv.CreateRevision == e.Kv.ModRevision:
				known++
			}
		}
		m.count(known, c.nodes)
	}
	return fmt.Errorf("a watch ends: %w", err)
}

func joiner(i int) subnet.Self {
	name := fmt.Sprintf("node-%d", i)
	return subnet.Self{
		Node:     subnet.Node{ID: name, Name: name, Version: "1.0.0"},
		PublicIP: netip.AddrFrom4([4]byte{198, 18, byte(10 + i>>8), byte(i)}),
	}
}
