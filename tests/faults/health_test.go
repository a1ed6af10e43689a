package faults

import (
	"context"
	"errors"
	"io"
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
	stuck  = 30 * second // how long the loop may not turn
	beat   = 5 * second  // how often a loop that waits shows that it turns
	checks = "underlay lease etcd kernel node-file conflict"
)

// A reader of a pipe waits for a writer, and so the loop hangs where the node file is one. The pods notice nothing.
func TestLoopThatHangs(t *testing.T) {
	const resync = 2 * second
	l := cluster.Start(t, lab.Options{Nodes: 2, NodeEnv: func(int) []string { return []string{"PODLANE_RESYNC=" + resync.String()} }}, 2)
	cluster.AwaitPeers(t, l, soon, 1)
	b, n := &bed{Lab: l}, l.Nodes[0]
	traffic, kernel := b.flood(t), cluster.WatchKernel(t, n.Place)
	expectOK(t, n, "/healthz", "ok\n")
	cluster.Check(t, errors.Join(os.Remove(n.NodeFile()), unix.Mkfifo(n.NodeFile(), 0o644)))

	old := cluster.Until(t, 3*resync+resync+second, "/readyz: the last verified pass is too long ago", func() (bool, string) {
		ok, words := cluster.ReadyCheck(t, n, "kernel")
		return !ok && strings.HasPrefix(words, "the last verified pass was "), words
	})
	more := cluster.Until(t, stuck+beat+resync, "/healthz fails", func() (bool, string) {
		code, body := cluster.Get(t, n, "/healthz")
		return code == http.StatusServiceUnavailable && strings.HasPrefix(body, "the loop has been stuck for "), body
	})
	t.Logf("/readyz fails after %v, /healthz after %v more", old, more)
	if least := stuck - beat; old.Most+more.Most < least {
		t.Errorf("/healthz fails after %v: want %v at least", old.Most+more.Most, least)
	}

	pipe, err := os.OpenFile(n.NodeFile(), os.O_WRONLY, 0)
	cluster.Check(t, err)
	cluster.Check(t, pipe.Close())
	well := cluster.Until(t, second, "/healthz is well", func() (bool, string) {
		code, body := cluster.Get(t, n, "/healthz")
		return code == http.StatusOK, body
	})
	cluster.AwaitStatus(t, n, resync, "ready", func(s cluster.Status) bool { return s.Ready })
	t.Logf("/healthz is well again after %v", well)
	if info, err := os.Stat(n.NodeFile()); err != nil || !info.Mode().IsRegular() {
		t.Errorf("the node file: %v, %v", info, err)
	}
	traffic.ExpectNothingLost(t)
	kernel.ExpectNothing(t)
}

// A node that has nothing yet, since etcd is not there: each check but that for a conflict says so, until it holds.
func TestReadyzBeforeEtcdIsThere(t *testing.T) {
	l := cluster.Build(t, lab.Options{Nodes: 1})
	n := l.Nodes[0]
	cluster.Check(t, l.SetConfig(cluster.Within(t), lab.DefaultConfig))
	cluster.Check(t, l.Etcd.Stop(1))
	cluster.Check(t, n.Launch(cluster.Within(t)))
	want := map[string]string{
		"lease": "none yet", "etcd": "198.18.0.1:2379", "kernel": "no verified pass over the kernel yet", "node-file": "not written yet",
	}
	cluster.Until(t, soon, "the local socket is there", func() (bool, string) {
		_, err := os.Stat(strings.Replace(n.NodeFile(), "subnet.env", "podlaned.sock", 1))
		return err == nil, ""
	})
	for name, words := range want {
		cluster.Until(t, soon, name+" fails", func() (bool, string) {
			ok, said := cluster.ReadyCheck(t, n, name)
			return !ok && strings.Contains(said, words), said
		})
	}
	code, body := cluster.Get(t, n, "/readyz")
	if code != http.StatusServiceUnavailable || !strings.Contains(body, "[-] lease: none yet\n") ||
		!strings.Contains(body, "[+] conflict: ok\n") || !strings.HasSuffix(body, "not ready\n") {
		t.Errorf("/readyz: %d\n%s", code, body)
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
		t.Errorf("%s: %s answers %d %q, want 200 %q", n.Name, path, code, got, body)
	}
}

// The port that podlaned answers on is another program's. That is a problem, and not the end: pods need a network more.
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
	took := cluster.Until(t, 6*second, "it answers on TCP", func() (bool, string) {
		code, body, err := getTCP(t, n, "/readyz")
		return err == nil && code == http.StatusOK, body
	})
	over := cluster.AwaitStatus(t, n, beat+second, "no problem", func(s cluster.Status) bool { return len(s.Problems) == 0 })
	t.Logf("it answers %v after the port was free, and status has no problem %v later", took, over)
	for _, path := range []string{"/healthz", "/readyz?verbose", "/status"} {
		overTCP, body, err := getTCP(t, n, path)
		cluster.Check(t, err)
		if code, same := cluster.Get(t, n, path); code != overTCP || path != "/status" && body != same {
			t.Errorf("%s: by TCP %d %q, on the socket %d %q", path, overTCP, body, code, same)
		}
	}
	expectMetrics(t, n)
}

// httpAddress is where podlaned answers, unless told otherwise.
const httpAddress = "127.0.0.1:9472"

// getTCP asks podlaned in its node.
func getTCP(t *testing.T, n *lab.Node, path string) (code int, body string, err error) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (c net.Conn, err error) {
		err = n.Do(func() error {
			c, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		return c, err
	}}}
	request, err := http.NewRequestWithContext(cluster.Within(t), http.MethodGet, "http://"+httpAddress+path, nil)
	cluster.Check(t, err)
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response.StatusCode, string(data), err
}

// What a line of Prometheus's text format (version 0.0.4) can be.
var (
	metricHelp   = regexp.MustCompile(`^# HELP ([a-z0-9_]+) .+$`)
	metricType   = regexp.MustCompile(`^# TYPE ([a-z0-9_]+) (counter|gauge|histogram|summary)$`)
	metricSample = regexp.MustCompile(`^([a-z0-9_]+)(\{([a-z_]+="[^"\n]*",?)+\})? ([-+]Inf|NaN|-?[0-9.]+(e[-+][0-9]+)?)$`)
)

// expectMetrics holds all of /metrics to be of its format, and every name of ours to stand in the documentation.
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
			t.Errorf("/metrics: no line of the format: %q", line)
		}
		if m := metricType.FindStringSubmatch(line); m != nil && strings.HasPrefix(m[1], "podlane_") {
			ours++
			if !strings.Contains(string(documentation), "| `"+m[1]+"` | "+m[2]+" |") {
				t.Errorf("the %s %s is not in docs/metrics.md", m[2], m[1])
			}
		}
	}
	if ours < 15 {
		t.Errorf("%d metrics of podlane's:\n%s", ours, body)
	}
	if age := time.Since(metricTime(t, n, "podlane_last_verified_timestamp_seconds")); age < 0 || age > resync+second {
		t.Errorf("the last verified pass was %v ago", age)
	}
}

// metricTime is the time that a metric of a node's podlaned tells.
func metricTime(t *testing.T, n *lab.Node, name string) time.Time {
	t.Helper()
	return time.UnixMilli(int64(cluster.Metric(t, n, name) * 1000))
}
