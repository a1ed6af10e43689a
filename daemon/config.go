package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/podlane/podlane/settings"
)

// config holds the settings of podlaned and its commands.
type config struct {
	file string

	store       storeKind
	etcd        settings.Etcd
	etcdSetting string // the first setting of etcd that is given; empty: none
	networkFile string

	iface      settings.List
	ifaceRegex string
	canReach   settings.Addr
	publicIP   settings.Addr
	publicIPv6 settings.Addr

	nodeID   string
	nodeName string
	leaseTTL time.Duration

	runDir   string
	stateDir string
	cniConf  string
	cniBin   settings.List
	ipMasq   bool

	bridgeNetfilter bool

	resync time.Duration

	logLevel  string
	logFormat string
	http      string
	metrics   string

	json     bool   // for status
	from, to string // for install

	again   func() (config, error) // loads the settings again
	unknown []string               // sentences about environment variables that begin with PODLANE_ and are not settings
}

const defaultFile = "/etc/podlane/podlaned.yaml"

// flags binds the settings of a command to their flags.
func (c *config) flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.StringVar(&c.file, settings.FileFlag, defaultFile, "YAML `file` with settings; its keys are the names of these flags; the default file may be missing")
	f.StringVar((*string)(&c.store), "store", string(storeEtcd), "`store` of the leases: etcd, or kubernetes: annotations of the Nodes, which podlane-kube reads and writes")
	c.etcd.Flags(f)
	f.StringVar(&c.networkFile, "network-file", "", "`file` with the network configuration, which podlaned writes to etcd if etcd has none; with it, no error of etcd ends podlaned")
	f.Var(&c.iface, "iface", "underlay interface, by `name`, altname, address or CIDR; of a comma-separated list, the first that exists")
	f.StringVar(&c.ifaceRegex, "iface-regex", "", "underlay interface whose name or address matches a regular `expression`; if none matches, whose altname does")
	f.Var(&c.canReach, "iface-can-reach", "underlay interface that the route to this `address` uses")
	f.Var(&c.publicIP, "public-ip", "IPv4 `address` at which other nodes reach this node, if it is not the interface's own")
	f.Var(&c.publicIPv6, "public-ipv6", "IPv6 `address` at which other nodes reach this node, if it is not the interface's own")
	f.StringVar(&c.nodeID, "node-id", "", "the node's `identity`, unique in the cluster (default: the content of /etc/machine-id)")
	f.StringVar(&c.nodeName, "node-name", "", "the node's `name` (default: the host name)")
	c.leaseTTL = 24 * time.Hour
	f.Var(settings.Duration{To: &c.leaseTTL}, "lease-ttl", "how long this node keeps its pod subnet without contact to etcd: a `duration` of at least 1m")
	f.StringVar(&c.runDir, "run-dir", "/run/podlane", "`folder` of the node file subnet.env and the local socket")
	f.StringVar(&c.stateDir, "state-dir", "/var/lib/podlane", "`folder` of the saved state, for a start without the lease store")
	f.StringVar(&c.cniConf, "cni-conf", "", "write the CNI configuration list to this `file` when pods can be attached; empty: write none")
	c.cniBin = settings.List{defaultTo, "/usr/lib/cni", "/usr/libexec/cni"}
	f.Var(&c.cniBin, "cni-bin", "comma-separated `folders` of CNI plugins; the CNI configuration list contains podlane-gate if every folder with podlane-cni has it too")
	c.ipMasq = true
	f.Var(settings.Bool{To: &c.ipMasq}, "ip-masq", "masquerade packets from pods to addresses outside the pod network")
	f.Var(settings.Bool{To: &c.bridgeNetfilter}, "bridge-netfilter", "let the firewall see packets between pods of this node, which kube-proxy needs; /readyz reports if that is not possible")
	c.resync = 30 * time.Second
	f.Var(settings.Duration{To: &c.resync}, "resync", "the longest time between two verifications of the kernel's state: a `duration` of at least 1s")
	f.StringVar(&c.logLevel, "log-level", "info", "`level` of the log: debug (adds each reconciliation and each call to etcd), info, warning, or error: only the error that ends podlaned")
	f.StringVar(&c.logFormat, "log-format", "text", "`format` of the log: text or json")
	f.StringVar(&c.http, "http", "127.0.0.1:9472", "serve /metrics, /healthz, /readyz and /status also on this TCP `address`; empty: only on the local socket")
	f.StringVar(&c.metrics, "metrics", "", "serve only /metrics on this TCP `address`, also to pods; its port must differ from that of http; empty: off")
	switch name {
	case "status":
		f.Var(settings.Bool{To: &c.json}, "json", "print the whole status, as JSON")
	case "install":
		f.StringVar(&c.from, "from", defaultFrom, "`folder` of the plugins to copy")
		f.StringVar(&c.to, "to", defaultTo, "`folder` in which the container runtime looks for plugins")
	}
	return f
}

// loadConfig reads the settings from the arguments, the environment and the file, and checks them. It also returns the other
// arguments. If the arguments ask for help, it prints the help, and the error is flag.ErrHelp. If the environment or the file
// is wrong, their correct settings are set anyway.
func loadConfig(command string, args, environ []string, help io.Writer) (config, []string, error) {
	var c config
	f := c.flags(command)
	f.SetOutput(help)
	f.Usage = func() { usage(f, command) }
	rest, err := settings.Parse(f, args)
	if errors.Is(err, flag.ErrHelp) {
		return c, nil, err
	} else if err != nil {
		return c, nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	err = settings.Fill(f, environ)
	c.unknown = settings.UnknownVariables(environ)
	c.etcdSetting = settings.FirstGiven(f, "etcd-")
	c.again = func() (config, error) {
		again, _, err := loadConfig(command, args, environ, io.Discard)
		return again, err
	}
	if err == nil {
		err = c.check()
	}
	return c, rest, err
}
