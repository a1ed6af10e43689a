package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/podlane/podlane/settings"
	"github.com/podlane/podlane/subnet/annotation"
)

// podlaned's lease stores.
const (
	storeEtcd       = "etcd"
	storeKubernetes = "kubernetes"
)

// config holds the settings of a command. A setting of podlaned and podlane-kube has the same name in both. So one set of
// environment variables serves both.
type config struct {
	kubeconfig string

	nodeName string
	runDir   string

	store            string
	networkFile      string // only used with the store kubernetes
	annotationPrefix string

	etcd  settings.Etcd
	grace time.Duration
}

// flags binds the settings of a command to their flags.
func (c *config) flags(command string) *flag.FlagSet {
	f := flag.NewFlagSet("podlane-kube "+command, flag.ContinueOnError)
	f.StringVar(&c.kubeconfig, "kubeconfig", "", "`file` with the address and credentials of the API server; empty: use the pod's service account")
	switch command {
	case "node":
		f.StringVar(&c.nodeName, "node-name", "", "`name` of this Node (also the variable NODE_NAME)")
		f.StringVar(&c.runDir, "run-dir", "/run/podlane", "`folder` of podlaned's node file and local sockets")
		f.StringVar(&c.store, "store", storeEtcd, "podlaned's lease `store`: with kubernetes, podlane-kube feeds podlaned; with etcd, it only reports")
		f.StringVar(&c.networkFile, "network-file", "/etc/podlane/network/net-conf.json", "`file` with the network configuration; only with the store kubernetes")
		f.StringVar(&c.annotationPrefix, "annotation-prefix", annotation.DefaultPrefix, "`prefix` of the annotations that announce a node, as flannel's --kube-annotation-prefix; only with the store kubernetes")
	case "release":
		c.etcd.Flags(f)
		c.grace = 10 * time.Minute
		f.Var(settings.Duration{To: &c.grace}, "grace", "how long a lease is kept whose Node did not exist when podlane-kube started: a `duration`")
	}
	return f
}

// loadConfig reads the settings from the arguments and the environment, and checks them. The error is flag.ErrHelp if the
// arguments ask for help, which loadConfig prints.
func loadConfig(command string, args, environ []string, help io.Writer) (c config, err error) {
	f := c.flags(command)
	f.SetOutput(help)
	f.Usage = func() {
		fmt.Fprintf(help, "Flags of podlane-kube %s. Each is also an environment variable: for --kubeconfig, PODLANE_KUBECONFIG.\n\n", command)
		f.PrintDefaults()
	}
	rest, err := settings.Parse(f, args)
	switch {
	case err != nil:
		return c, err
	case len(rest) > 0:
		return c, fmt.Errorf("unexpected argument %q", rest[0])
	}
	if err := settings.Fill(f, slices.Concat(nodeName(environ), environ)); err != nil {
		return c, err
	}
	return c, c.check(command)
}

// nodeName returns NODE_NAME, which the DaemonSet sets, as the variable of the flag --node-name. It is empty if NODE_NAME is
// not set.
func nodeName(environ []string) (variables []string) {
	for _, e := range environ {
		if name, ok := strings.CutPrefix(e, "NODE_NAME="); ok {
			variables = append(variables, settings.Variable("node-name")+"="+name)
		}
	}
	return variables
}

func (c config) check(command string) error {
	switch {
	case command == "node" && c.nodeName == "":
		return errors.New("the Node's name is missing: give --node-name, or set NODE_NAME from the field spec.nodeName")
	case command == "node" && c.store != storeEtcd && c.store != storeKubernetes:
		return fmt.Errorf("store %.40q is unknown: the stores are %s and %s", c.store, storeEtcd, storeKubernetes)
	case command == "node":
		_, err := annotation.NewKeys(c.annotationPrefix)
		return err
	case command == "release" && c.grace < 0:
		return fmt.Errorf("grace %s is negative", c.grace)
	case command == "release":
		return c.etcd.Check()
	}
	return nil
}
