package main

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
)

// leaseOf is a lease as the DaemonSet's podlaned on a node writes it.
func leaseOf(i int, name string) subnet.Record {
	p := netip.MustParsePrefix(fmt.Sprintf("10.5.%d.0/24", i))
	return subnet.Record{TTLID: 7, Modified: int64(i), Lease: subnet.Lease{IPv4: subnet.Endpoint{Subnet: p}, Node: subnet.Node{ID: name, Name: name}}}
}

func setOf(records ...subnet.Record) subnet.Set { return subnet.Set{Records: records} }

func nodesNamed(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

func namesIn(records []subnet.Record) (names []string) {
	for _, r := range records {
		names = append(names, r.Node.Name)
	}
	return names
}

func TestOrphansAreLeasesOfThisClusterAlone(t *testing.T) {
	flannel := leaseOf(3, "")
	machine := leaseOf(4, "bare")
	machine.Node.ID = "0123456789abcdef0123456789abcdef"
	reservation := leaseOf(5, "reserved")
	reservation.TTLID = 0
	noNode := leaseOf(6, "Web_1") // of --node-id and --node-name, and no name that a Node can have
	set := setOf(leaseOf(1, "n1"), leaseOf(2, "gone"), flannel, machine, reservation, noNode)
	if got := namesIn(orphans(set, nodesNamed("n1", "n2"))); !slices.Equal(got, []string{"gone"}) {
		t.Errorf("orphans %q", got)
	}
}

func TestWhenLeasesAreDue(t *testing.T) {
	const grace = 10 * time.Minute
	set := setOf(leaseOf(1, "n1"), leaseOf(2, "n2"))
	type look struct {
		after time.Duration // since the first
		nodes []string
		due   []string
	}
	for name, looks := range map[string][]look{
		"deleted under our eyes":      {{0, []string{"n1", "n2"}, nil}, {time.Second, []string{"n1"}, []string{"n2"}}},
		"never seen":                  {{0, []string{"n1"}, nil}, {grace - 1, []string{"n1"}, nil}, {grace, []string{"n1"}, []string{"n2"}}},
		"comes back within the grace": {{0, []string{"n1"}, nil}, {grace - 1, []string{"n1", "n2"}, nil}, {grace, []string{"n1", "n2"}, nil}},
		"its holder still lives": {{0, []string{"n1", "n2"}, nil}, {1, []string{"n1"}, []string{"n2"}}, {2, []string{"n1"}, nil},
			{retry, []string{"n1"}, nil}, {retry + 1, []string{"n1"}, []string{"n2"}}},
		"no Node at all": {{0, []string{"n1", "n2"}, nil}, {time.Hour, nil, nil}, {2 * time.Hour, []string{"n1", "n2"}, nil}},
	} {
		var d deadlines
		for _, l := range looks {
			var due []subnet.Record
			d, due = d.next(nodesNamed(l.nodes...), set, grace, time.Unix(1000, 0).Add(l.after))
			if got := namesIn(due); !slices.Equal(got, l.due) {
				t.Errorf("%s: after %v due %q, want %q", name, l.after, got, l.due)
			}
		}
	}
}
