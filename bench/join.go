package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// size is the number of nodes that join, and how many of them join at once. If that is fewer, the next one starts
// when one holds its pod subnet.
type size struct{ nodes, atOnce int }

func (s size) String() string {
	if s.atOnce < s.nodes {
		return fmt.Sprintf("%s nodes, %s at any moment", thousands(s.nodes), thousands(s.atOnce))
	}
	return thousands(s.nodes) + " nodes"
}

// join measures many nodes that join one etcd together.
func join(ctx context.Context, b bench) (s Section, err error) {
	sizes := []size{{100, 100}, {1000, 1000}, {5000, 100}}
	if b.quick {
		sizes = []size{{50, 50}, {100, 10}}
	}
	s = Section{
		Title: "Many nodes join one etcd together",
		Text: "Each node is podlane's own lease store with its own connections, and has no kernel state. All nodes are in one " +
			"process; etcd is another process on the same machine. Two cores cannot run 5,000 nodes at once, each of which " +
			"would receive 5,000 leases. So at most a hundred of these join at once: the next one starts when one holds its " +
			"pod subnet. A node that holds it continues as a watch with its own connection, which only counts the peers " +
			"that come. Times are from the start of the first node until the last one holds a pod subnet, and until each " +
			"knows all others. A node's own time is from its start until it holds. A retry is a transaction of a node " +
			"beyond its first. Calls and events are counted by etcd.",
	}
	for _, size := range sizes {
		all, rows, err := joinAll(ctx, b, size)
		if err != nil {
			return s, fmt.Errorf("%v: %w", size, err)
		}
		s.Rows = append(s.Rows, rows...)
		if size.atOnce < size.nodes {
			s.Plots = []Plot{all.plot()}
		}
	}
	return s, nil
}

func joinAll(ctx context.Context, b bench, s size) (all *crowd, rows []Row, err error) {
	w, err := makeWorld(ctx, b)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	metrics := func() (map[string]float64, error) {
		return scrape(ctx, http.DefaultClient, w.Etcd.Endpoints()[0]+"/metrics")
	}
	before, err := metrics()
	if err != nil {
		return nil, nil, err
	}
	all = &crowd{size: s, etcd: w.Etcd}
	if err := all.run(ctx); err != nil {
		return nil, nil, err
	}
	after, err := metrics()
	if err != nil {
		return nil, nil, err
	}
	served, err := s.served(before, after)
	return all, append(all.rows(), served...), err
}

// rows returns the rows of the nodes' own figures. Limits apply to a thousand nodes at once.
func (c *crowd) rows() []Row {
	what := c.size.String() + ": "
	all := Row{What: what + "all hold a pod subnet", Figure: seconds(c.held.Seconds())}
	tries := Row{What: what + "retries of a node: median, most", Figure: fmt.Sprintf("%.0f, %.0f", c.retries.median(), c.retries.quantile(1))}
	if c.size == (size{1000, 1000}) {
		all = within(all, c.held.Seconds(), 20, "under 20 s")
		tries = within(tries, c.retries.median(), 3, "at most 3 at the median")
	}
	return []Row{
		all,
		{What: what + "each knows all others", Figure: seconds(c.known.Seconds())},
		{What: what + "a node's own time", Figure: p50(c.own)},
		tries,
	}
}

// served returns the rows of etcd's work, from its own metrics.
func (s size) served(before, after map[string]float64) (rows []Row, err error) {
	total, text := 0.0, ""
	for _, c := range [][2]string{{"Range", "KV"}, {"Txn", "KV"}, {"Put", "KV"}, {"LeaseGrant", "Lease"}} {
		count, err := counted(before, after, fmt.Sprintf(`grpc_server_started_total{grpc_method="%s",grpc_service="etcdserverpb.%s",grpc_type="unary"}`, c[0], c[1]))
		if err != nil {
			return nil, err
		}
		calls := count / float64(s.nodes)
		total += calls
		text += fmt.Sprintf(", %.2f %s", calls, c[0])
	}
	sent, err := counted(before, after, "etcd_debugging_mvcc_events_total")
	if err != nil {
		return nil, err
	}
	return []Row{
		{What: s.String() + ": unary calls for each node", Figure: fmt.Sprintf("%.2f: %s", total, text[2:])},
		{What: s.String() + ": events that etcd sent, for each watch and each node that joined", Figure: fmt.Sprintf("%.2f", sent/float64(s.nodes)/float64(s.nodes))},
	}, nil
}

// plot returns how long a node takes by the number of nodes before it. Each point is the median of the last tenth.
func (c *crowd) plot() Plot {
	curve := Curve{Name: "from its start until it holds a pod subnet, median"}
	for n := c.size.nodes; n >= 20; n /= 2 {
		last := c.own[n-n/10 : n]
		curve.Points = append([]point{{float64(n), last.median()}}, curve.Points...)
	}
	return Plot{Name: "join", Title: "A node joins", X: "nodes that are there", Y: "seconds", Curves: []Curve{curve}}
}

// counted returns the increase of one of etcd's counters. A missing counter is an error: another version of etcd may
// have renamed it.
func counted(before, after map[string]float64, name string) (float64, error) {
	last, ok := after[name]
	if !ok {
		return 0, fmt.Errorf("etcd has no metric %s", name)
	}
	return last - before[name], nil
}
