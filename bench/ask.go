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

// cores is where the ends of a way run: commands before theirs, and the same in words.
type cores struct {
	client, server []string
	text           string
}

// choose takes the first two cores that this process may use, if there are as many and try is not refused them.
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
		return cores{text: "client and server share the only core there is, so that no figure is of an end alone"}
	}
	pin := func(core int) []string { return []string{"taskset", "-c", strconv.Itoa(core)} }
	c = cores{client: pin(found[0]), server: pin(found[1]), text: "the client on one core, the server on another"}
	if err := errors.Join(try(c.client), try(c.server)); err != nil {
		return cores{text: fmt.Sprintf("client and server on cores of the kernel's choice, for taskset was refused (%v)", err)}
	}
	return c
}

// server is a program that was started to answer.
type server struct {
	cmd   *exec.Cmd
	said  bytes.Buffer  // complete when it has ended
	ended chan struct{} // closed then
}

// serve starts a server, and returns when something listens on its port.
func (w *way) serve(ctx context.Context, port string, args []string) (*server, error) {
	args = slices.Concat(w.cores.server, args)
	s := &server{cmd: w.to.Command(ctx, args[0], args[1:]...), ended: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = &s.said, &s.said
	if err := w.to.StartCommand(s.cmd); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait() // its state tells
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
			return nil, fmt.Errorf("%s: %s: %s", strings.Join(args, " "), s.cmd.ProcessState, strings.TrimSpace(s.said.String()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends the server, which may have ended by itself.
func (s *server) stop() {
	_ = s.cmd.Process.Kill() // it fails where there is none any more
	<-s.ended
}

// ask runs a client beside a server, and tells what it printed and how long the machine's cores were at work meanwhile.
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
		return "", 0, fmt.Errorf("%w; the server said: %s", err, strings.TrimSpace(s.said.String()))
	}
	after, err := busy()
	return out, after - before, err
}

// busy is how long the machine's cores have been at work, by /proc/stat.
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
