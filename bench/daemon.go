package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/podlane/podlane/lab"
)

// daemon is a running podlaned.
type daemon struct {
	cmd     *exec.Cmd
	log     *output
	notices *notices
	ready   time.Duration // from before its exec until its first verified state, by its own notification (sd_notify)
}

// startDaemon starts podlaned on a node, optionally under another command. It waits until podlaned has verified the
// kernel.
func startDaemon(ctx context.Context, n *lab.Node, before ...string) (*daemon, error) {
	told, err := listen(filepath.Join(filepath.Dir(n.NodeFile()), "..", "notify"))
	if err != nil {
		return nil, err
	}
	args := slices.Concat(before, []string{"podlaned", "run"})
	d := &daemon{cmd: n.Command(context.WithoutCancel(ctx), args[0], args[1:]...), log: &output{}, notices: told}
	d.cmd.Env = append(d.cmd.Env, "NOTIFY_SOCKET="+told.path, "WATCHDOG_USEC=30000000") // as in its unit
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	began := time.Now()
	if err := n.StartCommand(d.cmd); err != nil {
		return nil, errors.Join(fmt.Errorf("start podlaned on %s: %w", n.Name, err), told.close())
	}
	if err := told.await(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("podlaned on %s: %w; its log: %s", n.Name, err, d.log), d.kill())
	}
	d.ready = time.Since(began)
	return d, nil
}

// startFresh starts podlaned on a node on which it never ran.
func (w *world) startFresh(ctx context.Context, n *lab.Node, before ...string) (*daemon, error) {
	if err := w.reset(ctx, n); err != nil {
		return nil, err
	}
	return startDaemon(ctx, n, before...)
}

// kill kills podlaned.
func (d *daemon) kill() error { return d.stop(os.Kill) }

// stop ends podlaned with a signal. It waits until every process that holds its output has ended.
func (d *daemon) stop(by os.Signal) error {
	if err := d.cmd.Process.Signal(by); err != nil {
		return errors.Join(fmt.Errorf("end podlaned: %w", err), d.notices.close())
	}
	_ = d.cmd.Wait() // it was killed, which is an error
	return d.notices.close()
}

// usage is what a process has used in its life.
type usage struct {
	cpu  time.Duration
	peak float64 // bytes of memory
}

// end kills podlaned and returns its usage. The peak is read from the running process. The resource usage of an ended
// process starts with the memory of its parent, which is this process.
func (d *daemon) end() (usage, error) {
	peak, err := d.memory("VmHWM")
	if err := errors.Join(err, d.kill()); err != nil {
		return usage{}, err
	}
	return usage{d.cmd.ProcessState.UserTime() + d.cmd.ProcessState.SystemTime(), peak}, nil
}

// memory returns a field of /proc/PID/status, in bytes.
func (d *daemon) memory(field string) (float64, error) {
	return processMemory(d.cmd.Process.Pid, field)
}

func processMemory(pid int, field string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return statusField(string(text), field)
}

// statusField returns a value such as "VmRSS:        2048 kB" of a status (proc(5)), in bytes.
func statusField(status, field string) (float64, error) {
	for line := range strings.Lines(status) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == field+":" && words[2] == "kB" {
			kib, err := strconv.ParseFloat(words[1], 64)
			return kib * 1024, err
		}
	}
	return 0, fmt.Errorf("no %s in the status of a process", field)
}

// output is what a process has written so far. It may be read while the process writes.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// notices is the socket for podlaned's notifications to systemd (sd_notify). It is read as long as podlaned runs: if
// systemd does not read, podlaned reports a problem and tries again.
type notices struct {
	path   string
	socket *net.UnixConn
	ready  chan struct{} // closed when podlaned has sent READY=1
	done   chan struct{} // closed when reading has ended
}

func listen(path string) (*notices, error) {
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	n := &notices{path, socket, make(chan struct{}), make(chan struct{})}
	go n.read()
	return n, nil
}

// read reads until the socket is closed.
func (n *notices) read() {
	defer close(n.done)
	started, message := false, make([]byte, 4096)
	for {
		size, err := n.socket.Read(message)
		if err != nil {
			return
		}
		if !started && slices.Contains(strings.Split(string(message[:size]), "\n"), "READY=1") {
			started = true
			close(n.ready)
		}
	}
}

// await waits until podlaned is ready. It stops after 29 s, because podlaned sends READY=1 after 30 s in any case.
func (n *notices) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 29*time.Second, errors.New("not verified after 29 s"))
	defer cancel()
	select {
	case <-n.ready:
		return nil
	case <-n.done:
		return errors.New("the notify socket was closed")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close stops reading and removes the socket.
func (n *notices) close() error {
	err := n.socket.Close()
	<-n.done
	return errors.Join(err, os.Remove(n.path))
}
