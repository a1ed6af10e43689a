package faults

import (
	"errors"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// The bounds of /healthz and /readyz.
const (
	loopLimit = 30 * second // how long the loop may hang
	heartbeat = 5 * second  // how often a waiting loop reports that it runs
	checks    = "underlay lease etcd kernel node-file conflict"
)

// The node file is a pipe. A reader of a pipe waits for a writer, so the loop hangs. The pods lose nothing.
func TestLoopHangs(t *testing.T) {
	const resync = 2 * second
	l := cluster.Start(t, lab.Options{Nodes: 2, NodeEnv: func(int) []string { return []string{"PODLANE_RESYNC=" + resync.String()} }}, 2)
	cluster.AwaitPeers(t, l, soon, 1)
	b, n := &bed{Lab: l}, l.Nodes[0]
	traffic, kernel := b.flood(t), cluster.WatchKernel(t, n.Place)
	expectOK(t, n, "/healthz", "ok\n")
	cluster.Check(t, errors.Join(os.Remove(n.NodeFile()), unix.Mkfifo(n.NodeFile(), 0o644)))

	old := cluster.Until(t, 3*resync+resync+second, "/readyz: the last verified pass is too long ago", func() (bool, string) {
		ok, words := cluster.ReadyCheck(t, n, "kernel")
		return !ok && strings.HasPrefix(words, "the kernel was last verified "), words
	})
	more := cluster.Until(t, loopLimit+heartbeat+resync, "/healthz fails", func() (bool, string) {
		code, body := cluster.Get(t, n, "/healthz")
		return code == http.StatusServiceUnavailable && strings.HasPrefix(body, "the loop has been stuck for "), body
	})
	t.Logf("/readyz fails after %v, /healthz after %v more", old, more)
	if least := loopLimit - heartbeat; old.Max+more.Max < least {
		t.Errorf("/healthz fails after %v, want at least %v", old.Max+more.Max, least)
	}

	pipe, err := os.OpenFile(n.NodeFile(), os.O_WRONLY, 0)
	cluster.Check(t, err)
	cluster.Check(t, pipe.Close())
	well := cluster.Until(t, second, "/healthz returns 200", func() (bool, string) {
		code, body := cluster.Get(t, n, "/healthz")
		return code == http.StatusOK, body
	})
	cluster.AwaitStatus(t, n, resync, "ready", func(s cluster.Status) bool { return s.Ready })
	t.Logf("/healthz returns 200 after %v", well)
	info, err := os.Stat(n.NodeFile())
	cluster.Check(t, err)
	if !info.Mode().IsRegular() {
		t.Errorf("the node file is %s, want a regular file", info.Mode())
	}
	traffic.ExpectNothingLost(t)
	kernel.ExpectNothing(t)
}

// A node starts without etcd and without saved state. Each check reports what is missing until it holds, except the
// check for a conflict.
func TestReadyzBeforeEtcdAnswers(t *testing.T) {
	l := cluster.Build(t, lab.Options{Nodes: 1})
	n := l.Nodes[0]
	cluster.Check(t, l.SetConfig(cluster.Within(t), lab.DefaultConfig))
	cluster.Check(t, l.Etcd.Stop(1))
	cluster.Check(t, n.Launch(cluster.Within(t)))
	want := map[string]string{
		"lease": "none yet", "etcd": "198.18.0.1:2379", "kernel": "the kernel is not verified yet", "node-file": "not written yet",
	}
	cluster.Until(t, soon, "the local socket exists", func() (bool, string) {
		_, err := os.Stat(strings.Replace(n.NodeFile(), "subnet.env", "podlaned.sock", 1))
		return err == nil, ""
	})
	for name, words := range want {
		cluster.Until(t, soon, name+" fails", func() (bool, string) {
			ok, text := cluster.ReadyCheck(t, n, name)
			return !ok && strings.Contains(text, words), text
		})
	}
	code, body := cluster.Get(t, n, "/readyz")
	if code != http.StatusServiceUnavailable {
		t.Errorf("/readyz: got %d, want 503", code)
	}
	for _, line := range []string{"[-] lease: none yet\n", "[+] conflict: ok\n"} {
		if !strings.Contains(body, line) {
			t.Errorf("/readyz has no line %q:\n%s", line, body)
		}
	}
	if !strings.HasSuffix(body, "not ready\n") {
		t.Errorf("/readyz does not end with \"not ready\":\n%s", body)
	}
	expectOK(t, n, "/healthz", "ok\n")
	cluster.Check(t, l.Etcd.Start(cluster.Within(t), 1))
	cluster.AwaitStatus(t, n, soon, "ready", func(s cluster.Status) bool { return s.Ready })
	expectOK(t, n, "/readyz", "ready\n")
	verbose := ""
	for name := range strings.FieldsSeq(checks) {
		verbose += "[+] " + name + ": ok\n"
	}
	expectOK(t, n, "/readyz?verbose", verbose+"ready\n")
}

func expectOK(t *testing.T, n *lab.Node, path, body string) {
	t.Helper()
	if code, got := cluster.Get(t, n, path); code != http.StatusOK || got != body {
		t.Errorf("%s: %s: got %d %q, want 200 %q", n.Name, path, code, got, body)
	}
}

// Another program has podlaned's TCP port. That is a problem, but podlaned goes on: the pods' network is more
// important.
func TestHTTPPortIsTaken(t *testing.T) {
	l := cluster.Build(t, lab.Options{Nodes: 1})
	n := l.Nodes[0]
	cluster.Check(t, l.SetConfig(cluster.Within(t), lab.DefaultConfig))
	var other net.Listener
	cluster.Check(t, n.Do(func() (err error) {
		other, err = new(net.ListenConfig).Listen(t.Context(), "tcp", httpAddress)
		return err
	}))
	defer other.Close()
	cluster.Check(t, n.Launch(cluster.Within(t)))
	cluster.AwaitStatus(t, n, soon, "ready, with a problem", func(s cluster.Status) bool {
		return s.Ready && slices.Contains(s.Problems, "http: listen tcp4 "+httpAddress+": bind: address already in use")
	})
	cluster.Check(t, other.Close())
	took := cluster.Until(t, 6*second, "podlaned answers on TCP", func() (bool, string) {
		code, body, err := getTCP(t, n, "/readyz")
		return err == nil && code == http.StatusOK, body
	})
	over := cluster.AwaitStatus(t, n, heartbeat+second, "no problem", func(s cluster.Status) bool { return len(s.Problems) == 0 })
	t.Logf("answer by TCP %v after the port was free, no problem %v later", took, over)
	for _, path := range []string{"/healthz", "/readyz?verbose", "/status"} {
		overTCP, body, err := getTCP(t, n, path)
		cluster.Check(t, err)
		if code, same := cluster.Get(t, n, path); code != overTCP || path != "/status" && body != same {
			t.Errorf("%s: by TCP %d %q, by the socket %d %q; want the same", path, overTCP, body, code, same)
		}
	}
	expectMetrics(t, n)
}

// httpAddress is podlaned's default address.
const httpAddress = "127.0.0.1:9472"

// getTCP requests a path from podlaned by TCP, in its node.
func getTCP(t *testing.T, n *lab.Node, path string) (code int, body string, err error) {
	t.Helper()
	return cluster.GetFrom(cluster.Within(t), n.Place, "http://"+httpAddress+path)
}

// The lines of Prometheus's text format (version 0.0.4).
var (
	metricHelp   = regexp.MustCompile(`^# HELP ([a-z0-9_]+) .+$`)
	metricType   = regexp.MustCompile(`^# TYPE ([a-z0-9_]+) (counter|gauge|histogram|summary)$`)
	metricSample = regexp.MustCompile(`^([a-z0-9_]+)(\{([a-z_]+="[^"\n]*",?)+\})? ([-+]Inf|NaN|-?[0-9.]+(e[-+][0-9]+)?)$`)
)

// expectMetrics checks the format of all of /metrics. The documentation must have every metric of podlane.
func expectMetrics(t *testing.T, n *lab.Node) {
	t.Helper()
	documentation, err := os.ReadFile("../../docs/metrics.md")
	cluster.Check(t, err)
	_, body, err := getTCP(t, n, "/metrics")
	cluster.Check(t, err)
	ours := 0
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		if !metricHelp.MatchString(line) && !metricType.MatchString(line) && !metricSample.MatchString(line) {
			t.Errorf("/metrics: unknown format of line %q", line)
		}
		if m := metricType.FindStringSubmatch(line); m != nil && strings.HasPrefix(m[1], "podlane_") {
			ours++
			if !strings.Contains(string(documentation), "| `"+m[1]+"` | "+m[2]+" |") {
				t.Errorf("the %s %s is not in docs/metrics.md", m[2], m[1])
			}
		}
	}
	if ours < 15 {
		t.Errorf("%d metrics of podlane, want at least 15:\n%s", ours, body)
	}
	if age := time.Since(metricTime(t, n, "podlane_last_verified_timestamp_seconds")); age < 0 || age > resync+second {
		t.Errorf("last verified %v ago, want at most %v", age, resync+second)
	}
}

// metricTime returns the time of a metric of a node's podlaned.
func metricTime(t *testing.T, n *lab.Node, name string) time.Time {
	t.Helper()
	return time.UnixMilli(int64(cluster.Metric(t, n, name) * 1000))
}
