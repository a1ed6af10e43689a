package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/podlane/podlane/backend/vxlan"
	"github.com/podlane/podlane/firewall"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/etcd"
	"github.com/podlane/podlane/subnet/store"
	"github.com/podlane/podlane/underlay"
)

// daemon is what lasts as long as the process.
type daemon struct {
	config   config
	log      *logrus.Logger
	troubles *troubles
	board    *board
	metrics  *metrics
	store    *etcd.Store
	firewall firewall.Firewall

	started  atomic.Bool // systemd has been told
	reloaded bool        // it had been told before the configuration was read again
	next     config      // after errReload
}

// gcPercent is how much garbage there may be beside what is in use (runtime/debug.SetGCPercent), unless GOGC says it. On
// two cores Go's own 100 took some 3 MiB more than 75 in a start among 5,000 peers, and a tenth less CPU time; on one, what
// is less than 75 makes no difference that could be measured.
const gcPercent = 65

// cores is on how many cores podlaned's code runs at once (runtime.GOMAXPROCS), unless GOMAXPROCS says it. It does one
// thing after the other, and its start is no slower for it; with more, each of its few wake-ups also wakes a thread that
// finds nothing to do.
const cores = 1

// runDaemon runs until ctx ends, and begins anew when its configuration is read again. What it made in the kernel stays:
// the overlay goes on without it.
func runDaemon(ctx context.Context, c config, rest []string, io streams) error {
	if err := errors.Join(noMore(rest), needNetAdmin(), c.identity()); err != nil {
		return err
	}
	unlock, err := lock(ctx, nodeLock)
	if err != nil {
		return err
	}
	defer unlock()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(cores)
	}
	reloads := make(chan os.Signal, 1)
	signal.Notify(reloads, syscall.SIGHUP)
	defer signal.Stop(reloads)
	var before *config // in use until the last reload
	var useless error  // why what was read then is not
	for started := false; ; {
		d := newDaemon(c, newLogger(c, io.err))
		d.reloaded = started
		d.troubles.check("reload", useless)
		err := d.run(ctx, reloads)
		started = started || d.started.Load()
		switch {
		case errors.Is(err, errReload):
			d.log.Info(err)
			was := c
			c, before, useless = d.next, &was, nil
		case err != nil && before != nil && !d.stood():
			c, before, useless = *before, nil, err
		default:
			return err
		}
	}
}

// stood tells whether the overlay has been as this configuration has it. One that was read again and does not bring that
// about, which only the attempt shows, gives way to the one before.
func (d *daemon) stood() bool { return !d.board.get().Verified.IsZero() }

// run runs with one configuration.
func (d *daemon) run(ctx context.Context, reloads <-chan os.Signal) (err error) {
	if d.store, err = openStore(d.config, d.metrics.observeCall); err != nil {
		return err
	}
	defer d.store.Close()
	d.log.Infof("podlaned %s starts as node %s (id %s)", version, d.config.nodeName, d.config.nodeID)
	g, ctx := errgroup.WithContext(ctx)
	if err := d.serve(ctx, g); err != nil {
		return err
	}
	g.Go(func() error { return d.notify(ctx) })
	g.Go(func() error { return d.awaitReload(ctx, reloads) })
	g.Go(func() error { return d.runNode(ctx) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	d.log.Info("podlaned ends; the overlay continues without it")
	return nil
}

func newDaemon(c config, log *logrus.Logger) *daemon {
	b := &board{news: newKicks()}
	b.beat()
	return &daemon{config: c, log: log, troubles: newTroubles(log), board: b, metrics: newMetrics(b)}
}

// serve answers on the local socket, and on TCP where asked for.
func (d *daemon) serve(ctx context.Context, g *errgroup.Group) error {
	socket, err := listenSocket(ctx, d.config.runDir)
	if err != nil {
		return err
	}
	h := handler(d.board, d.metrics.handler())
	g.Go(func() error { return serve(ctx, socket, profiled(h)) })
	if d.config.http != "" {
		g.Go(func() error { return d.serveTCP(ctx, h) })
	}
	return nil
}

// runNode is the node: the lease store, and the loop that it feeds, on one underlay after the other. The first underlay
// must be right.
func (d *daemon) runNode(ctx context.Context) error {
	saved, err := loadState(d.config.stateDir, d.config.etcdPrefix)
	d.troubles.check("saved state", err)
	var paths underlay.Paths
	iface, err := firstUnderlay(d.config, saved, &paths)
	if err != nil {
		return err
	}
	d.log.Infof("underlay %s, MTU %d, address %s", iface.Name, iface.MTU, join(iface.Addrs))
	l := newLoop(d, iface, saved)
	l.underlay.paths = paths
	states, selves := newMailbox[store.State](), newMailbox[subnet.Self]()
	self := l.underlay.self // the loop changes it with the underlay
	opts := etcd.Options{
		Self: self, Changes: selves, Saved: saved.store(time.Now()), TTL: d.config.leaseTTL,
		Check: func(n subnet.Network) error { _, err := newBackend(n, iface, self); return err },
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return explain(d.config, d.store.Run(ctx, opts, states.put)) })
	g.Go(func() error {
		err := l.awaitLease(ctx, states)
		for err == nil {
			if err = l.runOnUnderlay(ctx, states); errors.Is(err, errUnderlayChanged) {
				err = nil
				selves.put(l.underlay.self)
			}
		}
		return err
	})
	return g.Wait()
}

// runOnUnderlay runs the loop and its watchers until the underlay changes, and then returns errUnderlayChanged.
func (l *loop) runOnUnderlay(ctx context.Context, states <-chan store.State) error {
	wake := newKicks()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.backend.Watch(ctx, wake.kick) })
	g.Go(func() error { return firewall.Watch(ctx, wake.kick) })
	g.Go(func() error { return firewall.WatchLegacy(ctx, wake.kick) })
	g.Go(func() error { return l.run(ctx, states, wake) })
	return g.Wait()
}

// self is this node on this underlay.
func (d *daemon) self(iface underlay.Interface, saved savedState) subnet.Self {
	s := subnet.Self{
		Node:       subnet.Node{ID: d.config.nodeID, Name: d.config.nodeName, Version: version},
		PublicIP:   iface.Local(subnet.IPv4),
		PublicIPv6: iface.Local(subnet.IPv6),
	}
	s.Previous, s.InUse = previous(d.config, saved)
	if d.config.publicIP.IsValid() {
		s.PublicIP = d.config.publicIP.Addr
	}
	if d.config.publicIPv6.IsValid() {
		s.PublicIPv6 = d.config.publicIPv6.Addr
	}
	return s
}

func openStore(c config, observe func(call string, took time.Duration, err error)) (*etcd.Store, error) {
	return etcd.Open(etcd.Config{
		Endpoints:    c.etcdEndpoints,
		Prefix:       c.etcdPrefix,
		CAFile:       c.etcdCAFile,
		CertFile:     c.etcdCertFile,
		KeyFile:      c.etcdKeyFile,
		Username:     c.etcdUsername,
		PasswordFile: c.etcdPasswordFile,
		Observe:      observe,
	})
}

// newBackend returns the backend of the network configuration. It fails if this node, with its public addresses on this
// interface, cannot be in the network.
func newBackend(network subnet.Network, iface underlay.Interface, self subnet.Self) (*vxlan.Backend, error) {
	if err := underlay.Overlap(iface, network); err != nil {
		return nil, err
	}
	for f, a := range [...]netip.Addr{subnet.IPv4: self.PublicIP, subnet.IPv6: self.PublicIPv6} {
		if !a.IsValid() || !network.Range(subnet.Family(f)).On() {
			continue
		}
		if err := network.CheckPublicIP(iface.Addrs, a); err != nil {
			return nil, fmt.Errorf("%w: give this node another with --public-ip, --public-ipv6 or --iface", err)
		}
	}
	return vxlan.New(network, iface)
}
