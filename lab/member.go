package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// member is a member of etcd: a process of the lab command in the sandbox's own namespace.
type member struct {
	*process // nil: never started
	index    int
	of       int // number of members
	bin      string
	paused   bool
}

// Start starts members with their data and waits until they serve. Each must know a leader, so a quorum has to run.
// Without a number it starts all that are stopped.
func (e *Etcd) Start(ctx context.Context, members ...int) error {
	if len(members) == 0 {
		for _, m := range e.members {
			members = append(members, m.index)
		}
	}
	for _, i := range members {
		if err := e.Launch(i); err != nil {
			return err
		}
	}
	for _, i := range members {
		m := e.members[i-1]
		if err := m.ready(ctx); err != nil {
			return fmt.Errorf("etcd member %d: %w; the last lines of its output:\n%s", i, err, indent(lastLines(m.output(), 10)))
		}
	}
	return nil
}

// Launch starts member i with its data and does not wait for it. It does nothing if the member runs.
func (e *Etcd) Launch(i int) error {
	m := e.members[i-1]
	if m.running() {
		return nil
	}
	if err := m.launch(); err != nil {
		return fmt.Errorf("start etcd member %d: %w", i, err)
	}
	e.point(0)
	return nil
}

// Stop ends member i with SIGTERM, paused or not, and waits for it. The member hands leadership on and keeps its
// data.
func (e *Etcd) Stop(i int) error {
	m := e.members[i-1]
	if !m.running() {
		return nil
	}
	e.point(i)
	if err := errors.Join(m.signal(syscall.SIGTERM), m.pause(false)); err != nil {
		return fmt.Errorf("stop etcd member %d: %w", i, err)
	}
	select {
	case <-m.done:
		return nil
	case <-time.After(startTimeout):
		return fmt.Errorf("stop etcd member %d: it runs %v after SIGTERM", i, startTimeout)
	}
}

// Kill ends member i with SIGKILL and waits for it. The member keeps its data.
func (e *Etcd) Kill(i int) error {
	e.point(i)
	return e.members[i-1].end()
}

// Pause suspends member i with SIGSTOP: its connections stay open and nothing answers on them.
func (e *Etcd) Pause(i int) error {
	e.point(i)
	return e.members[i-1].pause(true)
}

// Resume continues member i after Pause.
func (e *Etcd) Resume(i int) error {
	err := e.members[i-1].pause(false)
	e.point(0)
	return err
}

// Wipe removes the data of member i, which must be stopped. It can start again only if all members are wiped, as a
// new cluster with the old id. etcd refuses a member without data that the others know.
func (e *Etcd) Wipe(i int) error {
	m := e.members[i-1]
	if m.running() {
		return fmt.Errorf("wipe etcd member %d: it runs", i)
	}
	return os.RemoveAll(m.data())
}

// Save stores a copy of the data of member i under a name. The member must be stopped.
func (e *Etcd) Save(i int, name string) error {
	m := e.members[i-1]
	return m.copy(m.saved(name), m.data())
}

// Load restores the data of member i from Save. The member must be stopped. Done for all members it is a restore from
// a backup: the revision goes back.
func (e *Etcd) Load(i int, name string) error {
	m := e.members[i-1]
	return m.copy(m.data(), m.saved(name))
}

// point points the client to the members that answer, except one that is about to be stopped.
func (e *Etcd) point(stopping int) {
	var urls []string
	for _, m := range e.members {
		if m.answers() && m.index != stopping {
			urls = append(urls, m.client())
		}
	}
	if len(urls) > 0 {
		e.Client.SetEndpoints(urls...)
	}
}

func (e *Etcd) close() error {
	var errs []error
	if e.Client != nil {
		_ = e.Client.Close() // it reports the cancelled context of its own closing
	}
	for _, m := range e.members {
		errs = append(errs, m.end())
	}
	return errors.Join(errs...)
}

func (m *member) launch() (err error) {
	if err := os.MkdirAll(m.dir(), 0o755); err != nil {
		return err
	}
	tick := 50 * time.Millisecond
	if m.of == 1 {
		tick = 10 * time.Millisecond // no other member to wait for
	}
	cmd := exec.Command(filepath.Join(m.bin, "lab"), "etcd", "--name", m.name(), "--data", m.data(),
		"--client", m.client(), "--peer", m.peer(), "--cluster", m.cluster(), "--tick", tick.String())
	m.process, err = startProcess(cmd, (*exec.Cmd).Start, m.log())
	return err
}

// ready waits until the member serves. A healthy member knows a leader and reads what the quorum agreed on.
func (m *member) ready(ctx context.Context) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	last := errors.New("no request yet")
	err := poll(ctx, 10*time.Millisecond, func() (bool, error) {
		if !m.running() {
			return false, fmt.Errorf("it ended: %s", m.ended())
		}
		r, err := client.Get(m.client() + "/health")
		if err != nil {
			last = err
			return false, nil //nolint:nilerr // not yet
		}
		last = fmt.Errorf("its health: %s", r.Status)
		return r.StatusCode == http.StatusOK, r.Body.Close()
	})
	if errors.Is(err, ctx.Err()) && err != nil {
		return fmt.Errorf("wait until it serves: %w: %w", err, last)
	}
	return err
}

// answers reports whether the member runs and is not paused.
func (m *member) answers() bool { return m.running() && !m.paused }

func (m *member) pause(yes bool) error {
	s := syscall.SIGCONT
	if yes {
		s = syscall.SIGSTOP
	}
	m.paused = yes
	return m.signal(s)
}

// end kills the member, paused or not.
func (m *member) end() error {
	m.paused = false
	return m.kill()
}

// copy replaces the folder to by a copy of the folder from.
func (m *member) copy(to, from string) error {
	if m.running() {
		return fmt.Errorf("copy the data of etcd member %d: it runs", m.index)
	}
	if _, err := os.Stat(from); err != nil {
		return err
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.CopyFS(to, os.DirFS(from))
}

// output returns the member's output of all its starts.
func (m *member) output() string {
	text, err := os.ReadFile(m.log())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (m *member) name() string             { return fmt.Sprintf("etcd%d", m.index) }
func (m *member) dir() string              { return filepath.Join(dir, m.name()) }
func (m *member) data() string             { return filepath.Join(m.dir(), "data") }
func (m *member) log() string              { return filepath.Join(m.dir(), "log") }
func (m *member) saved(name string) string { return filepath.Join(m.dir(), "saved", name) }

func (m *member) addr() netip.Addr { return plans[0].member(m.index).Addr() }
func (m *member) client() string   { return fmt.Sprintf("http://%s:2379", m.addr()) }
func (m *member) peer() string     { return fmt.Sprintf("http://%s:2380", m.addr()) }

// cluster returns every member's name and URL for the others.
func (m *member) cluster() string {
	var all []string
	for i := 1; i <= m.of; i++ {
		other := &member{index: i}
		all = append(all, other.name()+"="+other.peer())
	}
	return strings.Join(all, ",")
}
