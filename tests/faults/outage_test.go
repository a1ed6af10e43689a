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

// outage is something that happens to etcd while the nodes run.
type outage struct {
	begin  func(t *testing.T, b *bed) (end func())
	cutOff func(b *bed) []*lab.Node // the nodes that have no etcd meanwhile; nil: none
	lasts  time.Duration            // from when the nodes noticed
}

const (
	// noticed is how long a node may take to see that etcd does not answer, and that it does again.
	noticed = 15 * time.Second
	// idling is how much of a core a podlaned may take while etcd is away, and how often it may ask for it a second.
	idling = 0.02
	asking = 4
)

// run expects that no pod notices an outage and that pods are attached all the time. The nodes without etcd report that and
// wait quietly. The others still receive every change; afterwards all do.
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
		b.expectNews(t, with)
	}
	expectQuiet(t, b.Nodes, o.lasts)
	for _, n := range without {
		b.expectAttach(t, n)
	}
	for n, count := range requestsOf(t, without) {
		if rate := (count - before[n]) / time.Since(began).Seconds(); rate > asking {
			t.Errorf("%s asks etcd %.1f times a second, more than %d", n.Name, rate, asking)
		}
	}
	end()
	expectEtcd(t, b.Nodes, true)
	b.expectNews(t, b.Nodes)
	always()
	traffic.ExpectNothingLost(t)
}

// expectEtcd waits until readiness says of etcd that it is there, or not, on each of these nodes.
func expectEtcd(t *testing.T, nodes []*lab.Node, there bool) {
	t.Helper()
	began := time.Now()
	for _, n := range nodes {
		cluster.Until(t, noticed, fmt.Sprintf("%s: readiness says of etcd: %v", n.Name, there), func() (bool, string) {
			ok, words := cluster.ReadyCheck(t, n, "etcd")
			return ok == there, words
		})
	}
	if len(nodes) > 0 {
		t.Logf("readiness says of etcd %v on %d nodes after at most %v", there, len(nodes), since(began))
	}
}

// expectQuiet measures what the podlaneds do for a time in which nobody asks them anything.
func expectQuiet(t *testing.T, nodes []*lab.Node, lasts time.Duration) {
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
		if load > idling {
			t.Errorf("podlaned on %s takes %.1f %% of a core", n.Name, 100*load)
		}
	}
	t.Logf("CPU over %v: %s", since(began), strings.Join(loads, ", "))
}

// cpuOf is the CPU time that a node's podlaned has used: proc(5), /proc/pid/stat, utime and stime in 1/100 s.
func cpuOf(t *testing.T, n *lab.Node) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.PID()))
	cluster.Check(t, err)
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // from the third one on
	var sum time.Duration
	for _, f := range fields[11:13] {
		ticks, err := strconv.Atoi(string(f))
		cluster.Check(t, err)
		sum += time.Duration(ticks) * time.Second / 100
	}
	return sum
}

// requestsOf is how often each node's podlaned has called etcd.
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

// expectNews makes a peer come and go in etcd, and waits until these nodes have followed.
func (b *bed) expectNews(t *testing.T, nodes []*lab.Node) {
	t.Helper()
	p := stranger{index: 240, addr: "198.18.7.1", mac: "ba:11:22:33:44:01"}
	p.put(t, b.Lab)
	began := time.Now()
	for _, n := range nodes {
		p.await(t, n, noticed, true)
	}
	t.Logf("a new peer is known on %d nodes after at most %v", len(nodes), since(began))
	p.leave(t, b.Lab)
	for _, n := range nodes {
		p.await(t, n, noticed, false)
	}
}

// stranger is a peer that stands in etcd alone, with the pod subnet 10.5.index.0/24.
type stranger struct {
	index     int
	addr, mac string
}

func (p stranger) subnet() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 5, byte(p.index), 0}), 24)
}

func (p stranger) key() string {
	return fmt.Sprintf("%s/subnets/10.5.%d.0-24", lab.DefaultPrefix, p.index)
}

func (p stranger) value() string {
	return fmt.Sprintf(`{"PublicIP":%q,"PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":%q}}`, p.addr, p.mac)
}

func (p stranger) put(t *testing.T, l *lab.Lab) {
	t.Helper()
	change(t, func(ctx context.Context) error { return l.Etcd.Put(ctx, p.key(), p.value()) })
}

func (p stranger) leave(t *testing.T, l *lab.Lab) {
	t.Helper()
	change(t, func(ctx context.Context) error { return l.Etcd.Delete(ctx, p.key()) })
}

// change makes a change in etcd: again where etcd has just lost its leader.
func change(t *testing.T, do func(context.Context) error) {
	t.Helper()
	cluster.Until(t, soon, "a write to etcd", func() (bool, string) {
		err := do(cluster.Bounded(t, 3*second))
		return err == nil, fmt.Sprint(err)
	})
}

// await waits until a node's kernel has all of a peer, or nothing.
func (p stranger) await(t *testing.T, n *lab.Node, limit time.Duration, there bool) {
	t.Helper()
	cluster.Until(t, limit, fmt.Sprintf("%s: the kernel has %s: %v", n.Name, p.subnet(), there), func() (bool, string) {
		has, text := p.in(t, n)
		return has == there, text
	})
}

// lines is what the operator's tools print of a peer: its route, neighbour and FDB entry. The zero stranger has none.
func (p stranger) lines() []string {
	if p == (stranger{}) {
		return nil
	}
	return []string{
		p.subnet().String() + " via " + p.subnet().Addr().String(),
		p.subnet().Addr().String() + " lladdr " + p.mac,
		p.mac + " dst " + p.addr + " ",
	}
}

// in tells whether a node's kernel has all of a peer. Of one that it has in part the text tells.
func (p stranger) in(t *testing.T, n *lab.Node) (all bool, text string) {
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

// wait lets a fault last.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("interrupted")
	}
}
