package lab

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/podlane/podlane/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// build makes a lab without starting its daemons. It has no podlaned unless the options set Bin.
func build(t *testing.T, o Options) *Lab {
	t.Helper()
	if o.Bin == "" {
		o.Bin = etcdOnly(t)
	}
	l, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// built returns the folder of the binaries from `make build`.
func built(t *testing.T) string {
	t.Helper()
	bin, err := filepath.Abs("../bin")
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// etcdOnly returns a folder of binaries with only the lab command.
func etcdOnly(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	if err := os.Symlink(filepath.Join(built(t), "lab"), filepath.Join(bin, "lab")); err != nil {
		t.Fatal(err)
	}
	return bin
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestNodesReachNodesEtcdAndTheOutside(t *testing.T) {
	l := build(t, Options{IPv6: true})
	ctx := within(t)
	for _, n := range l.Nodes {
		for _, p := range l.Nodes {
			for _, a := range []string{p.Addr.String(), p.Addr6.String()} {
				if out, err := n.Run(ctx, "ping", "-c1", "-W2", a); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			}
		}
		for _, plan := range plans {
			if _, err := n.Ping(ctx, plan.world().Addr(), 1); err != nil {
				t.Errorf("%s: %v", n.Name, err)
			}
		}
		err := n.Do(func() error {
			c, err := net.DialTimeout("tcp", strings.TrimPrefix(l.Etcd.Endpoints()[0], "http://"), 2*time.Second)
			if err == nil {
				_ = c.Close()
			}
			return err
		})
		if err != nil {
			t.Errorf("%s to etcd: %v", n.Name, err)
		}
	}
}

func TestOutsideHasNoRouteToPods(t *testing.T) {
	l := build(t, Options{Nodes: 1})
	out, err := l.Outside.Run(within(t), "ip", "route", "get", "10.5.1.2")
	if err == nil || !strings.Contains(out, "unreachable") {
		t.Errorf("ip route get: %v, %s; want it to be unreachable", err, out)
	}
}

func TestMirrorReturnsTheSource(t *testing.T) {
	l := build(t, Options{Nodes: 1})
	m, err := l.Outside.NewMirror(within(t), plans[0].world().Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	saw, err := l.Nodes[0].SourceSeenBy(within(t), m)
	if err != nil || saw != l.Nodes[0].Addr {
		t.Errorf("saw %v, %v; want %v", saw, err, l.Nodes[0].Addr)
	}
}

func TestThroughputBetweenNodes(t *testing.T) {
	l := build(t, Options{Nodes: 2})
	rate, err := l.Nodes[0].Throughput(within(t), l.Nodes[1].Place, l.Nodes[1].Addr, time.Second)
	if err != nil || rate < 1e6 {
		t.Errorf("%v bit/s, %v", rate, err)
	}
}

func TestUnpluggedNode(t *testing.T) {
	l := build(t, Options{Nodes: 2})
	ctx := within(t)
	if err := l.Nodes[1].Unplug(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Nodes[0].Ping(ctx, l.Nodes[1].Addr, 1); err == nil {
		t.Error("an unplugged node answers")
	}
	if err := l.Nodes[1].Plug(); err != nil {
		t.Fatal(err)
	}
	if err := poll(ctx, 20*time.Millisecond, func() (bool, error) {
		_, err := l.Nodes[0].Ping(ctx, l.Nodes[1].Addr, 1)
		return err == nil, nil
	}); err != nil {
		t.Error("a node plugged in again does not answer")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	l, err := New(t.Context(), Options{Bin: etcdOnly(t), Nodes: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	links, err := netlink.LinkList()
	if err != nil || len(links) != 1 {
		t.Errorf("devices left: %v, %v", links, err)
	}
	for _, pattern := range []string{dir, "/run/netns/*"} {
		if left, _ := filepath.Glob(pattern); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}

func TestCancelledHalfWay(t *testing.T) {
	for _, at := range []string{"underlay", "etcd"} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := New(ctx, Options{Bin: etcdOnly(t), Step: func(name string) func(error) {
			return func(error) {
				if strings.Contains(name, at) {
					cancel()
				}
			}
		}})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after %s: %v", at, err)
		}
		if left, _ := filepath.Glob("/run/netns/*"); len(left) > 0 {
			t.Errorf("after %s, left: %v", at, left)
		}
	}
}

func TestPodlanedEndsAtOnce(t *testing.T) {
	l := build(t, Options{Nodes: 2, Bin: fakeBin(t, "echo no luck today; exit 3")})
	err := l.StartAll(within(t))
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no luck today") {
		t.Errorf("error %v; want the exit status and the log", err)
	}
}

func TestPodlanedIgnoresSIGTERM(t *testing.T) {
	l := build(t, Options{Nodes: 1, Bin: fakeBin(t, "trap '' TERM; mkdir -p $PODLANE_RUN_DIR; >$PODLANE_RUN_DIR/subnet.env; while :; do read -t 1 x; done")})
	if err := l.StartAll(within(t)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := l.Nodes[0].Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop: %v; want a deadline exceeded", err)
	}
	if err := l.Nodes[0].Kill(); err != nil || l.Nodes[0].Running() {
		t.Errorf("Kill: %v; running %v", err, l.Nodes[0].Running())
	}
}

// fakeBin returns a folder with a podlaned that runs a script and is always ready. Every other command succeeds.
func fakeBin(t *testing.T, script string) string {
	t.Helper()
	bin := etcdOnly(t)
	text := "#!/bin/bash\n[ \"$1\" = status ] && echo '{\"ready\":true}'\n[ \"$1\" = run ] || exit 0\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(bin, "podlaned"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return bin
}
