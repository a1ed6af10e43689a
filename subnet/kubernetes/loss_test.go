package kubernetes

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/subnet"
)

// n returns the lease of node number i, and the key of it.
func n(t *testing.T, i int) subnet.Lease { return announced(t, i, fmt.Sprintf("10.5.%d.0-24", i)) }

func TestLossOfData(t *testing.T) {
	cidr := []string{"10.5.2.0/24"}
	full := func(revision int64) *channel.Leases {
		return message(revision, cidr, n(t, 1), n(t, 2), n(t, 3), n(t, 4))
	}
	with := func(m *channel.Leases, change func(*channel.Leases)) *channel.Leases { change(m); return m }
	gone := func(m *channel.Leases) { m.Own = channel.Own{} }
	lost := func(m *channel.Leases) { m.Losses++ }
	for name, row := range map[string]struct {
		before  *channel.Leases // nil: it starts from the saved state
		after   *channel.Leases
		losses  int
		want    []string // the whole set
		retains int
	}{
		"a Node is deleted":                    {full(7), message(8, cidr, n(t, 1), n(t, 2), n(t, 3)), 0, []string{"1", "2", "3"}, 0},
		"all other Nodes are deleted":          {full(7), message(8, cidr, n(t, 2)), 0, []string{"2"}, 0},
		"a lower revision":                     {full(7), message(3, cidr, n(t, 1), n(t, 2)), 1, []string{"1", "2", "3", "4"}, 2},
		"a lower revision, nothing is missing": {full(7), full(3), 1, []string{"1", "2", "3", "4"}, 0},
		"podlane-kube reports a loss":          {full(7), with(message(9, cidr, n(t, 2)), lost), 1, []string{"1", "2", "3", "4"}, 3},
		"the own Node is deleted":              {full(7), with(message(8, nil, n(t, 1), n(t, 3), n(t, 4)), gone), 0, []string{"1", "3", "4"}, 0},
		"the own Node is missing, and others":  {full(7), with(message(8, nil, n(t, 1)), gone), 1, []string{"1", "3", "4"}, 2},
		"another node has the pod subnet":      {full(7), message(3, cidr, n(t, 1), n(t, 2), announced(t, 9, "10.5.4.0-23")), 1, []string{"1", "2", "3", "4-23"}, 1},
		"before the start":                     {nil, message(3, cidr, n(t, 2)), 1, []string{"1", "2", "3", "4"}, 3},
		"before the start, the own Node too":   {nil, with(message(9, nil, n(t, 3)), gone), 1, []string{"1", "3", "4"}, 2},
		"a Node deleted before the start":      {nil, message(9, cidr, n(t, 1), n(t, 2), n(t, 3)), 0, []string{"1", "2", "3"}, 0},
		"an old loss, before the start":        {nil, with(message(9, cidr, n(t, 2)), lost), 0, []string{"2"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *Options) {
				if row.before == nil {
					o.Saved = savedState(7, n(t, 2), n(t, 1), n(t, 3), n(t, 4))
				}
			})
			if row.before != nil {
				w.send(row.before)
			}
			st := w.send(row.after)
			var want []string
			for _, s := range row.want {
				if s == "4-23" {
					want = append(want, "10.5.4.0-23")
				} else {
					want = append(want, "10.5."+s+".0-24")
				}
			}
			if got := keys(st.Set); st.Losses != row.losses || st.Retained != row.retains || !slices.Equal(got, want) {
				t.Errorf("losses %d, retained %d, set %q; want %d, %d, %q", st.Losses, st.Retained, got, row.losses, row.retains, want)
			}
			if w.revision() != row.after.Revision {
				t.Errorf("the highest revision is %d, want %d", w.revision(), row.after.Revision)
			}
			again := *row.after
			if st = w.send(&again); st.Losses != row.losses || st.Retained != row.retains {
				t.Errorf("the same set again: losses %d, retained %d", st.Losses, st.Retained)
			}
		})
	}
}

// A peer is not retained any more when its Node is back, or when the grace period is over.
func TestEndOfRetention(t *testing.T) {
	cidr := []string{"10.5.2.0/24"}
	w := newWorld(t)
	w.send(message(7, cidr, n(t, 1), n(t, 2), n(t, 3)))
	w.send(message(3, cidr, n(t, 2)))
	end := w.now.Add(5 * time.Minute)
	st := w.send(message(4, cidr, n(t, 1), n(t, 2)))
	if got := keys(st.Set); st.Retained != 1 || len(got) != 3 {
		t.Errorf("node 1 is back: retained %d, set %q", st.Retained, got)
	}
	if st = w.send(message(5, cidr, n(t, 2))); st.Retained != 1 || len(st.Set.Records) != 2 {
		t.Errorf("node 1 is deleted then: retained %d, set %q", st.Retained, keys(st.Set))
	}
	w.receive(feed(w.connection.newest, end), end.Add(-time.Second))
	if got := w.next(end.Add(-time.Second)); !got.Equal(end) {
		t.Errorf("the state changes at %v, want %v", got, end)
	}
	if st = w.state(end.Add(-time.Millisecond)); st.Retained != 1 {
		t.Errorf("before the end: retained %d", st.Retained)
	}
	saved := st.Save()
	if st = w.state(end); st.Retained != 0 || len(st.Set.Records) != 1 || st.Losses != 1 {
		t.Errorf("at the end: retained %d, set %q, losses %d", st.Retained, keys(st.Set), st.Losses)
	}
	if lost := saved.LostLeases(); len(lost) != 1 || lost[0] != n(t, 3) {
		t.Errorf("saved as lost: %v", lost)
	}
	w = newWorld(t, func(o *Options) { o.Saved = &saved })
	if st = w.send(message(9, cidr, n(t, 2))); st.Retained != 1 || st.Losses != 0 {
		t.Errorf("after a restart: retained %d, losses %d", st.Retained, st.Losses)
	}
}

// podlane-kube counts its losses from its own start. Two of them may replace each other again and again.
func TestPodlaneKubeIsRestartedAfterALoss(t *testing.T) {
	cidr := []string{"10.5.2.0/24"}
	set := func(revision int64, losses int) *channel.Leases {
		m := message(revision, cidr, n(t, 1), n(t, 2))
		m.Losses = losses
		return m
	}
	w := newWorld(t)
	for i, step := range []struct {
		connection, losses int
		revision           int64
		want               int
	}{{1, 1, 7, 0}, {1, 1, 8, 0}, {1, 2, 9, 1}, {2, 0, 10, 1}, {2, 0, 11, 1}, {2, 1, 12, 2}, {3, 2, 13, 2}, {4, 1, 14, 2}, {5, 2, 15, 2}, {5, 3, 16, 3}, {6, 3, 15, 4}} {
		w.now = w.now.Add(time.Second)
		f := feed(set(step.revision, step.losses), w.now)
		f.Connection = step.connection
		w.receive(f, w.now)
		if st := w.state(w.now); st.Losses != step.want {
			t.Errorf("message %d: losses %d, want %d", i, st.Losses, step.want)
		}
	}
}

// A delivered set does not change later.
func TestDeliveredSetsStay(t *testing.T) {
	cidr := []string{"10.5.2.0/24"}
	w := newWorld(t)
	first := w.send(message(7, cidr, n(t, 1), n(t, 2), n(t, 9)))
	lost := w.send(message(3, cidr, n(t, 2)))
	w.send(message(4, cidr, n(t, 4)))
	if got, want := keys(first.Set), []string{"10.5.1.0-24", "10.5.2.0-24", "10.5.9.0-24"}; !slices.Equal(got, want) {
		t.Errorf("first set %q, want %q", got, want)
	}
	if got, want := keys(lost.Set), []string{"10.5.1.0-24", "10.5.2.0-24", "10.5.9.0-24"}; !slices.Equal(got, want) {
		t.Errorf("set with retained leases %q, want %q", got, want)
	}
}

func TestIndexFindsOverlaps(t *testing.T) {
	var records []subnet.Record
	for _, key := range []string{"10.5.1.0-24", "10.5.64.0-18", "10.5.2.0-24&fd00:5:0:2::-64"} {
		p := pair(t, key)
		records = append(records, subnet.Record{Lease: subnet.Lease{IPv4: subnet.Endpoint{Subnet: p.IPv4}, IPv6: subnet.Endpoint{Subnet: p.IPv6}}})
	}
	x := newIndex(records)
	for key, want := range map[string]bool{
		"10.5.1.0-24": true, "10.5.1.128-25": true, "10.5.0.0-23": true, "10.5.3.0-24": false, "10.5.70.0-24": true, "10.0.0.0-8": true,
		"0.0.0.0-0&fd00:5:0:2::-64": true, "0.0.0.0-0&fd00:5:0:3::-64": false, "10.5.9.0-24&fd00:5:0:2::-64": true, "0.0.0.0-0&fd00:5::-48": true,
	} {
		if got := x.overlaps(pair(t, key)); got != want {
			t.Errorf("%s: overlaps %v, want %v", key, got, want)
		}
	}
}
