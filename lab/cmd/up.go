package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/lab/sandbox"
)

// nameVariable passes the lab's name to the program inside the sandbox.
const nameVariable = "PODLANE_LAB_NAME"

// upOptions holds the options of `lab up`.
type upOptions struct {
	nodes, podsPerNode int
	once               bool
	name, bin, config  string
	keepLogs           string
	speed              time.Duration
}

func parseUp(args []string) (o upOptions, err error) {
	flags := newFlags("up")
	flags.IntVar(&o.nodes, "nodes", 3, "`N`umber of nodes, 1 to 250")
	flags.IntVar(&o.podsPerNode, "pods-per-node", 1, "`N`umber of pods on each node, 1 to 26")
	flags.BoolVar(&o.once, "once", false, "exit after the table: with 0 if every check passed, otherwise with 1")
	flags.StringVar(&o.name, "name", "", "`NAME` for lab exec; default: the first free one of lab, lab2, ...")
	flags.StringVar(&o.bin, "bin", "", "`FOLDER` with podlaned, podlane-cni, podlane-gate and cni/; default: this program's folder")
	flags.StringVar(&o.config, "config", lab.DefaultConfig, "the network configuration as `JSON`")
	flags.StringVar(&o.keepLogs, "keep-logs", "", "`FOLDER` for a copy of the daemons' logs at the end")
	flags.DurationVar(&o.speed, "speed", 2*time.Second, "how long to measure each throughput, in whole seconds; 0: not at all")
	if err := parse(flags, args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, usageError{fmt.Errorf("up: unknown argument %q", flags.Arg(0))}
	case o.nodes < 1 || o.nodes > 250:
		return o, usageError{fmt.Errorf("--nodes %d: give 1 to 250", o.nodes)}
	case o.podsPerNode < 1 || o.podsPerNode > 26:
		return o, usageError{fmt.Errorf("--pods-per-node %d: give 1 to 26", o.podsPerNode)}
	case o.speed < 0 || o.speed%time.Second != 0:
		return o, usageError{fmt.Errorf("--speed %v: give whole seconds", o.speed)}
	case !json.Valid([]byte(o.config)):
		return o, usageError{fmt.Errorf("--config %s: not JSON", o.config)}
	}
	return o, o.resolve()
}

// resolve makes the folders absolute. It rejects folders that are not visible inside the sandbox.
func (o *upOptions) resolve() (err error) {
	if o.bin == "" {
		program, err := os.Executable()
		if err != nil {
			return err
		}
		o.bin = filepath.Dir(program)
	}
	for flag, folder := range map[string]*string{"--bin": &o.bin, "--keep-logs": &o.keepLogs} {
		if *folder == "" {
			continue
		}
		if *folder, err = filepath.Abs(*folder); err != nil {
			return err
		}
		if strings.HasPrefix(*folder+"/", "/run/") {
			return usageError{fmt.Errorf("%s %s: the lab has a /run of its own; choose another folder", flag, *folder)}
		}
	}
	return nil
}

// up runs twice. Outside it claims the lab's name and waits. The sandbox starts it again inside, and that run builds
// the lab.
func up(args []string) (int, error) {
	o, err := parseUp(args)
	if err != nil {
		return 0, err
	}
	if sandbox.Inside() {
		o.name = os.Getenv(nameVariable)
		return sandbox.Run(func() int { return inside(o) }, nil), nil
	}
	if err := root(); err != nil {
		return 1, err
	}
	if err := lab.CheckTools(o.bin); err != nil {
		return 1, err
	}
	c, err := claimName(o.name)
	if err != nil {
		return 1, err
	}
	if err := os.Setenv(nameVariable, c.Name); err != nil {
		return 1, err
	}
	return sandbox.Run(nil, c.started), nil
}

// inside builds the lab, shows the table and stays up. It removes nothing: the sandbox ends with this process.
func inside(o upOptions) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	defer stop()
	s := newScreen(os.Stdout)
	s.printf("lab %q: %d nodes, %d pods\n\n", o.name, o.nodes, o.nodes*o.podsPerNode)
	l, ok, err := build(ctx, s, o)
	defer keepLogs(l, o.keepLogs)
	switch {
	case ctx.Err() != nil:
		s.printf("\ninterrupted: nothing is left\n")
		return 130
	case err != nil:
		fmt.Fprintf(os.Stderr, "\nlab: %v\n", err)
		return 1
	}
	if !o.once {
		s.printHints(o, l.Pods())
		<-ctx.Done()
		s.printf("\nthe lab is gone\n")
	}
	if !ok {
		return 1
	}
	return 0
}

// build returns the lab even with an error, for its logs. ok reports whether every check passed.
func build(ctx context.Context, s *screen, o upOptions) (l *lab.Lab, ok bool, err error) {
	l, err = lab.New(ctx, lab.Options{Nodes: o.nodes, Bin: o.bin, Config: o.config, Step: s.step, Log: os.Stderr})
	if err != nil {
		return nil, false, err
	}
	if err := l.StartAll(ctx); err != nil {
		return l, false, err
	}
	if err := l.AddPods(ctx, o.podsPerNode); err != nil {
		return l, false, errors.Join(err, errors.New("last lines of the daemons' logs:\n"+l.Logs(5, 3)))
	}
	ended := s.step("reachability")
	t, err := l.Reach(ctx)
	ended(err)
	if err != nil {
		return l, false, err
	}
	if o.speed > 0 && o.nodes > 1 {
		ended := s.step("throughput and round trip")
		err := l.Speed(ctx, &t, o.speed)
		ended(err)
		if err != nil {
			return l, false, err
		}
	}
	s.printf("\n")
	t.Write(s.out, s.style)
	if !t.OK() {
		s.printf("\nLast lines of the daemons' logs\n\n%s\n", l.Logs(10, 3))
	}
	return l, t.OK(), nil
}

// keepLogs copies the daemons' logs to a folder.
func keepLogs(l *lab.Lab, folder string) {
	if l == nil || folder == "" {
		return
	}
	err := os.MkdirAll(folder, 0o755)
	for _, n := range l.Nodes {
		err = errors.Join(err, os.WriteFile(filepath.Join(folder, n.Name+".log"), []byte(n.LogText()), 0o644))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab: copy the logs:", err)
	}
}
