// podlane-kube runs in Kubernetes, and is the only program of podlane that uses the API server:
//
//   - node, beside podlaned on each node: it reports whether the network is up. With the store kubernetes, it also feeds podlaned
//     with the leases of all Nodes, and writes the announcement of its own Node.
//   - release, once in a cluster: it releases the leases of deleted nodes in etcd.
//
// It never programs the kernel. If it fails, the overlay keeps working.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sirupsen/logrus"
	"k8s.io/klog/v2"

	"github.com/podlane/podlane/settings"
)

// version is set by the linker.
var version = "unknown"

func main() { os.Exit(run()) }

// exit codes
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // the one place
	defer stop()
	klog.SetLogger(klog.New(nil)) // the Kubernetes client also returns its errors, which are logged once
	return command(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
}

// commands in the order in which help shows them.
var commands = []struct {
	name, help string
	run        func(ctx context.Context, c config, log *logrus.Logger) error
}{
	{"node", "on each node, beside podlaned: report the network's state and problems in the Node's conditions and Events; with --store=kubernetes, also feed podlaned with the leases of all Nodes", runNode},
	{"release", "once in a cluster with --store=etcd: release the leases of deleted nodes", runRelease},
}

func command(ctx context.Context, args, environ []string, out, log io.Writer) int {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	if name == "version" {
		fmt.Fprintf(out, "podlane-kube %s\n", version)
		return exitOK
	}
	for _, cmd := range commands {
		if cmd.name != name {
			continue
		}
		c, err := loadConfig(name, args[1:], environ, out)
		switch {
		case errors.Is(err, flag.ErrHelp):
			return exitOK
		case err != nil:
			fmt.Fprintf(log, "podlane-kube: %v\n", err)
			return exitUsage
		}
		logger := newLogger(log)
		for _, text := range settings.UnknownVariables(environ) {
			logger.Warnf("environment: %s", text)
		}
		if err := cmd.run(ctx, c, logger); err != nil {
			fmt.Fprintf(log, "podlane-kube: %v\n", err)
			return exitError
		}
		return exitOK
	}
	if name != "" {
		fmt.Fprintf(log, "podlane-kube: unknown command %q\n\n", name)
	}
	usage(log)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprintf(w, "podlane-kube %s\n\nUsage: podlane-kube COMMAND [FLAGS]\n\nCommands:\n", version)
	for _, c := range commands {
		fmt.Fprintf(w, "  %-9s%s\n", c.name, c.help)
	}
	fmt.Fprintf(w, "  %-9s%s\n", "version", "print the version")
}

func newLogger(w io.Writer) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(w)
	log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true})
	return log
}
