package intruders

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

const httpPort = 9472

// n1 serves HTTP on all IPv4 addresses, n2 on all addresses. n3 has the default, loopback. Nodes reach it. Pods do not,
// at any address of any node. They reach another port there: the network itself works.
func TestPodsDoNotReachHTTP(t *testing.T) {
	served := [...]string{"0.0.0.0:9472", "[::]:9472"}
	l := cluster.Start(t, lab.Options{Nodes: 3, IPv6: true, Config: cluster.DualStack, NodeEnv: func(i int) []string {
		env := []string{"PODLANE_RESYNC=1s"}
		if i <= len(served) {
			env = append(env, "PODLANE_HTTP="+served[i-1])
		}
		return env
	}}, 1)
	cluster.AwaitPeers(t, l, soon, 2)
	for i, n := range l.Nodes {
		served := i < len(served)
		expectHTTP(t, n.Place, "127.0.0.1", true)
		for f, a := range addrs(n) {
			open := served && (f == 0 || i == 1)
			gateway, overlay := cluster.Gateway(t, n, a), cluster.OverlayAddr(t, n, a)
			expectHTTP(t, n.Place, a.String(), open)
			expectHTTP(t, n.Place, gateway.String(), open)
			for _, other := range l.Nodes {
				expectHTTP(t, other.Place, a.String(), open)
			}
			for _, addr := range []netip.Addr{a, gateway, overlay} {
				expectClosedToPods(t, l, n, addr)
			}
		}
	}
	for _, n := range l.Nodes {
		const metric = `podlane_dropped_packets_total{reason="http_from_a_pod"}`
		cluster.Until(t, soon, n.Name+" counts dropped packets", func() (bool, string) {
			count := cluster.Metric(t, n, metric)
			return count > 0, fmt.Sprint(count)
		})
		t.Logf("%s dropped %.0f packets to HTTP", n.Name, cluster.Metric(t, n, metric))
	}
}

// Prometheus runs in a pod. With the setting metrics it can scrape every node, at any address. It gets nothing but the metrics,
// and the port of http stays closed.
func TestPodsScrapeMetrics(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 2, IPv6: true, Config: cluster.DualStack, NodeEnv: func(int) []string {
		return []string{"PODLANE_HTTP=[::]:9472", "PODLANE_METRICS=[::]:9473"}
	}}, 1)
	cluster.AwaitPeers(t, l, soon, 1)
	for _, n := range l.Nodes {
		for _, a := range addrs(n) {
			for _, p := range l.Pods() {
				for _, addr := range []netip.Addr{a, cluster.Gateway(t, n, a)} {
					url := "http://" + netip.AddrPortFrom(addr, 9473).String()
					if code, body, err := cluster.GetFrom(cluster.Within(t), p.Place, url+"/metrics"); code != http.StatusOK || !strings.Contains(body, "podlane_build_info") {
						t.Errorf("%s scrapes %s at %s: status %d, error %v", p.Name, n.Name, addr, code, err)
					}
					for _, page := range []string{"/", "/status", "/readyz", "/healthz", "/problems", "/debug/pprof/"} {
						if code, _, err := cluster.GetFrom(cluster.Within(t), p.Place, url+page); code != http.StatusNotFound {
							t.Errorf("%s asks %s at %s for %s: status %d, error %v; want 404", p.Name, n.Name, addr, page, code, err)
						}
					}
				}
			}
			for _, addr := range []netip.Addr{a, cluster.Gateway(t, n, a)} {
				expectClosedToPods(t, l, n, addr)
			}
		}
	}
}

// expectHTTP requests /healthz of a node's podlaned from a place. It must succeed if open is true.
func expectHTTP(t *testing.T, from *lab.Place, host string, open bool) {
	t.Helper()
	c, err := dial(t, from, net.JoinHostPort(host, fmt.Sprint(httpPort)), 5*time.Second)
	if (err == nil) != open {
		t.Errorf("HTTP from %s to %s: error %v; want it open: %v", from.Name, host, err, open)
	}
	if err != nil {
		return
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return c, nil },
	}}
	response, err := client.Get("http://podlaned/healthz")
	cluster.Check(t, err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("HTTP from %s to %s: got %s, want 200", from.Name, host, response.Status)
	}
}

// expectClosedToPods tries HTTP from every pod at once.
func expectClosedToPods(t *testing.T, l *lab.Lab, n *lab.Node, addr netip.Addr) {
	t.Helper()
	mirror, err := n.NewMirror(t.Context(), addr)
	cluster.Check(t, err)
	defer mirror.Close()
	var asking sync.WaitGroup
	for _, p := range l.Pods() {
		asking.Go(func() {
			if c, err := dial(t, p.Place, netip.AddrPortFrom(addr, httpPort).String(), 500*time.Millisecond); err == nil {
				c.Close()
				t.Errorf("%s reaches HTTP of %s at %s", p.Name, n.Name, addr)
			}
			if addr.Is6() && p.Node == n && addr == cluster.OverlayAddr(t, n, addr) {
				return // the anycast address of all routers on their bridge (RFC 4291 section 2.6.1), which accepts no TCP
			}
			c, err := dial(t, p.Place, mirror.Addr.String(), 5*time.Second)
			if err != nil {
				t.Errorf("%s does not reach %s at %s at all: %v", p.Name, n.Name, mirror.Addr, err)
				return
			}
			c.Close()
		})
	}
	asking.Wait()
}

func dial(t *testing.T, from *lab.Place, to string, most time.Duration) (c net.Conn, err error) {
	t.Helper()
	dialer := net.Dialer{Timeout: most}
	err = from.Do(func() error {
		c, err = dialer.DialContext(t.Context(), "tcp", to)
		return err
	})
	return c, err
}
