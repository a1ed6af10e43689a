package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/podlane/podlane/lab"
)

// daemon is a podlaned that runs.
type daemon struct {
	cmd   *exec.Cmd
	log   *strings.Builder
	ready time.Duration // from before its exec until its first verified pass, as it says itself (sd_notify)
}

// startDaemon starts podlaned on a node, by a command before it or by none, and waits until it has verified its kernel.
func startDaemon(ctx context.Context, n *lab.Node, before ...string) (*daemon, error) {
	path := filepath.Join(filepath.Dir(n.NodeFile()), "..", "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	defer os.Remove(path)
	defer socket.Close()
	args := append(before, "podlaned", "run")
	d := &daemon{cmd: n.Command(context.WithoutCancel(ctx), args[0], args[1:]...), log: &strings.Builder{}}
	d.cmd.Env = append(d.cmd.Env, "NOTIFY_SOCKET="+path)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	began := time.Now()
	if err := n.StartCommand(d.cmd); err != nil {
		return nil, err
	}
	if err := await(ctx, socket, "READY=1"); err != nil {
		return nil, errors.Join(fmt.Errorf("podlaned on %s: %w; it said: %s", n.Name, err, d.log), d.kill())
	}
	d.ready = time.Since(began)
	return d, nil
}

// await reads notifications until one has a line.
func await(ctx context.Context, socket *net.UnixConn, line string) error {
	stop := context.AfterFunc(ctx, func() { socket.Close() })
	defer stop()
	if err := socket.SetReadDeadline(time.Now().Add(29 * time.Second)); err != nil { // after 30 s it says so in any case
		return err
	}
	message := make([]byte, 4096)
	for {
		n, err := socket.Read(message)
		if err != nil {
			return fmt.Errorf("wait for %s: %w", line, err)
		}
		for got := range strings.Lines(string(message[:n])) {
			if strings.TrimSpace(got) == line {
				return nil
			}
		}
	}
}

// kill ends it at once.
func (d *daemon) kill() error {
	if err := d.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = d.cmd.Wait() // it was killed, which is an error
	return nil
}

// usage is what a process has used in its life.
type usage struct {
	cpu  time.Duration
	peak float64 // bytes of memory
}

// end kills it and tells what it has used.
func (d *daemon) end() (usage, error) {
	if err := d.kill(); err != nil {
		return usage{}, err
	}
	r, ok := d.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return usage{}, errors.New("no resource usage")
	}
	return usage{time.Duration(r.Utime.Nano() + r.Stime.Nano()), float64(r.Maxrss) * 1024}, nil
}
