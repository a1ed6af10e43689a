package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/podlane/podlane/subnet/etcd"
)

// config is what the operator asks for. Flags win over PODLANE_* variables, and these over the YAML file.
type config struct {
	file string

	etcdEndpoints    list
	etcdPrefix       string
	etcdCAFile       string
	etcdCertFile     string
	etcdKeyFile      string
	etcdUsername     string
	etcdPasswordFile string

	iface      list
	ifaceRegex string
	canReach   addr
	publicIP   addr
	publicIPv6 addr

	nodeID   string
	nodeName string
	leaseTTL time.Duration

	runDir   string
	stateDir string
	cniConf  string
	cniBin   list
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
	f.StringVar(&c.file, "config", defaultFile, "YAML `file` with these settings, by the names they have here; it may be absent")
	c.etcdEndpoints = list{"http://127.0.0.1:2379"}
	f.Var(&c.etcdEndpoints, "etcd-endpoints", "comma-separated `URLs` of etcd's members")
	f.StringVar(&c.etcdPrefix, "etcd-prefix", etcd.DefaultPrefix, "key `prefix` in etcd; flannel's is /coreos.com/network")
	f.StringVar(&c.etcdCAFile, "etcd-cafile", "", "PEM `file` with the CA of etcd's certificates")
	f.StringVar(&c.etcdCertFile, "etcd-certfile", "", "PEM `file` with this client's certificate")
	f.StringVar(&c.etcdKeyFile, "etcd-keyfile", "", "PEM `file` with the key of the certificate")
	f.StringVar(&c.etcdUsername, "etcd-username", "", "`user` in etcd")
	f.StringVar(&c.etcdPasswordFile, "etcd-password-file", "", "`file` with the user's password")
	f.Var(&c.iface, "iface", "underlay interface by `name`, altname, address or CIDR; of several, separated by commas, the first that exists")
	f.StringVar(&c.ifaceRegex, "iface-regex", "", "underlay interface by a regular `expression` over names and addresses, or over altnames if none of these matches")
	f.Var(&c.canReach, "iface-can-reach", "underlay interface by an `address` it reaches")
	f.Var(&c.publicIP, "public-ip", "`address` by which the other nodes reach this one, where it is not the interface's own")
	f.Var(&c.publicIPv6, "public-ipv6", "the same for the IPv6 underlay `address`")
	f.StringVar(&c.nodeID, "node-id", "", "the node's `identity`, unique in the cluster (default: /etc/machine-id)")
	f.StringVar(&c.nodeName, "node-name", "", "the node's `name` (default: the host name)")
	c.leaseTTL = 24 * time.Hour
	f.Var(duration{&c.leaseTTL}, "lease-ttl", "how long the pod subnet stays this node's without contact to etcd: a `duration` of at least 1m")
	f.StringVar(&c.runDir, "run-dir", "/run/podlane", "`folder` of the node file subnet.env and the status socket")
	f.StringVar(&c.stateDir, "state-dir", "/var/lib/podlane", "`folder` of the state saved for a start without etcd")
	f.StringVar(&c.cniConf, "cni-conf", "", "write the CNI configuration list to this `file` once pods can be attached")
	c.cniBin = list{defaultTo, "/usr/lib/cni", "/usr/libexec/cni"}
	f.Var(&c.cniBin, "cni-bin", "comma-separated `folders` of CNI plugins; the CNI configuration list names podlane-gate if each of them that has podlane-cni has it too")
	c.ipMasq = true
	f.Var(boolean{&c.ipMasq}, "ip-masq", "masquerade what leaves the pod network")
	f.Var(boolean{&c.bridgeNetfilter}, "bridge-netfilter", "let the firewall see what pods of this node send each other, as kube-proxy needs it; readiness says where that cannot be")
	c.resync = 30 * time.Second
	f.Var(duration{&c.resync}, "resync", "verify the kernel's state at least once in this `duration` of at least 1s")
	f.StringVar(&c.logLevel, "log-level", "info", "`level`: debug, info, warning or error")
	f.StringVar(&c.logFormat, "log-format", "text", "`format`: text or json")
	f.StringVar(&c.http, "http", "127.0.0.1:9472", "serve /metrics, /healthz, /readyz and /status on this TCP `address` too; empty: on the local socket alone")
	switch name {
	case "status":
		f.Var(boolean{&c.json}, "json", "print everything, as JSON")
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
	rest, err := parseArgs(f, args)
	if err != nil {
		return c, nil, err
	}
	given := map[string]bool{}
	f.Visit(func(x *flag.Flag) { given[x.Name] = true })
	err = fromEnvironment(f, environ, given)
	if wrong := c.fromFile(f, given); err == nil {
		err = wrong
	}
	c.etcdPrefix = strings.TrimRight(c.etcdPrefix, "/")
	c.again = func() (config, error) {
		again, _, err := loadConfig(command, args, environ, io.Discard)
		return again, err
	}
	if err == nil {
		err = c.check()
	}
	return c, rest, err
}

// parseArgs parses the flags, which may stand before, between and after the other arguments, and returns the others. It
// is quiet: the error is the caller's to print, once.
func parseArgs(f *flag.FlagSet, args []string) (rest []string, err error) {
	help, show := f.Output(), f.Usage
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	defer func() { f.SetOutput(help); f.Usage = show }()
	for {
		if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
			f.SetOutput(help)
			show()
			return nil, err
		} else if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		if args = f.Args(); len(args) == 0 {
			return rest, nil
		}
		rest, args = append(rest, args[0]), args[1:]
	}
}

// variable is the environment variable of a flag.
func variable(name string) string {
	return "PODLANE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// fromEnvironment sets what no flag has set, and marks it as given.
func fromEnvironment(f *flag.FlagSet, environ []string, given map[string]bool) error {
	values := map[string]string{}
	for _, e := range environ {
		key, value, _ := strings.Cut(e, "=")
		values[key] = value
	}
	var errs []error
	f.VisitAll(func(x *flag.Flag) {
		value, set := values[variable(x.Name)]
		if !set || given[x.Name] {
			return
		}
		given[x.Name] = true
		if err := f.Set(x.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("environment %s=%s: %w", variable(x.Name), value, err))
		}
	})
	return errors.Join(errs...)
}
