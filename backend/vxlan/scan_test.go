package vxlan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
)

// applyAndScan runs Apply with a full scan budget.
func (d *node) applyAndScan(peers []subnet.Lease) backend.Report {
	d.Helper()
	d.backend.budget = scanBudget{}
	return d.apply(peers)
}

func TestScanBudget(t *testing.T) {
	type scan struct {
		after, takes time.Duration // since the last step
		ready        bool
	}
	const ms = time.Millisecond
	for name, scans := range map[string][]scan{
		"short ones, one behind the other": {{0, ms, true}, {0, ms, true}, {ms, ms, true}},
		"a long one":                       {{0, 2 * time.Second, true}, {ms, 0, false}, {187 * time.Second, 0, false}, {2 * time.Second, 0, true}},
		"a long one after a long time":     {{time.Hour, time.Second, true}, {89 * time.Second, 0, false}, {2 * time.Second, 0, true}},
		"a storm":                          {{0, 60 * ms, true}, {ms, 60 * ms, true}, {ms, 0, false}, {ms, 0, false}, {2 * time.Second, 0, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var a scanBudget
			now := time.Now()
			for i, l := range scans {
				now = now.Add(l.after)
				if got := a.ready(now); got != l.ready {
					t.Errorf("scan %d: ready is %v; %s are left", i, got, a.left)
				}
				a.spend(l.takes)
				now = now.Add(l.takes)
			}
		})
	}
}

// TestShareOfTimeForScans scans as fast as it can. Scans use a hundredth of the time.
func TestShareOfTimeForScans(t *testing.T) {
	for _, takes := range []time.Duration{100 * time.Microsecond, 10 * time.Millisecond, 3 * time.Second} {
		var a scanBudget
		var spent time.Duration
		start := time.Now()
		now := start
		for now.Sub(start) < time.Hour {
			if a.ready(now) {
				a.spend(takes)
				spent += takes
				now = now.Add(takes)
			}
			now = now.Add(10 * time.Millisecond)
		}
		if most := now.Sub(start)/scanShare + scanReserve + takes; spent > most || spent < time.Minute/2 {
			t.Errorf("scans of %s took %s of an hour, want at most %s", takes, spent, most)
		}
	}
}

// If scans are slow, Apply repairs without one and returns the result of the last scan.
func TestApplyWithoutAScan(t *testing.T) {
	d := newNode(t, network(t, configBoth, ""))
	if notes := d.apply(named(3)).Notes; len(notes) != 0 {
		t.Fatalf("notes %q", notes)
	}
	d.run("ip route add 10.5.3.0/25 via 198.18.0.9")
	d.run("ip route del 10.5.2.0/24")
	d.backend.budget.spend(time.Minute)
	r := d.apply(named(3))
	wantOps(t, r.Ops, "add "+ours+" (drift)")
	if len(r.Notes) != 0 {
		t.Errorf("scanned without a budget: %q", r.Notes)
	}
	want := []string{"route 10.5.3.0/25 via 198.18.0.9 dev u0 proto boot diverts traffic to peer n3 (10.5.3.0/24); " +
		"remove it: ip route del 10.5.3.0/25 via 198.18.0.9 dev u0 proto boot"}
	if diff := cmp.Diff(want, d.applyAndScan(named(3)).Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	if left := d.backend.budget.left; left >= scanReserve {
		t.Errorf("the scan cost nothing: %s are left", left)
	}
	d.run("ip route del 10.5.3.0/25")
	d.backend.budget.spend(time.Minute)
	if diff := cmp.Diff(want, d.apply(named(3)).Notes); diff != "" {
		t.Errorf("notes without a scan (-want +got):\n%s", diff)
	}
	if got := d.applyAndScan(named(3)).Notes; len(got) != 0 {
		t.Errorf("the route was deleted: %q", got)
	}
}

// If the kernel refuses a scan, our entries are installed all the same. No kernel here refuses, so the scan uses an
// invalid socket.
func TestScanFails(t *testing.T) {
	d := newNode(t, network(t, configBoth, ""))
	var reconcilers []*reconciler
	for _, f := range subnet.Families {
		p := &reconciler{family: f, name: "podlane.1", network: d.backend.network.Range(f).Prefix, w: writer{conn: new(rtnl.Conn)}}
		reconcilers = append(reconcilers, p)
	}
	_, got := d.backend.scan(reconcilers, leases(4))
	want := []string{
		"cannot find out which IPv4 routes divert traffic to peers: read routes: send to the kernel: " + unix.ENOTSOCK.Error(),
		"cannot find out which IPv4 rules divert traffic to peers: read rules: send to the kernel: " + unix.ENOTSOCK.Error(),
	}
	for _, w := range slices.Clone(want) {
		want = append(want, strings.Replace(w, "IPv4", "IPv6", 1))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	var f findings
	reconcilers[0].reportRules(&f, []diversion{{rule: rule{priority: 7, action: actionTable, table: 9, suppress: -1}}})
	if got, want := f.notes.all(), "cannot find out whether rule pref 7 from all lookup 9 diverts traffic to pods: read routes: "; len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// A repair requests only our routes: the kernel omits all others.
func TestKernelFiltersRoutes(t *testing.T) {
	d := newNode(t, network(t, configBoth, ""))
	d.run("ip route add 10.9.0.0/24 via 198.18.0.9")
	d.run("ip -6 route add fd00:9::/64 via 2001:db8::9")
	d.apply(leases(4))
	for _, f := range subnet.Families {
		for owner, want := range map[uint8][2]int{protocol: {3, 3}, unix.RTPROT_UNSPEC: {5, 100}} {
			seen := 0
			err := d.Do(func() error {
				conn, err := rtnl.Dial()
				if err != nil {
					return err
				}
				defer conn.Close()
				return dumpOnce(conn, "routes", requestRoutes(f, unix.RT_TABLE_MAIN, owner), func(rtnl.Message) { seen++ })
			})
			if err != nil || seen < want[0] || seen > want[1] {
				t.Errorf("%s routes of owner %d: %d, want %d to %d; %v", f, owner, seen, want[0], want[1], err)
			}
		}
	}
}
