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

// config is what the operator asks for. Flags win over PODLANE_* variables. Settings that podlaned has too have its names,
// so that one set of variables serves both.
type config struct {
	kubeconfig string

	nodeName string
	runDir   string

	etcdEndpoints    string
	etcdPrefix       string
	etcdCAFile       string
	etcdCertFile     string
	etcdKeyFile      string
	etcdUsername     string
	etcdPasswordFile string
	grace            time.Duration
}

// flags binds the settings of a command to their flags.
func (c *config) flags(command string) *flag.FlagSet {
	f := flag.NewFlagSet("podlane-kube "+command, flag.ContinueOnError)
	f.StringVar(&c.kubeconfig, "kubeconfig", "", "`file` that tells where the API server is; empty: the pod's service account does")
	switch command {
	case "node":
		f.StringVar(&c.nodeName, "node-name", "", "`name` of this Node (also the variable NODE_NAME)")
		f.StringVar(&c.runDir, "run-dir", "/run/podlane", "podlaned's `folder` of the node file and the local socket")
	case "release":
		f.StringVar(&c.etcdEndpoints, "etcd-endpoints", "http://127.0.0.1:2379", "comma-separated `URLs` of etcd's members")
		f.StringVar(&c.etcdPrefix, "etcd-prefix", etcd.DefaultPrefix, "key `prefix` in etcd")
		f.StringVar(&c.etcdCAFile, "etcd-cafile", "", "PEM `file` with the CA of etcd's certificates")
		f.StringVar(&c.etcdCertFile, "etcd-certfile", "", "PEM `file` with this client's certificate")
		f.StringVar(&c.etcdKeyFile, "etcd-keyfile", "", "PEM `file` with the key of the certificate")
		f.StringVar(&c.etcdUsername, "etcd-username", "", "`user` in etcd")
		f.StringVar(&c.etcdPasswordFile, "etcd-password-file", "", "`file` with the user's password")
		f.DurationVar(&c.grace, "grace", 10*time.Minute, "how long a lease is kept whose Node was not there when this program started: a `duration`")
	}
	return f
}

// loadConfig reads the settings from the arguments and the environment, and checks them. The error is flag.ErrHelp where
// help was asked for and printed.
func loadConfig(command string, args, environ []string, help io.Writer) (c config, err error) {
	f := c.flags(command)
	f.SetOutput(io.Discard)
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		f.SetOutput(help)
		fmt.Fprintf(help, "Flags of podlane-kube %s (each is also PODLANE_<NAME IN CAPITALS> in the environment):\n", command)
		f.PrintDefaults()
		return c, err
	} else if err != nil {
		return c, err
	}
	if f.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if err := fromEnvironment(f, environ); err != nil {
		return c, err
	}
	return c, c.check(command)
}

// fromEnvironment sets what no flag has set.
func fromEnvironment(f *flag.FlagSet, environ []string) error {
	values := map[string]string{}
	for _, e := range environ {
		key, value, _ := strings.Cut(e, "=")
		values[key] = value
	}
	given := map[string]bool{}
	f.Visit(func(x *flag.Flag) { given[x.Name] = true })
	var errs []error
	f.VisitAll(func(x *flag.Flag) {
		name := "PODLANE_" + strings.ToUpper(strings.ReplaceAll(x.Name, "-", "_"))
		value, set := values[name]
		if !set && x.Name == "node-name" {
			value, set = values["NODE_NAME"]
		}
		if !set || given[x.Name] {
			return
		}
		if err := f.Set(x.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("environment %s=%s: %w", name, value, err))
		}
	})
	return errors.Join(errs...)
}

func (c config) check(command string) error {
	switch {
	case command == "node" && c.nodeName == "":
		return errors.New("the Node's name is missing: give --node-name, or NODE_NAME from the field spec.nodeName")
	case command == "release" && c.grace < 0:
		return fmt.Errorf("grace %s is less than nothing", c.grace)
	}
	return nil
}

func (c config) openStore() (*etcd.Store, error) {
	return etcd.Open(etcd.Config{
		Endpoints:    strings.FieldsFunc(c.etcdEndpoints, func(r rune) bool { return r == ',' || r == ' ' }),
		Prefix:       c.etcdPrefix,
		CAFile:       c.etcdCAFile,
		CertFile:     c.etcdCertFile,
		KeyFile:      c.etcdKeyFile,
		Username:     c.etcdUsername,
		PasswordFile: c.etcdPasswordFile,
	})
}
