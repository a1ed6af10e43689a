// Command lab builds a cluster of nodes on this machine, measures its reachability, and runs commands in it.
// Everything is in a sandbox that the kernel removes when the lab ends, however it ends.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

const usage = `lab builds a podlane cluster in network namespaces on this machine.

  lab up [flags]                            build it, measure it, keep it until Ctrl-C; lab up -h lists the flags
  lab exec [--name NAME] PLACE [COMMAND...] run a command (without one: a shell) in a node (n1), a pod (p1) or outside
  lab list                                  list the running labs
`

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	commands := map[string]func([]string) (int, error){"up": up, "exec": execute, "list": list, "etcd": etcd}
	command, known := commands[args[0]]
	switch {
	case args[0] == "help" || args[0] == "-h" || args[0] == "--help":
		fmt.Print(usage)
		return 0
	case !known:
		fmt.Fprintf(os.Stderr, "lab: no command %q\n\n%s", args[0], usage)
		return 2
	}
	code, err := command(args[1:])
	var wrong usageError
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &wrong):
		code = 2
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
	}
	return code
}

// usageError is a mistake on the command line.
type usageError struct{ error }

// newFlags returns a set of flags. run prints its errors.
func newFlags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return f
}

// parse parses the flags; -h lists them.
func parse(f *flag.FlagSet, args []string) error {
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		f.SetOutput(os.Stdout)
		fmt.Printf("lab %s:\n", f.Name())
		f.PrintDefaults()
		return err
	}
	if err != nil {
		return usageError{err}
	}
	return nil
}

// root returns an error unless the user is root.
func root() error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root: run it with sudo")
	}
	return nil
}
