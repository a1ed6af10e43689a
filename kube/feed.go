package main

import (
	"context"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/pause"
	"github.com/podlane/podlane/problems"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/annotation"
)

// coalesce is how long the feeder waits after a change, so that several changes are one message.
const coalesce = 50 * time.Millisecond

// The kinds of problems of feeding podlaned.
const (
	watchingNodes        = "Nodes"
	networkConfiguration = "network configuration"
	announcing           = "announcement"
	podlanedChannel      = "podlaned"
)

// feeder connects the API server with podlaned. podlaned receives the leases of all Nodes and the network configuration. Its
// announcement is written into the own Node's annotations.
type feeder struct {
	cache    *nodeCache
	follower *follower
	network  *networkReader
	announce *announcer
	client   *channel.Client
	problems *problems.Log
	log      logrus.FieldLogger

	changed     kicks // the Nodes or the network configuration
	announceDue kicks // the announcement or the own Node

	started time.Time

	lastNetwork subnet.Network // the last valid one; only send uses it

	mu     sync.Mutex
	remote channel.Remote
	fault  string // why the announcement is not written
}

// newFeeder makes a feeder for the Node of a config.
func newFeeder(c config, api *client, p *problems.Log, log logrus.FieldLogger) (*feeder, error) {
	keys, err := annotation.NewKeys(c.annotationPrefix)
	if err != nil {
		return nil, err
	}
	f := &feeder{problems: p, log: log, started: time.Now(), changed: newKicks(), announceDue: newKicks()}
	f.cache = newNodeCache(keys, c.nodeName, f.changed)
	f.follower = &follower{nodes: api.nodes(), listNodes: api.listNodes, cache: f.cache, resync: newKicks(), report: f.setSource, silence: streamSilence, watchSilence: watchSilence}
	f.network = &networkReader{file: c.networkFile, configMap: api.configMap, changed: f.changed}
	f.announce = &announcer{nodes: api.nodes(), keys: keys, name: c.nodeName}
	f.client = channel.NewClient(c.runDir, channel.Hello{Program: "podlane-kube " + version, Node: c.nodeName})
	return f, nil
}

func (f *feeder) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		f.follower.run(ctx)
		return nil
	})
	g.Go(func() error { return f.network.run(ctx) })
	g.Go(func() error { return f.client.Run(ctx, f.receive) })
	g.Go(func() error { return f.send(ctx) })
	g.Go(func() error { return f.write(ctx) })
	return g.Wait()
}

// setSource reports to podlaned whether the API server answers.
func (f *feeder) setSource(err error) {
	f.problems.Check(watchingNodes, err)
	source := channel.Source{}
	if err != nil {
		source.Fault = err.Error()
	}
	f.client.SendSource(source)
}

// receive records what podlaned sent. If podlaned has seen a higher revision than that of the Nodes, they are listed again.
func (f *feeder) receive(r channel.Remote) {
	f.mu.Lock()
	f.remote = r
	f.mu.Unlock()
	if r.Connected && f.cache.raise(r.Hello.Revision) {
		f.follower.resync.kick()
	}
	f.changed.kick()
}

// send sends the lease set to podlaned after each change.
func (f *feeder) send(ctx context.Context) error {
	var last channel.Leases
	for f.changed.wait(ctx, time.Hour) {
		pause.For(ctx, coalesce)
		f.announceDue.kick()
		leases, ready := f.compose()
		if !ready {
			continue
		}
		f.problems.Set(networkConfiguration, leases.Fault)
		if last.Unconfirmed(f.received().Hello.Revision) || !sameLeases(last, leases) {
			f.client.SendLeases(leases)
			last = leases
		}
	}
	return nil
}

// received returns what podlaned sent last.
func (f *feeder) received() channel.Remote {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.remote
}

// compose returns the newest lease set. It is ready if:
//
//   - the Nodes are listed,
//   - the network configuration is read,
//   - the set is not older than what podlaned has seen.
func (f *feeder) compose() (leases channel.Leases, ready bool) {
	set, revisions := f.cache.snapshot()
	sources := f.network.sources()
	config, fault := sources.compose(set.pairs())
	if n, _, err := subnet.ParseNetwork(config); err == nil {
		f.lastNetwork = n
	}
	leases = set.leases(f.lastNetwork)
	leases.Config, leases.Fault = config, fault
	leases.Revision, leases.Losses, leases.Refuted = revisions.current, revisions.losses, revisions.refuted
	f.mu.Lock()
	leases.Own.Fault = f.fault
	f.mu.Unlock()
	return leases, !revisions.due() && sources.complete()
}

// sameLeases reports whether two sets differ in their revision at most. Most changes of Nodes are heartbeats.
func sameLeases(a, b channel.Leases) bool {
	a.Revision = b.Revision
	return reflect.DeepEqual(a, b)
}

// pairs returns the pod subnets of the own Node, and those of a Node as an example for an error.
func (s nodeSet) pairs() (own, example subnet.Pair) {
	own = s.members[s.name].pair
	example = own
	for _, m := range s.members {
		if example.IsZero() || s.members[s.name].pair.IsZero() && m.pair.String() < example.String() && !m.pair.IsZero() {
			example = m.pair
		}
	}
	return own, example
}

// setFault records why the announcement is not written.
func (f *feeder) setFault(err error) {
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if fault != f.fault {
		f.fault = fault
		f.changed.kick()
	}
}

// write makes the own Node's annotations match podlaned's announcement, again and again.
func (f *feeder) write(ctx context.Context) error {
	var outage outage
	for f.announceDue.wait(ctx, readEvery) {
		if outage.over(f.problems) {
			f.announce.retryAt = time.Time{}
		}
		podlaned := f.received()
		if time.Since(f.started) > startTime {
			f.problems.Set(podlanedChannel, podlaned.Fault)
		}
		if podlaned.Announcement == nil || f.cache.state().due() {
			continue
		}
		written, err := f.announce.announce(ctx, f.cache.own(), *podlaned.Announcement, time.Now())
		f.problems.Check(announcing, unlessKnown(f.problems, err))
		f.setFault(err)
		if len(written) > 0 {
			f.log.Infof("wrote the Node's annotations %s", strings.Join(written, ", "))
		}
	}
	return nil
}
