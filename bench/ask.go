package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cores are the cores of client and server: a command prefix for each, and a description.
type cores struct {
	client, server []string
	text           string
}

// choose returns the first two cores that this process may use, if there are two and try can use them.
func choose(try func(pin []string) error) (c cores, err error) {
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return c, fmt.Errorf("read the cores that may be used: %w", err)
	}
	var found []int
	for i := range len(may) * strconv.IntSize {
		if may.IsSet(i) {
			found = append(found, i)
		}
	}
	return pinned(found, try), nil
}

func pinned(found []int, try func(pin []string) error) (c cores) {
	if len(found) < 2 {
		return cores{text: "client and server share the only core, so every figure is of both together"}
	}
	pin := func(core int) []string { return []string{"taskset", "-c", strconv.Itoa(core)} }
	c = cores{client: pin(found[0]), server: pin(found[1]), text: "the client on one core, the server on another"}
	if err := errors.Join(try(c.client), try(c.server)); err != nil {
		return cores{text: fmt.Sprintf("client and server on cores of the kernel's choice, because taskset was refused (%v)", err)}
	}
	return c
}

// server is a running server program.
type server struct {
	cmd    *exec.Cmd
	output bytes.Buffer  // complete when it has ended
	ended  chan struct{} // closed when it ends
}

// serve starts a server and returns when a socket listens on its port.
func (w *way) serve(ctx context.Context, port string, args []string) (*server, error) {
	args = slices.Concat(w.cores.server, args)
	s := &server{cmd: w.to.Command(ctx, args[0], args[1:]...), ended: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if err := w.to.StartCommand(s.cmd); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait() // its state has the result
	}()
	for {
		out, err := w.to.Run(ctx, "ss", "-Hltun", "sport", "= :"+port)
		if err != nil {
			s.stop()
			return nil, err
		}
		if strings.TrimSpace(out) != "" {
			return s, nil
		}
		select {
		case <-s.ended:
			return nil, fmt.Errorf("%s: %s: %s", strings.Join(args, " "), s.cmd.ProcessState, strings.TrimSpace(s.output.String()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop kills the server if it still runs.
func (s *server) stop() {
	_ = s.cmd.Process.Kill() // it fails if the server has ended
	<-s.ended
}

// ask runs a client beside a server. It returns the client's output and how long the machine's cores worked
// meanwhile.
func (w *way) ask(ctx context.Context, args []string, port string, client []string) (out string, cpu time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s, err := w.serve(ctx, port, args)
	if err != nil {
		return "", 0, err
	}
	defer s.stop()
	before, err := busy()
	if err != nil {
		return "", 0, err
	}
	client = slices.Concat(w.cores.client, client)
	if out, err = w.from.Run(ctx, client[0], client[1:]...); err != nil {
		s.stop()
		return "", 0, fmt.Errorf("%w; output of the server: %s", err, strings.TrimSpace(s.output.String()))
	}
	after, err := busy()
	return out, after - before, err
}

// busy returns how long the machine's cores have worked, from /proc/stat.
func busy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(strings.SplitN(string(text), "\n", 2)[0])
	ticks := int64(0)
	for i, f := range fields[1:] {
		v, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		if i != 3 && i != 4 && i < 8 { // idle, iowait; guests are in user
			ticks += v
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil // USER_HZ is 100 everywhere
}
