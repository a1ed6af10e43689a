// Package lab builds a cluster of nodes in network namespaces. It has an underlay bridge, etcd, and one real podlaned
// process for each node. Pods are attached through the real CNI plugins. One more namespace is the rest of the world.
// It measures reachability. It makes faults: members of etcd and podlaneds that die or hang, nodes that reboot or are
// cut off. The lab command and the black-box tests use it. It runs only in a sandbox, one lab at a time.
//
//	       outside 203.0.113.1
//	          |
//	   the sandbox's own namespace: router, bridge underlay0 198.18.0.1/16, etcd
//	     |              |              |
//	eth0 of n1     eth0 of n2     eth0 of n3        198.18.1.1, .2, .3
//	  cni0           cni0           cni0
//	   |              |              |
//	   p1             p2             p3             10.5.0.0/16
package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podlane/podlane/lab/apiserver"
	"github.com/podlane/podlane/lab/sandbox"
)

// dir holds all files of the lab. /run is the sandbox's own tmpfs.
const dir = "/run/lab"

// DefaultConfig is the network configuration of a lab without Options.Config.
const DefaultConfig = `{"Network": "10.5.0.0/16", "Backend": {"Type": "vxlan"}}`

// DefaultPrefix is the prefix of podlane's keys in etcd.
const DefaultPrefix = "/podlane/network"

// Options describes a lab. The zero value, with Bin set, is a lab of three nodes.
type Options struct {
	Nodes       int    // number of nodes, at most 1,000; 0: 3
	Bin         string // the folder with podlaned, podlane-cni, podlane-gate, lab and cni/
	Config      string // the network configuration as JSON; empty: DefaultConfig
	EtcdMembers int    // 1 to 9; 0: 1
	Kubernetes  bool   // the store is an API server in memory, with a podlane-kube on each node; there is no etcd
	MTU         int    // of the underlay, in bytes; 0: 1500
	IPv6        bool   // the underlay has IPv6 addresses beside IPv4
	// NodeEnv adds to, or replaces in, the environment of node i (from 1): PODLANE_IFACE=eth0. Nil: nothing.
	NodeEnv func(i int) []string
	// NodeCaps returns the capabilities of podlaned on node i (from 1) beside CAP_NET_ADMIN, in setpriv's names:
	// net_raw. Nil: none.
	NodeCaps func(i int) []string
	// Portmap is the backend of the portmap plugin: iptables or nftables. Empty: the plugin chooses.
	Portmap string
	// Step is called when a step begins. The function that it returns is called when the step ends, with its error.
	// Nil: not called.
	Step func(name string) func(error)
	// Log receives the standard error of CNI plugins. Nil: it is discarded.
	Log io.Writer
}

func (o Options) withDefaults() (Options, error) {
	for _, d := range []struct {
		field            *int
		name             string
		otherwise, limit int
	}{
		{&o.Nodes, "nodes", 3, 1000},
		{&o.EtcdMembers, "etcd members", 1, 9},
		{&o.MTU, "underlay MTU", 1500, 65535},
	} {
		if *d.field == 0 {
			*d.field = d.otherwise
		}
		if *d.field < 1 || *d.field > d.limit {
			return o, fmt.Errorf("%d %s: give 1 to %d", *d.field, d.name, d.limit)
		}
	}
	if o.Config == "" {
		o.Config = DefaultConfig
	}
	if o.NodeEnv == nil {
		o.NodeEnv = func(int) []string { return nil }
	}
	if o.NodeCaps == nil {
		o.NodeCaps = func(int) []string { return nil }
	}
	if o.Step == nil {
		o.Step = func(string) func(error) { return func(error) {} }
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	return o, nil
}

// Lab is a cluster. Nodes are in order: Nodes[0] is n1.
type Lab struct {
	Nodes   []*Node
	Outside *Place            // the rest of the world: it has no route to the pod network
	Etcd    *Etcd             // nil in a lab with Options.Kubernetes
	API     *apiserver.Server // only in a lab with Options.Kubernetes

	options  Options
	underlay *underlay
	pods     pods
}

// New makes the bridge, etcd and the node namespaces. It stores no network configuration; StartAll does. After an
// error nothing is left.
func New(ctx context.Context, o Options) (_ *Lab, err error) {
	if !sandbox.Inside() {
		return nil, sandbox.ErrOutside
	}
	o, err = o.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Lab{options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o755); err != nil {
		return nil, err
	}
	type step struct {
		name string
		run  func(context.Context) error
	}
	store := step{fmt.Sprintf("etcd, %d member%s", o.EtcdMembers, plural(o.EtcdMembers)), l.startEtcd}
	if o.Kubernetes {
		store = step{"API server", l.startAPI}
	}
	steps := []step{
		{"underlay bridge and the outside", l.makeUnderlay},
		store,
		{fmt.Sprintf("%d node namespace%s", o.Nodes, plural(o.Nodes)), l.makeNodes},
	}
	for _, s := range steps {
		if err := l.step(ctx, s.name, s.run); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// step runs one step and reports its beginning and end.
func (l *Lab) step(ctx context.Context, name string, run func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ended := l.options.Step(name)
	err := run(ctx)
	ended(err)
	return err
}

func (l *Lab) makeUnderlay(context.Context) (err error) {
	if l.underlay, err = makeUnderlay(l.options); err != nil {
		return err
	}
	l.Outside, err = l.underlay.makeOutside(l.options)
	return err
}

func (l *Lab) startEtcd(ctx context.Context) (err error) {
	l.Etcd, err = startEtcd(ctx, l.options.EtcdMembers, l.options.Bin)
	return err
}

func (l *Lab) makeNodes(ctx context.Context) error {
	for i := 1; i <= l.options.Nodes; i++ {
		n, err := l.makeNode(i)
		if n != nil {
			l.Nodes = append(l.Nodes, n)
		}
		if err != nil {
			return err
		}
	}
	return l.underlay.await(ctx)
}

// SetConfig writes the network configuration to etcd like a user: with podlaned, on the first node.
func (l *Lab) SetConfig(ctx context.Context, config string) error {
	cmd := l.Nodes[0].Command(ctx, "podlaned", "config", "set", "-")
	cmd.Stdin = strings.NewReader(config)
	out, err := l.Nodes[0].output(cmd)
	if err != nil {
		return fmt.Errorf("podlaned config set: %w: %s", err, strings.TrimSpace(out))
	}
	return nil
}

// StartAll writes the network configuration and starts podlaned on every node at the same moment. It waits
// until all are ready and each has all others as peers. A ready node may not know later ones yet.
func (l *Lab) StartAll(ctx context.Context) error {
	var err error
	if l.options.Kubernetes {
		err = l.step(ctx, "network configuration, and the Nodes", l.makeCluster)
	} else {
		err = l.step(ctx, "network configuration, by podlaned config set", func(ctx context.Context) error {
			return l.SetConfig(ctx, l.options.Config)
		})
	}
	if err != nil {
		return err
	}
	return l.step(ctx, "podlaned ready on "+l.nodeNames(), func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		for _, n := range l.Nodes {
			g.Go(func() error {
				if l.options.Kubernetes {
					if err := n.LaunchFeeder(ctx); err != nil {
						return err
					}
				}
				if err := n.Start(ctx); err != nil {
					return err
				}
				return n.hasPeers(ctx, len(l.Nodes)-1)
			})
		}
		return g.Wait()
	})
}

func (l *Lab) nodeNames() string {
	if len(l.Nodes) == 1 {
		return l.Nodes[0].Name
	}
	return fmt.Sprintf("%s to %s", l.Nodes[0].Name, l.Nodes[len(l.Nodes)-1].Name)
}

// Logs returns the last lines of the daemons' logs of the first nodes, each under its node's name.
func (l *Lab) Logs(lines, nodes int) string {
	var b strings.Builder
	for _, n := range l.Nodes[:min(nodes, len(l.Nodes))] {
		fmt.Fprintf(&b, "%s:\n%s\n", n.Name, indent(lastLines(n.LogText(), lines)))
		if text := n.FeederLogText(); text != "" {
			fmt.Fprintf(&b, "podlane-kube of %s:\n%s\n", n.Name, indent(lastLines(text, lines)))
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// Close kills the daemons and removes everything, in any state. It does not run CNI DEL for the pods.
func (l *Lab) Close() error {
	var errs []error
	for _, n := range l.Nodes {
		errs = append(errs, n.Kill(), n.KillFeeder())
	}
	if l.API != nil {
		errs = append(errs, l.API.Close())
	}
	if l.Etcd != nil {
		errs = append(errs, l.Etcd.close())
	}
	for _, p := range l.pods.all() {
		errs = append(errs, p.remove())
	}
	for _, n := range l.Nodes {
		errs = append(errs, n.remove())
	}
	if l.Outside != nil {
		errs = append(errs, l.Outside.remove())
	}
	if l.underlay != nil {
		errs = append(errs, l.underlay.remove())
	}
	return errors.Join(append(errs, os.RemoveAll(dir))...)
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// poll calls done every few milliseconds until it returns true or an error, or ctx ends.
func poll(ctx context.Context, every time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
