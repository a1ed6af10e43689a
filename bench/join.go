package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/etcd"
)

// join measures nodes that all join one etcd at the same moment.
func join(ctx context.Context, b bench) (s Section, err error) {
	sizes := []struct{ there, nodes int }{{0, 100}, {0, 1000}, {4900, 100}}
	if b.quick {
		sizes = []struct{ there, nodes int }{{20, 100}}
	}
	s = Section{
		Title: "Many nodes join one etcd at the same moment",
		Text: "Each is podlane's own lease store with connections of its own, and has no kernel; all are in one process, and etcd is another on the same machine. Nodes that are there already are leases and watches, each with a connection of its own, and keep nothing. From the start of all until the last holds a pod subnet for sure, and " +
			"until each knows all others. A retry is a transaction of a node beyond its first. Calls and events are as etcd counts them.",
	}
	for _, size := range sizes {
		rows, err := joinAll(ctx, b, size.there, size.nodes)
		if err != nil {
			return s, fmt.Errorf("%d nodes join %d: %w", size.nodes, size.there, err)
		}
		s.Rows = append(s.Rows, rows...)
	}
	return s, nil
}

func joinAll(ctx context.Context, b bench, there, nodes int) (rows []Row, err error) {
	w, err := makeWorld(ctx, b)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := w.grow(ctx, there); err != nil {
		return nil, err
	}
	end, err := attend(ctx, w.Etcd, there)
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return nil, err
	}
	before, err := scrape(ctx, http.DefaultClient, w.Etcd.Endpoints()[0]+"/metrics")
	if err != nil {
		return nil, err
	}
	held, known, retries, err := crowd(ctx, w.Etcd, there, nodes)
	if err != nil {
		return nil, err
	}
	after, err := scrape(ctx, http.DefaultClient, w.Etcd.Endpoints()[0]+"/metrics")
	if err != nil {
		return nil, err
	}
	what := thousands(nodes) + " nodes: "
	if there > 0 {
		what = fmt.Sprintf("%s nodes join %s: ", thousands(nodes), thousands(there))
	}
	all := Row{What: what + "all hold a pod subnet", Figure: seconds(held.Seconds())}
	tries := Row{What: what + "retries of a node: median, most", Figure: fmt.Sprintf("%.0f, %.0f", retries.median(), retries.quantile(1))}
	if nodes == 1000 && there == 0 {
		all = within(all, held.Seconds(), 20, "under 20 s")
		tries = within(tries, retries.median(), 3, "at most 3 at the median")
	}
	rows = []Row{all, {What: what + "each knows all others", Figure: seconds(known.Seconds())}, tries}
	total, text := 0.0, ""
	for _, c := range [][2]string{{"Range", "KV"}, {"Txn", "KV"}, {"Put", "KV"}, {"LeaseGrant", "Lease"}} {
		count, err := counted(before, after, fmt.Sprintf(`grpc_server_started_total{grpc_method="%s",grpc_service="etcdserverpb.%s",grpc_type="unary"}`, c[0], c[1]))
		if err != nil {
			return nil, err
		}
		calls := count / float64(nodes)
		total += calls
		text += fmt.Sprintf(", %.2f %s", calls, c[0])
	}
	rows = append(rows, Row{What: what + "unary calls for each node", Figure: fmt.Sprintf("%.2f: %s", total, text[2:])})
	const events = "etcd_debugging_mvcc_events_total"
	sent, err := counted(before, after, events)
	if err != nil {
		return nil, err
	}
	rows = append(rows, Row{What: what + "events that etcd sent, for each of the nodes' watches and each node that joined", Figure: fmt.Sprintf("%.2f", sent/float64(there+nodes)/float64(nodes))})
	return rows, nil
}

// counted is by how much one of etcd's counters has risen. One that it has under another name, as of another version,
// would else be taken for nothing.
func counted(before, after map[string]float64, name string) (float64, error) {
	last, ok := after[name]
	if !ok {
		return 0, fmt.Errorf("etcd has no metric %s", name)
	}
	return last - before[name], nil
}

// attend makes the watches of so many nodes that are there already; end ends them.
func attend(ctx context.Context, e *lab.Etcd, nodes int) (end func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var clients []*clientv3.Client
	var drains sync.WaitGroup
	end = func() (err error) {
		cancel()
		drains.Wait()
		for _, c := range clients {
			err = errors.Join(err, c.Close())
		}
		return err
	}
	for range nodes {
		c, err := clientv3.New(clientv3.Config{Endpoints: e.Endpoints(), Logger: zap.NewNop()})
		if err != nil {
			return end, err
		}
		clients = append(clients, c)
		watch := c.Watch(ctx, lab.DefaultPrefix+"/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
		if began := <-watch; !began.Created {
			return end, errors.Join(errors.New("a watch does not begin"), began.Err(), ctx.Err())
		}
		drains.Go(func() {
			for range watch {
			}
		})
	}
	return end, nil
}

// crowd runs the stores of so many nodes, beside those that are there, until each knows all others.
func crowd(ctx context.Context, e *lab.Etcd, there, nodes int) (held, known time.Duration, retries series, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	stores, err := openStores(e, nodes)
	defer func() {
		for _, s := range stores {
			err = errors.Join(err, s.Close())
		}
	}()
	if err != nil {
		return 0, 0, nil, err
	}
	g, ctx := errgroup.WithContext(ctx)
	var holding, knowing sync.WaitGroup
	holding.Add(nodes)
	knowing.Add(nodes)
	began := time.Now()
	for i, s := range stores {
		g.Go(func() error {
			return s.Run(ctx, etcd.Options{Self: joiner(there + i)}, s.follow(there+nodes, holding.Done, knowing.Done))
		})
	}
	done := make(chan struct{})
	go func() {
		holding.Wait()
		held = time.Since(began)
		knowing.Wait()
		known = time.Since(began)
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	for _, s := range stores {
		retries.add(float64(s.writes - 1))
	}
	failed := ctx.Err()
	cancel()
	return held, known, retries, errors.Join(failed, g.Wait())
}

func joiner(i int) subnet.Self {
	name := fmt.Sprintf("node-%d", i)
	return subnet.Self{
		Node:     subnet.Node{ID: name, Name: name, Version: "1.0.0"},
		PublicIP: netip.AddrFrom4([4]byte{198, 18, byte(10 + i>>8), byte(i)}),
	}
}

// store is one node's, and what it did until it held its pod subnet.
type store struct {
	*etcd.Store
	mu     sync.Mutex
	holds  bool
	knows  bool
	writes int
}

func openStores(e *lab.Etcd, nodes int) (all []*store, err error) {
	for range nodes {
		s := &store{}
		s.Store, err = etcd.Open(etcd.Config{Endpoints: e.Endpoints(), Observe: s.observe})
		if err != nil {
			return all, err
		}
		all = append(all, s)
	}
	return all, nil
}

func (s *store) observe(call string, _ time.Duration, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if call == "Txn" && !s.holds {
		s.writes++
	}
}

// follow tells once that the node holds a pod subnet, and once that it knows so many nodes.
func (s *store) follow(nodes int, held, known func()) func(etcd.State) {
	return func(state etcd.State) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.holds && state.Held {
			s.holds = true
			held()
		}
		if !s.knows && len(state.Set.Records) == nodes {
			s.knows = true
			known()
		}
	}
}
