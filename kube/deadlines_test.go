package main

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/subnet"
)

// leaseOf returns the lease that podlaned writes on a node of the DaemonSet.
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

func TestOrphansAreOnlyLeasesOfThisCluster(t *testing.T) {
	flannel := leaseOf(3, "")
	machine := leaseOf(4, "bare")
	machine.Node.ID = "0123456789abcdef0123456789abcdef"
	reservation := leaseOf(5, "reserved")
	reservation.TTLID = 0
	noNode := leaseOf(6, "Web_1") // from --node-id and --node-name; no Node can have this name
	set := setOf(leaseOf(1, "n1"), leaseOf(2, "gone"), flannel, machine, reservation, noNode)
	if diff := cmp.Diff([]string{"gone"}, namesIn(orphans(set, nodesNamed("n1", "n2")))); diff != "" {
		t.Errorf("orphans (-want +got):\n%s", diff)
	}
}

func TestDeadlines(t *testing.T) {
	const grace = 10 * time.Minute
	set := setOf(leaseOf(1, "n1"), leaseOf(2, "n2"))
	type step struct {
		after time.Duration // since the first step
		nodes []string
		due   []string
	}
	for name, steps := range map[string][]step{
		"deleted while podlane-kube runs":   {{0, []string{"n1", "n2"}, nil}, {time.Second, []string{"n1"}, []string{"n2"}}},
		"no Node from the start":            {{0, []string{"n1"}, nil}, {grace - 1, []string{"n1"}, nil}, {grace, []string{"n1"}, []string{"n2"}}},
		"the Node returns within the grace": {{0, []string{"n1"}, nil}, {grace - 1, []string{"n1", "n2"}, nil}, {grace, []string{"n1", "n2"}, nil}},
		"the holder is still alive": {{0, []string{"n1", "n2"}, nil}, {1, []string{"n1"}, []string{"n2"}}, {2, []string{"n1"}, nil},
			{retryRelease, []string{"n1"}, nil}, {retryRelease + 1, []string{"n1"}, []string{"n2"}}},
		"no Node at all": {{0, []string{"n1", "n2"}, nil}, {time.Hour, nil, nil}, {2 * time.Hour, []string{"n1", "n2"}, nil}},
	} {
		var d deadlines
		for _, s := range steps {
			var due []subnet.Record
			d, due = d.next(nodesNamed(s.nodes...), set, grace, time.Unix(1000, 0).Add(s.after))
			if diff := cmp.Diff(s.due, namesIn(due)); diff != "" {
				t.Errorf("%s: due after %v (-want +got):\n%s", name, s.after, diff)
			}
		}
	}
}
