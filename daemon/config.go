package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/podlane/podlane/settings"
)

// config is what the operator asks for. Flags win over PODLANE_* variables, and these over the YAML file.
type config struct {
	file string

	etcd settings.Etcd

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

	json     bool   // of status
	from, to string // of install

	again func() (config, error) // reads it again, from the same places
}

const defaultFile = "/etc/podlane/podlaned.yaml"

// flags binds every setting to its flag. The name of the flag is the key in the YAML file too, and PODLANE_ with the
// name in capitals the environment variable: one list for all three.
func (c *config) flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.StringVar(&c.file, settings.FileFlag, defaultFile, "YAML `file` with these settings, by the names they have here; it may be absent")
	c.etcd.Flags(f)
	f.Var(&c.iface, "iface", "underlay interface by `name`, altname, address or CIDR; of several, separated by commas, the first that exists")
	f.StringVar(&c.ifaceRegex, "iface-regex", "", "underlay interface by a regular `expression` over names and addresses, or over altnames if none of these matches")
	f.Var(&c.canReach, "iface-can-reach", "underlay interface by an `address` it reaches")
	f.Var(&c.publicIP, "public-ip", "`address` by which the other nodes reach this one, where it is not the interface's own")
	f.Var(&c.publicIPv6, "public-ipv6", "the same for the IPv6 underlay `address`")
	f.StringVar(&c.nodeID, "node-id", "", "the node's `identity`, unique in the cluster (default: /etc/machine-id)")
	f.StringVar(&c.nodeName, "node-name", "", "the node's `name` (default: the host name)")
	c.leaseTTL = 24 * time.Hour
	f.Var(settings.Duration{To: &c.leaseTTL}, "lease-ttl", "how long the pod subnet stays this node's without contact to etcd: a `duration` of at least 1m")
	f.StringVar(&c.runDir, "run-dir", "/run/podlane", "`folder` of the node file subnet.env and the status socket")
	f.StringVar(&c.stateDir, "state-dir", "/var/lib/podlane", "`folder` of the state saved for a start without etcd")
	f.StringVar(&c.cniConf, "cni-conf", "", "write the CNI configuration list to this `file` once pods can be attached")
	c.cniBin = settings.List{defaultTo, "/usr/lib/cni", "/usr/libexec/cni"}
	f.Var(&c.cniBin, "cni-bin", "comma-separated `folders` of CNI plugins; the CNI configuration list names podlane-gate if each of them that has podlane-cni has it too")
	c.ipMasq = true
	f.Var(settings.Bool{To: &c.ipMasq}, "ip-masq", "masquerade what leaves the pod network")
	f.Var(settings.Bool{To: &c.bridgeNetfilter}, "bridge-netfilter", "let the firewall see what pods of this node send each other, as kube-proxy needs it; readiness says where that cannot be")
	c.resync = 30 * time.Second
	f.Var(settings.Duration{To: &c.resync}, "resync", "verify the kernel's state at least once in this `duration` of at least 1s")
	f.StringVar(&c.logLevel, "log-level", "info", "`level`: debug, info, warning or error")
	f.StringVar(&c.logFormat, "log-format", "text", "`format`: text or json")
	f.StringVar(&c.http, "http", "127.0.0.1:9472", "serve /metrics, /healthz, /readyz and /status on this TCP `address` too; empty: on the local socket alone")
	switch name {
	case "status":
		f.Var(settings.Bool{To: &c.json}, "json", "print everything, as JSON")
	case "install":
		f.StringVar(&c.from, "from", defaultFrom, "`folder` of the plugins to copy")
		f.StringVar(&c.to, "to", defaultTo, "`folder` in which the container runtime looks for plugins")
	}
	return f
}

// loadConfig reads the settings from the arguments, the environment and the file, and checks them. What is left of the
// arguments is returned. The error is flag.ErrHelp where help was asked for and printed; where it is about the environment or
// the file, what is right in them has been set.
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
	c.again = func() (config, error) {
		again, _, err := loadConfig(command, args, environ, io.Discard)
		return again, err
	}
	if err == nil {
		err = c.check()
	}
	return c, rest, err
}
