package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/subnet"
)

// The names of the compared paths.
const (
	nodesOnly     = "node to node"
	overlayOnly   = "the overlay alone"
	flannelsRules = "flannel's rules"
	ours          = "podlane"
	besideBuild   = "the other build"
)

// arrangement is the cores on which client and server run, with the figures of the compared paths.
type arrangement struct {
	name           string
	alone          bool // both on one core
	client, server []string
	speeds         map[string]*speeds
}

// path measures pods on two nodes. It compares them with the nodes themselves, and with pods on nodes that have the
// same overlay with other rules or none.
func path(ctx context.Context, b bench) (Section, error) {
	d := fullPath
	if b.quick {
		d = quickPath
	}
	on, err := choose(func(pin []string) error {
		return exec.CommandContext(ctx, pin[0], append(pin[1:], "true")...).Run()
	})
	if err != nil {
		return Section{}, err
	}
	all := arrange(on, pairNames(b))
	for i := range d.labs {
		if err := d.inLab(ctx, b, i, all); err != nil {
			return Section{}, err
		}
	}
	return pathSection(d, on.text, all), nil
}

// inLab makes a lab and measures all paths in it. number is that of the lab: each lab gives the pairs other nodes.
func (d durations) inLab(ctx context.Context, b bench, number int, all []arrangement) (err error) {
	names := pairNames(b)
	l, err := lab.New(ctx, lab.Options{Nodes: 2 * len(names), Bin: b.bin})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	pairs := assign(names, number, l.Nodes)
	for _, p := range pairs {
		if p.name != besideBuild {
			continue
		}
		for _, n := range p.nodes {
			n.Daemon = filepath.Join(b.beside, "podlaned")
		}
	}
	if err := errors.Join(l.StartAll(ctx), l.AddPods(ctx, 1)); err != nil {
		return err
	}
	if err := prepare(ctx, l, pairs); err != nil {
		return err
	}
	if err := check(ctx, pairs); err != nil {
		return fmt.Errorf("before the measurement: %w", err)
	}
	if err := d.measure(ctx, uint64(number), all, pairs); err != nil {
		return err
	}
	if err := check(ctx, pairs); err != nil {
		return fmt.Errorf("after the measurement: %w", err)
	}
	return nil
}

// pairNames returns the names of the pairs of nodes.
func pairNames(b bench) []string {
	names := []string{overlayOnly, flannelsRules, ours}
	if b.beside != "" {
		names = append(names, besideBuild)
	}
	return names
}

// assign gives each pair two nodes. Each lab begins with another pair, so no pair has the same nodes in all labs. That
// matters: in one lab, two pairs with the same build differed by 1 %.
func assign(names []string, number int, nodes []*lab.Node) (pairs []nodePair) {
	for i := range names {
		pairs = append(pairs, nodePair{name: names[(i+number)%len(names)], nodes: nodes[2*i : 2*i+2]})
	}
	return pairs
}

// prepare gives the pairs their pods and their rules, in a lab whose nodes all run podlaned.
func prepare(ctx context.Context, l *lab.Lab, pairs []nodePair) error {
	network, _, err := subnet.ParseNetwork([]byte(lab.DefaultConfig))
	if err != nil {
		return err
	}
	for i := range pairs {
		p := &pairs[i]
		p.pods = l.Pods()[2*i : 2*i+2]
		switch p.name {
		case overlayOnly:
			err = p.leaveOverlay(ctx)
		case flannelsRules:
			p.tables, p.tunnelTracked = []string{"table ip filter", "table ip nat"}, true
			err = p.leaveOverlay(ctx)
			for _, n := range p.nodes {
				if err == nil {
					err = addFlannelRules(ctx, n, network.IPv4.Prefix)
				}
			}
		default:
			p.tables = []string{"table inet podlane"}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// check returns an error unless the pairs differ in their rules alone, and packets pass exactly these rules.
func check(ctx context.Context, pairs []nodePair) error {
	if err := checkAlike(ctx, pairs); err != nil {
		return err
	}
	for _, p := range pairs {
		if err := p.check(ctx, 2*len(pairs)-1); err != nil {
			return err
		}
	}
	return nil
}

// arrange returns two arrangements: client and server on two cores, and both on one. If a process cannot be assigned to
// a core, it returns only one.
func arrange(on cores, pairs []string) []arrangement {
	all := []arrangement{{name: "two cores", client: on.client, server: on.server}, {name: "one core", alone: true, client: on.server, server: on.server}}
	if on.server == nil {
		all = []arrangement{{name: "any core"}}
	}
	for i := range all {
		all[i].speeds = map[string]*speeds{nodesOnly: {}}
		for _, name := range pairs {
			all[i].speeds[name] = &speeds{}
		}
	}
	return all
}

// ways returns the paths between the pairs' pods, and that between nodes without rules.
func (a arrangement) ways(pairs []nodePair) (ways []*way) {
	for _, p := range pairs {
		w := p.way()
		w.speeds = a.speeds[p.name]
		ways = append(ways, w)
		if p.name == overlayOnly {
			ways = append(ways, &way{from: p.nodes[0].Place, to: p.nodes[1].Place, addr: p.nodes[1].Addr, speeds: a.speeds[nodesOnly]})
		}
	}
	for _, w := range ways {
		w.cores = cores{client: a.client, server: a.server}
	}
	return ways
}

// durations is how often and how long the path is measured.
type durations struct {
	labs     int           // made one after the other
	rounds   int           // in each lab
	repeated int           // how often the short measurements run in a round
	short    time.Duration // of requests and bursts
	long     time.Duration // of throughput and floods, in whole seconds
}

var (
	fullPath  = durations{labs: 5, rounds: 3, repeated: 3, short: 250 * time.Millisecond, long: time.Second}
	quickPath = durations{labs: 1, rounds: 1, repeated: 1, short: 50 * time.Millisecond, long: time.Second}
)

// measure measures one thing on all paths, then the next thing on all paths. So values that are compared were measured
// soon after each other. The order of the paths is random, so that none always follows the same other one.
func (d durations) measure(ctx context.Context, seed uint64, all []arrangement, pairs []nodePair) error {
	type job struct {
		ways    []*way
		measure func(*way, context.Context, time.Duration) error
		lasting time.Duration
	}
	var jobs []job
	for _, a := range all {
		ways, small, lasting := a.ways(pairs), (*way).flood, d.long
		if a.alone {
			small, lasting = (*way).bursts, d.short
		}
		jobs = append(jobs, job{ways, (*way).throughput, d.long}, job{ways, small, lasting})
		for range d.repeated {
			jobs = append(jobs, job{ways, (*way).tcpRequests, d.short}, job{ways, (*way).udpRequests, d.short})
		}
	}
	order := rand.New(rand.NewPCG(seed, 0)) // each run has the same orders
	for range d.rounds {
		for _, j := range jobs {
			for _, i := range order.Perm(len(j.ways)) {
				if err := j.measure(j.ways[i], ctx, j.lasting); err != nil {
					return fmt.Errorf("from %s to %s: %w", j.ways[i].from.Name, j.ways[i].to.Name, err)
				}
			}
		}
	}
	return nil
}
