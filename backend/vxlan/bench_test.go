package vxlan

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

const configLarge = `{"Network":"10.0.0.0/8","SubnetLen":24,"Backend":{"Type":"vxlan"%s}}`

// many returns the leases of the nodes 1 to n of a large network. The first one is this node's.
func many(n int) (ls []subnet.Lease) {
	for i := 1; i <= n; i++ {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
		l := subnet.Lease{BackendType: subnet.BackendVXLAN}
		l.IPv4 = endpoint(p, netip.AddrFrom4([4]byte{198, 19, byte(i >> 8), byte(i)}))
		ls = append(ls, l)
	}
	return ls
}

// large returns a node on which nothing is programmed. done removes it.
func large(b *testing.B, self subnet.Lease) (d *node, done func()) {
	b.Helper()
	space, err := sandbox.New("large")
	if err != nil {
		b.Fatal(err)
	}
	d = &node{TB: b, Namespace: space, i: 1, self: self}
	d.prepare(network(b, configLarge, ""))
	return d, func() {
		d.run("ip link del podlane.1") // now, because the kernel would do it during the next round
		if err := space.Delete(); err != nil {
			b.Fatal(err)
		}
	}
}

func (d *node) applyLarge(b *testing.B, ls []subnet.Lease) {
	b.Helper()
	r, err := d.try(ls[1:])
	if err != nil || len(r.Failed) > 0 || r.Peers != len(ls)-1 {
		b.Fatal(err, r.Failed, r.Peers)
	}
}

func benchmarkStart(b *testing.B, peers int) {
	ls := many(peers + 1)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		d, done := large(b, ls[0])
		b.StartTimer()
		d.applyLarge(b, ls)
		b.StopTimer()
		done()
		b.StartTimer()
	}
}

func BenchmarkApplyStart1000(b *testing.B)  { benchmarkStart(b, 1000) }
func BenchmarkApplyStart5000(b *testing.B)  { benchmarkStart(b, 5000) }
func BenchmarkApplyStart20000(b *testing.B) { benchmarkStart(b, 20000) }

func BenchmarkApplyUnchanged5000(b *testing.B) {
	ls := many(5001)
	d, done := large(b, ls[0])
	defer done()
	d.applyLarge(b, ls)
	b.ReportAllocs()
	for b.Loop() {
		d.applyLarge(b, ls)
	}
}

// BenchmarkApplyUnchangedAmongRoutes runs on a router. Its main table has 200,000 foreign routes, none of them to a
// peer.
func BenchmarkApplyUnchangedAmongRoutes(b *testing.B) {
	ls := many(5001)
	d, done := large(b, ls[0])
	defer done()
	d.addForeign(200_000)
	d.applyLarge(b, ls)
	b.Run("without a scan", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d.backend.budget.spend(time.Hour)
			d.applyLarge(b, ls)
		}
	})
	b.Run("with a scan", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d.backend.budget = scanBudget{}
			d.applyLarge(b, ls)
		}
	})
}

// addForeign adds foreign routes outside the pod network to the main table.
func (d *node) addForeign(routes int) {
	d.Helper()
	var batch strings.Builder
	for i := range routes {
		fmt.Fprintf(&batch, "route add %d.%d.%d.0/24 via 198.18.0.9 proto bird\n", 20+i>>16, i>>8&255, i&255)
	}
	path := filepath.Join(d.TempDir(), "routes")
	if err := os.WriteFile(path, []byte(batch.String()), 0o600); err != nil {
		d.Fatal(err)
	}
	d.run("ip -batch " + path)
}

// BenchmarkApplyOneMore5000 adds a peer and removes it again.
func BenchmarkApplyOneMore5000(b *testing.B) {
	ls := many(5002)
	d, done := large(b, ls[0])
	defer done()
	d.applyLarge(b, ls)
	b.ReportAllocs()
	for b.Loop() {
		d.applyLarge(b, ls[:5001])
		d.applyLarge(b, ls)
	}
}

// BenchmarkPlan5000 runs only the pure part.
func BenchmarkPlan5000(b *testing.B) {
	ls, n := many(5001), network(b, configLarge, "")
	u := underlay.Interface{MTU: 1500, Addrs: []netip.Prefix{netip.MustParsePrefix("198.18.0.1/24")}}
	b.ReportAllocs()
	for b.Loop() {
		plan(subnet.IPv4, n, u, ls[0], ls[1:])
	}
}

// BenchmarkRawNetlink5000 only writes the same entries as BenchmarkApplyStart5000: the kernel's own limit.
func BenchmarkRawNetlink5000(b *testing.B) {
	ls := many(5001)
	for b.Loop() {
		b.StopTimer()
		d, done := large(b, ls[0])
		d.applyLarge(b, ls[:1])
		batch := rawEntries(d, ls)
		b.StartTimer()
		_ = d.Do(func() error {
			conn, err := rtnl.Dial()
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			return conn.Send(batch, func(i int, err error) { b.Fatal(i, err) })
		})
		b.StopTimer()
		done()
		b.StartTimer()
	}
}

func rawEntries(d *node, ls []subnet.Lease) *rtnl.Batch {
	want, _ := plan(subnet.IPv4, d.backend.network, d.backend.underlay, ls[0], ls[1:])
	index, batch := d.index("podlane.1"), &rtnl.Batch{}
	for a, mac := range want.neighbours {
		putNeighbour(batch, index, a, mac)
	}
	for mac, dst := range want.fdb {
		putFDB(batch, index, mac, dst, 0)
	}
	for k, r := range want.routes {
		putRoute(batch, k, r, index)
	}
	return batch
}

// BenchmarkIPBatch5000 writes the same entries with ip -batch and bridge -batch. The second one uses the same metric
// for all routes, like other overlays.
func BenchmarkIPBatch5000(b *testing.B) {
	b.Run("metrics", func(b *testing.B) { benchmarkIPBatch(b, 5000, false) })
	b.Run("one metric", func(b *testing.B) { benchmarkIPBatch(b, 5000, true) })
}

func benchmarkIPBatch(b *testing.B, peers int, oneMetric bool) {
	ls, dir := many(peers+1), b.TempDir()
	for b.Loop() {
		b.StopTimer()
		d, done := large(b, ls[0])
		d.applyLarge(b, ls[:1])
		ip, bridge := filepath.Join(dir, "ip"), filepath.Join(dir, "bridge")
		writeBatches(b, d, ls, ip, bridge, oneMetric)
		b.StartTimer()
		d.run("ip -batch " + ip)
		d.run("bridge -batch " + bridge)
		b.StopTimer()
		done()
		b.StartTimer()
	}
}

func writeBatches(b *testing.B, d *node, ls []subnet.Lease, ip, bridge string, oneMetric bool) {
	b.Helper()
	want, _ := plan(subnet.IPv4, d.backend.network, d.backend.underlay, ls[0], ls[1:])
	var neighbours, fdb, routes strings.Builder
	for a, mac := range want.neighbours {
		fmt.Fprintf(&neighbours, "neigh replace %s lladdr %s dev podlane.1 nud permanent\n", a, mac)
	}
	for mac, dst := range want.fdb {
		fmt.Fprintf(&fdb, "fdb replace %s dst %s dev podlane.1 self permanent\n", mac, dst)
	}
	for k, r := range want.routes {
		if oneMetric {
			k.metric = 0
		}
		fmt.Fprintf(&routes, "route replace %s via %s dev podlane.1 proto 112 metric %d onlink\n", k.prefix, r.via, k.metric)
	}
	for path, text := range map[string]string{ip: neighbours.String() + routes.String(), bridge: fdb.String()} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
}
