package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A lab's name is an abstract socket (unix(7)). The kernel removes it with the process that holds it. A client
// receives the lab's description.
const socketPrefix = "@podlane-lab-"

// defaultName is the first lab's name. The next ones are lab2, lab3, ...
const defaultName = "lab"

// running describes a running lab.
type running struct {
	Name   string    `json:"name"`
	Parent int       `json:"parent"` // id of the process that holds the name
	First  int       `json:"first"`  // id of the sandbox's first process; 0: not started yet
	Begun  time.Time `json:"begun"`
}

func (r running) String() string {
	return fmt.Sprintf("%s: process %d, up for %v", r.Name, r.Parent, time.Since(r.Begun).Round(time.Second))
}

// claim is a name that this process holds.
type claim struct {
	running
	listener net.Listener
	first    atomic.Int64
}

// claimName claims a name or, without one, the first free default name.
func claimName(name string) (*claim, error) {
	if name != "" {
		if len(name) > 64 || strings.ContainsAny(name, "/ \n") {
			return nil, usageError{fmt.Errorf("--name %q: give up to 64 characters without spaces and slashes", name)}
		}
		c, err := tryName(name)
		if errors.Is(err, unix.EADDRINUSE) {
			if r, askErr := ask(name); askErr == nil {
				return nil, fmt.Errorf("a lab with this name runs: %v", r)
			}
		}
		return c, err
	}
	for i := 1; ; i++ {
		name := defaultName
		if i > 1 {
			name = fmt.Sprint(defaultName, i)
		}
		if c, err := tryName(name); !errors.Is(err, unix.EADDRINUSE) {
			return c, err
		}
	}
}

func tryName(name string) (*claim, error) {
	l, err := net.Listen("unix", socketPrefix+name)
	if err != nil {
		return nil, fmt.Errorf("claim the name %s: %w", name, err)
	}
	c := &claim{running: running{Name: name, Parent: os.Getpid(), Begun: time.Now()}, listener: l}
	go c.answer()
	return c, nil
}

// started stores the sandbox's first process.
func (c *claim) started(first int) { c.first.Store(int64(first)) }

// answer serves until the process ends.
func (c *claim) answer() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		r := c.running
		r.First = int(c.first.Load())
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		_ = json.NewEncoder(conn).Encode(r) // the client notices an error
		_ = conn.Close()
	}
}

// ask asks the lab of that name for its description. It rejects a lab of another user.
func ask(name string) (running, error) {
	conn, err := net.DialTimeout("unix", socketPrefix+name, time.Second)
	if errors.Is(err, unix.ECONNREFUSED) {
		return running{}, fmt.Errorf("no lab %s runs", name)
	}
	if err != nil {
		return running{}, fmt.Errorf("ask lab %s: %w", name, err)
	}
	defer func() { _ = conn.Close() }()
	if err := ownedByUs(conn.(*net.UnixConn)); err != nil {
		return running{}, fmt.Errorf("ask lab %s: %w", name, err)
	}
	var r running
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if err := json.NewDecoder(conn).Decode(&r); err != nil {
		return r, fmt.Errorf("ask lab %s: %w", name, err)
	}
	return r, nil
}

func ownedByUs(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) { peer, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, credErr); err != nil {
		return err
	}
	if int(peer.Uid) != os.Geteuid() {
		return fmt.Errorf("its socket belongs to user %d", peer.Uid)
	}
	return nil
}

// names returns the running labs.
func names() ([]string, error) {
	text, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		if _, name, ok := strings.Cut(strings.TrimSpace(line), " "+socketPrefix); ok {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// choose returns the lab that a command means: the named one, else the default one, else the only one.
func choose(name string, labs []string) (string, error) {
	switch {
	case name != "":
		return name, nil
	case slices.Contains(labs, defaultName):
		return defaultName, nil
	case len(labs) == 1:
		return labs[0], nil
	case len(labs) == 0:
		return "", errors.New("no lab runs; start one with `lab up`")
	}
	return "", usageError{fmt.Errorf("several labs run: give --name one of %s", strings.Join(labs, " "))}
}
