package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
)

// execute runs a command in a place of a running lab.
func execute(args []string) (int, error) {
	flags := newFlags("exec")
	name := flags.String("name", "", "the lab's `NAME`; default: lab, or the only running one")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	if flags.NArg() == 0 {
		return 0, usageError{errors.New("exec: name a place: n1, p1 or outside")}
	}
	if err := root(); err != nil {
		return 1, err
	}
	first, err := find(*name)
	if err != nil {
		return 1, err
	}
	command := flags.Args()[1:]
	if len(command) == 0 {
		command = []string{shell()}
	}
	// The terminal sends Ctrl-C to the command too, which handles it. Signals that only this process receives are
	// forwarded.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP)
	cmd, err := lab.Attach(first, flags.Arg(0), command)
	if err != nil {
		return 1, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			if s == unix.SIGTERM || s == unix.SIGHUP {
				_ = cmd.Process.Signal(s) // it may have just ended
			}
		case err := <-done:
			return exitCode(cmd.ProcessState, err)
		}
	}
}

// exitCode returns a command's exit code, like a shell.
func exitCode(s *os.ProcessState, err error) (int, error) {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 1, err
	}
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return s.ExitCode(), nil
}

// find returns the first process of a running lab's sandbox.
func find(name string) (int, error) {
	labs, err := names()
	if err != nil {
		return 0, err
	}
	if name, err = choose(name, labs); err != nil {
		return 0, err
	}
	r, err := ask(name)
	if err != nil {
		return 0, err
	}
	if r.First == 0 {
		return 0, fmt.Errorf("lab %s is still starting; try again", name)
	}
	return r.First, nil
}

func shell() string {
	if s := os.Getenv("SHELL"); s != "" {
		return s
	}
	return "sh"
}

// list prints the running labs.
func list(args []string) (int, error) {
	if err := parse(newFlags("list"), args); err != nil {
		return 0, err
	}
	labs, err := names()
	if err != nil {
		return 1, err
	}
	if len(labs) == 0 {
		fmt.Println("no lab runs")
	}
	for _, name := range labs {
		r, err := ask(name)
		if err != nil {
			fmt.Printf("%s: %v\n", name, err)
			continue
		}
		fmt.Println(r)
	}
	return 0, nil
}
