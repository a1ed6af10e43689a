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
	"github.com/podlane/podlane/problems"
	"github.com/podlane/podlane/status"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
	"github.com/podlane/podlane/underlay"
)

// daemon is one run of podlaned with one configuration.
type daemon struct {
	config   config
	log      *logrus.Logger
	problems *problems.Log
	board    *board
	metrics  *metrics
	store    leaseStore
	file     *networkFile
	firewall firewall.Firewall

	started  atomic.Bool // systemd knows that podlaned has started
	reloaded bool        // it knew that before this configuration was loaded
	next     config      // the reloaded configuration, after errReload
}

// gcPercent is the garbage collection target (runtime/debug.SetGCPercent) unless GOGC is set. A start with 5,000 peers was
// measured. On two cores, Go's default of 100 needed some 3 MiB more than 75. It needed a tenth less CPU time. On one
// core, 65 needed 1.4 MiB more than 50, and 3 % less CPU time.
const gcPercent = 50

// cores is how many cores podlaned uses at once (runtime.GOMAXPROCS) unless GOMAXPROCS is set. Its work is sequential, so
// a start with one core is not slower. With more, each wake-up also wakes a thread that has nothing to do.
const cores = 1

// runDaemon runs until ctx ends, and starts again when its configuration is reloaded. What it programmed in the kernel stays,
// so the overlay works without it.
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
	var before *config    // the configuration before the last reload
	var unusableErr error // why the reloaded one is not used
	for started := false; ; {
		d := newDaemon(c, newLogger(c, io.err))
		d.reloaded = started
		d.problems.Check("reload", unusableErr)
		d.problems.SetAll("environment", c.unknown)
		d.problems.Set("settings", c.otherStore())
		err := d.run(ctx, reloads)
		started = started || d.started.Load()
		switch {
		case errors.Is(err, errReload):
			d.log.Info(err)
			was := c
			c, before, unusableErr = d.next, &was, nil
		case err != nil && before != nil && !d.everVerified():
			c, before, unusableErr = *before, nil, err
		default:
			return err
		}
	}
}

// everVerified reports whether this configuration has produced a verified overlay. A reloaded configuration that never does
// is rolled back.
func (d *daemon) everVerified() bool { return !d.board.get().Verified.IsZero() }

// run runs with one configuration.
func (d *daemon) run(ctx context.Context, reloads <-chan os.Signal) (err error) {
	if d.store, err = openStore(d.config, d.file, d.observeCall); err != nil {
		return err
	}
	defer d.store.Close()
	d.log.Infof("podlaned %s starts as node %s (id %s)", version, d.config.nodeName, d.config.nodeID)
	g, ctx := errgroup.WithContext(ctx)
	if err := d.serve(ctx, g); err != nil {
		return err
	}
	d.problems.Check("network-file", d.file.read()) // before the store asks for it
	g.Go(func() error { return d.file.run(ctx, d.problems) })
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
	b := &board{changed: newKicks(), status: status.Status{Store: string(c.store)}}
	b.beat()
	return &daemon{config: c, log: log, problems: problems.New(log), board: b, metrics: newMetrics(b), file: newNetworkFile(c)}
}

// serve answers on the local socket and, if configured, on TCP.
func (d *daemon) serve(ctx context.Context, g *errgroup.Group) error {
	socket, err := listenSocket(ctx, d.config.runDir)
	if err != nil {
		return err
	}
	h := handler(d.board, d.metrics.handler())
	g.Go(func() error { return serve(ctx, socket, profiled(h)) })
	if d.config.http != "" {
		g.Go(func() error { return d.serveTCP(ctx, "http", d.config.http, h) })
	}
	if d.config.metrics != "" {
		g.Go(func() error { return d.serveTCP(ctx, "metrics", d.config.metrics, metricsOnly(d.metrics.handler())) })
	}
	return nil
}

// runNode runs the lease store and the loop that receives its states. It restarts the watchers when the underlay changes. It
// fails if the first underlay is not usable.
func (d *daemon) runNode(ctx context.Context) error {
	saved, err := loadState(d.config.stateDir, d.config.storeIdentity())
	d.problems.Check("saved state", err)
	var paths underlay.Paths
	iface, err := firstUnderlay(d.config, saved, &paths)
	if err != nil {
		return err
	}
	d.log.Infof("underlay %s, MTU %d, address %s", iface.Name, iface.MTU, status.Join(iface.Addrs))
	l := newLoop(d, iface, saved)
	l.underlay.paths = paths
	states, selves := newMailbox[store.State](), newMailbox[subnet.Self]()
	self := l.underlay.self // the loop changes it with the underlay
	node := storeNode{
		self: self, changes: selves, saved: saved.store(time.Now()),
		check: func(n subnet.Network) error { _, err := newBackend(n, iface, self); return err },
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.store.Run(ctx, node, states.put) })
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
//
// The watchers begin after the first reconciliation. While any process listens, the kernel keeps 8 KiB for each new element of a
// set until the transaction ends. A watcher kicks when it begins, so no earlier change is missed.
func (l *loop) runOnUnderlay(ctx context.Context, states <-chan store.State) error {
	changed := newKicks()
	g, ctx := errgroup.WithContext(ctx)
	watch := func() {
		g.Go(func() error { return l.backend.Watch(ctx, changed.kick) })
		g.Go(func() error { return firewall.Watch(ctx, changed.kick) })
		g.Go(func() error { return firewall.WatchLegacy(ctx, changed.kick) })
	}
	g.Go(func() error { return l.run(ctx, states, changed, watch) })
	return g.Wait()
}

// self returns this node with its public addresses on an underlay.
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

// newBackend returns the backend of the network configuration. It fails if this node cannot be in the network with these
// public addresses and this interface.
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
