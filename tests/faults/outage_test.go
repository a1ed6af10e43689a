package faults

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// outage is a fault of etcd while the nodes run.
type outage struct {
	begin  func(t *testing.T, b *bed) (end func())
	cutOff func(b *bed) []*lab.Node // the nodes without etcd meanwhile; nil: none
	lasts  time.Duration            // since the nodes noticed
}

const (
	// etcdLimit is the time for a node to notice that etcd does not answer, and that it answers again.
	etcdLimit = 15 * time.Second
	// While etcd is down, podlaned may use maxCPU of a core and call etcd maxRequests times a second.
	maxCPU      = 0.02
	maxRequests = 4
)

// run expects that no pod notices an outage and that pods are attached all the time. The nodes without etcd report that
// and wait quietly. The others still receive every change; afterwards all do.
func (o outage) run(t *testing.T, b *bed) {
	t.Helper()
	var without []*lab.Node
	if o.cutOff != nil {
		without = o.cutOff(b)
	}
	traffic, always := b.flood(t), watchAttach(t, b.Nodes)
	began, before := time.Now(), requestsOf(t, without)
	end := o.begin(t, b)
	expectEtcd(t, without, false)
	if with := slices.DeleteFunc(slices.Clone(b.Nodes), func(n *lab.Node) bool { return slices.Contains(without, n) }); len(with) > 0 {
		b.expectChanges(t, with)
	}
	expectLowCPU(t, b.Nodes, o.lasts)
	for _, n := range without {
		b.expectAttach(t, n)
	}
	for n, count := range requestsOf(t, without) {
		if rate := (count - before[n]) / time.Since(began).Seconds(); rate > maxRequests {
			t.Errorf("%s calls etcd %.1f times a second, want at most %d", n.Name, rate, maxRequests)
		}
	}
	end()
	expectEtcd(t, b.Nodes, true)
	b.expectChanges(t, b.Nodes)
	always()
	traffic.ExpectNothingLost(t)
}

// expectEtcd waits until the readiness check for etcd has this result on each of these nodes.
func expectEtcd(t *testing.T, nodes []*lab.Node, want bool) {
	t.Helper()
	began := time.Now()
	for _, n := range nodes {
		cluster.Until(t, etcdLimit, fmt.Sprintf("%s: readiness check etcd: %v", n.Name, want), func() (bool, string) {
			ok, words := cluster.ReadyCheck(t, n, "etcd")
			return ok == want, words
		})
	}
	if len(nodes) > 0 {
		t.Logf("readiness check etcd is %v on %d nodes after at most %v", want, len(nodes), since(began))
	}
}

// expectLowCPU measures podlaned's CPU for a time without requests.
func expectLowCPU(t *testing.T, nodes []*lab.Node, lasts time.Duration) {
	t.Helper()
	before := map[*lab.Node]time.Duration{}
	for _, n := range nodes {
		before[n] = cpuOf(t, n)
	}
	began := time.Now()
	wait(t, lasts)
	var loads []string
	for _, n := range nodes {
		load := float64(cpuOf(t, n)-before[n]) / float64(time.Since(began))
		loads = append(loads, fmt.Sprintf("%s %.2f %%", n.Name, 100*load))
		if load > maxCPU {
			t.Errorf("podlaned on %s uses %.1f %% of a core, want at most %.1f %%", n.Name, 100*load, 100*maxCPU)
		}
	}
	t.Logf("CPU over %v: %s", since(began), strings.Join(loads, ", "))
}

// cpuOf returns the CPU time of a node's podlaned. /proc/pid/stat has utime and stime in 1/100 s (proc(5)).
func cpuOf(t *testing.T, n *lab.Node) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.PID()))
	cluster.Check(t, err)
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // from the third field on
	var sum time.Duration
	for _, f := range fields[11:13] {
		ticks, err := strconv.Atoi(string(f))
		cluster.Check(t, err)
		sum += time.Duration(ticks) * time.Second / 100
	}
	return sum
}

// requestsOf returns how often each node's podlaned has called etcd.
func requestsOf(t *testing.T, nodes []*lab.Node) map[*lab.Node]float64 {
	t.Helper()
	sums := map[*lab.Node]float64{}
	for _, n := range nodes {
		_, body := cluster.Get(t, n, "/metrics")
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, "podlane_etcd_request_duration_seconds_count{") {
				v, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:len(line)-1], 64)
				cluster.Check(t, err)
				sums[n] += v
			}
		}
	}
	return sums
}

// expectChanges adds a peer to etcd and removes it, and waits until these nodes have followed.
func (b *bed) expectChanges(t *testing.T, nodes []*lab.Node) {
	t.Helper()
	p := etcdPeer{index: 240, addr: "198.18.7.1", mac: "ba:11:22:33:44:01"}
	p.put(t, b.Lab)
	began := time.Now()
	for _, n := range nodes {
		p.await(t, n, etcdLimit, true)
	}
	t.Logf("%d nodes have a new peer after at most %v", len(nodes), since(began))
	p.leave(t, b.Lab)
	for _, n := range nodes {
		p.await(t, n, etcdLimit, false)
	}
}

// etcdPeer is a peer that exists only in etcd, with the pod subnet 10.5.index.0/24.
type etcdPeer struct {
	index     int
	addr, mac string
}

func (p etcdPeer) subnet() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 5, byte(p.index), 0}), 24)
}

func (p etcdPeer) key() string {
	return fmt.Sprintf("%s/subnets/10.5.%d.0-24", lab.DefaultPrefix, p.index)
}

func (p etcdPeer) value() string {
	return fmt.Sprintf(`{"PublicIP":%q,"PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":%q}}`, p.addr, p.mac)
}

func (p etcdPeer) put(t *testing.T, l *lab.Lab) {
	t.Helper()
	change(t, func(ctx context.Context) error { return l.Etcd.Put(ctx, p.key(), p.value()) })
}

func (p etcdPeer) leave(t *testing.T, l *lab.Lab) {
	t.Helper()
	change(t, func(ctx context.Context) error { return l.Etcd.Delete(ctx, p.key()) })
}

// change writes to etcd. It tries again if etcd has just lost its leader.
func change(t *testing.T, do func(context.Context) error) {
	t.Helper()
	cluster.Until(t, soon, "a write to etcd", func() (bool, string) {
		err := do(cluster.Bounded(t, 3*second))
		return err == nil, fmt.Sprint(err)
	})
}

// await waits until a node's kernel has all of a peer, or not.
func (p etcdPeer) await(t *testing.T, n *lab.Node, limit time.Duration, want bool) {
	t.Helper()
	cluster.Until(t, limit, fmt.Sprintf("%s: the kernel has peer %s: %v", n.Name, p.subnet(), want), func() (bool, string) {
		has, text := p.isProgrammed(t, n)
		return has == want, text
	})
}

// lines returns a peer's route, neighbour and FDB entry, as the operator's tools print them. The zero peer has none.
func (p etcdPeer) lines() []string {
	if p == (etcdPeer{}) {
		return nil
	}
	return []string{
		p.subnet().String() + " via " + p.subnet().Addr().String(),
		p.subnet().Addr().String() + " lladdr " + p.mac,
		p.mac + " dst " + p.addr + " ",
	}
}

// isProgrammed reports whether a node's kernel has all of a peer. If not, the text names what is missing.
func (p etcdPeer) isProgrammed(t *testing.T, n *lab.Node) (all bool, text string) {
	t.Helper()
	text, err := cluster.ReadKernel(cluster.Within(t), n)
	cluster.Check(t, err)
	for _, line := range p.lines() {
		if !strings.Contains(text, line) {
			return false, "without " + line + ":\n" + text
		}
	}
	return true, text
}

func since(t time.Time) time.Duration { return time.Since(t).Round(time.Millisecond) }

// wait waits while a fault lasts.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("interrupted")
	}
}
