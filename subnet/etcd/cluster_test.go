package etcd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cluster is an etcd of several members, each a process of its own.
type cluster []*server

func startCluster(t *testing.T, members int) cluster {
	t.Helper()
	var c cluster
	var names []string
	for i := range members {
		s := &server{t: t, url: freeURL(t, "http"), peer: freeURL(t, "http"), name: fmt.Sprintf("m%d", i)}
		names = append(names, s.name+"="+s.peer)
		c = append(c, s)
		t.Cleanup(s.stop)
	}
	for _, s := range c {
		s.members = strings.Join(names, ",")
		s.launch(t.TempDir())
	}
	for _, s := range c {
		s.ready()
	}
	return c
}

func (c cluster) endpoints() (urls []string) {
	for _, s := range c {
		urls = append(urls, s.url)
	}
	return urls
}

func (c cluster) open(t *testing.T) *Store {
	t.Helper()
	return openStore(t, Config{Endpoints: c.endpoints()})
}

// leader returns the member that leads.
func (c cluster) leader() (leader *server) {
	c[0].t.Helper()
	eventually(c[0].t, "a leader", func() bool {
		for _, s := range c {
			if s.process != nil && s.leads() {
				leader = s
			}
		}
		return leader != nil
	})
	return leader
}

func (s *server) leads() bool {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
	defer cancel()
	resp, err := s.client().Status(ctx, s.url)
	return err == nil && resp.Leader != 0 && resp.Leader == resp.Header.MemberId
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.process.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// freeze stops a member until thaw. Its connections stay open. A signal takes some time to reach all threads (proc(5): the state
// of each follows its name).
func (s *server) freeze() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	eventually(s.t, "a member that stands still", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.process.Process.Pid))
		return err == nil && !slices.ContainsFunc(threads, func(path string) bool {
			stat, err := os.ReadFile(path)
			return err == nil && !bytes.Contains(stat, []byte(") T "))
		})
	})
}

func (s *server) thaw() { s.signal(syscall.SIGCONT) }

// addLearner starts a learner, and does not wait for it.
func (c cluster) addLearner(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, url: freeURL(t, "http"), peer: freeURL(t, "http"), name: "learner", joins: true}
	if _, err := c.leader().client().MemberAddAsLearner(t.Context(), []string{s.peer}); err != nil {
		t.Fatal(err)
	}
	s.members = s.name + "=" + s.peer
	for _, m := range c {
		s.members += "," + m.name + "=" + m.peer
	}
	s.start(t.TempDir())
	t.Cleanup(s.stop)
	return s
}
