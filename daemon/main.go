// podlaned connects the pods of this node to the pod network. It leases a pod subnet from etcd. It programs a VXLAN device and
// its peers. For the CNI plugin, it writes the node file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
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
	signal.Ignore(syscall.SIGPIPE) // the daemon runs on if the reader of its log ends
	return command(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
}

// streams holds what a command reads from and writes to.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// commands in the order in which help shows them.
var commands = []struct {
	name, help string
	run        func(ctx context.Context, c config, rest []string, io streams) error
	lenient    bool // also runs with a wrong setting: the operator needs it to find the error
}{
	{"run", "run the daemon; this is the default command", runDaemon, false},
	{"status", "print the state of this node and its peers; the exit code is 1 if the node is not ready or has a problem", runStatus, true},
	{"config", "config get | set FILE: read or write the network configuration in etcd", runConfig, false},
	{"install", "copy the CNI plugins to the folder in which the container runtime looks for them", runInstall, false},
	{"cleanup", "remove everything that podlane created on this node, and nothing else", runCleanup, true},
	{"version", "print the version", runVersion, false},
}

func command(ctx context.Context, args []string, io streams) int {
	name := "run"
	if len(args) > 0 && args[0] == "help" {
		args = []string{"--help"}
	}
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		name, args = args[0], args[1:]
	}
	for _, cmd := range commands {
		if cmd.name != name {
			continue
		}
		c, rest, err := loadConfig(name, args, os.Environ(), io.out)
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		if err != nil {
			fmt.Fprintf(io.err, "podlaned: %v\n", err)
		}
		if err != nil && (errors.Is(err, errUsage) || !cmd.lenient) {
			return exitUsage
		}
		return exitCode(cmd.run(ctx, c, rest, io), io.err)
	}
	fmt.Fprintf(io.err, "podlaned: unknown command %q; `podlaned --help` lists them\n", name)
	return exitUsage
}

// errUsage marks errors of the command line itself.
var errUsage = errors.New("usage")

// errSilent ends a command with an exit code and no further message.
var errSilent = errors.New("not ready")

func exitCode(err error, w io.Writer) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errSilent):
		return exitError
	}
	fmt.Fprintf(w, "podlaned: %v\n", err)
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitError
}

func usage(f *flag.FlagSet, name string) {
	w := f.Output()
	fmt.Fprintf(w, "podlaned %s\n\nUsage: podlaned [COMMAND] [FLAGS]\n\nCommands:\n", version)
	for _, c := range commands {
		fmt.Fprintf(w, "  %-9s%s\n", c.name, c.help)
	}
	fmt.Fprintf(w, "\nFlags of podlaned %s. Each is also a key in the configuration file and an environment variable:\nfor --etcd-prefix, the key is etcd-prefix and the variable is PODLANE_ETCD_PREFIX.\n\n", name)
	f.PrintDefaults()
}

func runVersion(_ context.Context, _ config, rest []string, io streams) error {
	if err := noMore(rest); err != nil {
		return err
	}
	v := version
	if info, ok := debug.ReadBuildInfo(); ok && v == "unknown" {
		v = info.Main.Version
	}
	fmt.Fprintf(io.out, "podlaned %s %s/%s %s\n", v, runtime.GOOS, runtime.GOARCH, runtime.Version())
	return nil
}

// noMore returns an error if there are arguments that the command does not use.
func noMore(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("%w: unexpected argument %q; the command must come first", errUsage, rest[0])
	}
	return nil
}
