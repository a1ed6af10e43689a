package subnet

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// unusableKeys are keys that no node can use, with any value. They cover the whole range of 10.5.0.0/16.
var unusableKeys = []string{"10.0.0.0/8", "10.5.0.0/16", "10.5.0.0/17", "10.4.0.0/15", "128.0.0.0/1", "0.0.0.0/2", "10.6.0.0/24"}

func TestKeyThatNoNodeCanUseDoesNotBlock(t *testing.T) {
	n := network(t, `{"Network":"10.5.0.0/16"}`)
	for _, key := range unusableKeys {
		junk, lease := Set{Blocked: []Pair{pair(key)}}, Set{Records: []Record{record(2, pair(key))}}
		for name, set := range map[string]Set{"junk": junk, "lease": lease, "lost lease": {Lost: []Pair{pair(key)}}} {
			self := me
			for _, self.Previous = range []Pair{{}, pair("10.5.77.0/24")} {
				d, err := Decide(n, self, set, notAsked)
				if err != nil || d.Verdict != Create || !n.Fits(d.Pair) {
					t.Errorf("with %s %s: %+v, %v; want a fitting pair to create", name, key, d, err)
				}
				if self.Previous != (Pair{}) && d.Pair != self.Previous {
					t.Errorf("with %s %s: got %s, want the previous pair %s", name, key, d.Pair, self.Previous)
				}
			}
		}
	}
}

// None of these keys has a lease, and none is a possible pod subnet of the configuration.
func TestJunkKeyOfAnotherLengthOrOutsideTheRangeDoesNotBlock(t *testing.T) {
	n := network(t, `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.7.0"}`)
	for _, key := range []string{"10.5.4.0/22", "10.5.4.0/23", "10.5.4.0/25", "10.5.4.1/32", "10.5.3.0/24", "10.5.8.0/24", "10.5.0.0/18"} {
		if got := n.Blocks(pair(key), false); !got.IsZero() {
			t.Errorf("%s blocks %s", key, got)
		}
	}
	for _, key := range []string{"10.5.4.0/24", "10.5.7.0/24"} {
		if got := n.Blocks(pair(key), false); got != pair(key) {
			t.Errorf("%s blocks %s: its owner may repair it", key, got)
		}
	}
}

// The node leased it under an earlier SubnetLen, SubnetMin or SubnetMax, and is still running.
func TestLeaseOfAnEarlierConfigurationBlocks(t *testing.T) {
	n := network(t, `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.7.0"}`)
	for _, key := range []string{"10.5.4.0/23", "10.5.4.0/25", "10.5.0.0/18", "10.5.9.0/24"} {
		if got := n.Blocks(pair(key), true); got != pair(key) {
			t.Errorf("%s blocks %s", key, got)
		}
	}
}

func TestEachHalfBlocksSeparately(t *testing.T) {
	n := dualStack(t)
	for _, c := range []struct {
		key       Pair
		junk, has Pair
	}{
		{pair("10.5.1.0/24", "fd00::/8"), pair("10.5.1.0/24"), pair("10.5.1.0/24")},
		{pair("10.0.0.0/8", "fd00:5:0:1::/64"), pair("fd00:5:0:1::/64"), pair("fd00:5:0:1::/64")},
		{pair("10.0.0.0/8", "fd00::/8"), Pair{}, Pair{}},
		{pair("10.5.1.0/24", "fd00:5:0:1::/64"), pair("10.5.1.0/24", "fd00:5:0:1::/64"), pair("10.5.1.0/24", "fd00:5:0:1::/64")},
		{pair("10.5.0.0/20", "fd00:5:0:1::/80"), Pair{}, pair("10.5.0.0/20", "fd00:5:0:1::/80")},
		{pair("fd00:5::/48"), Pair{}, Pair{}},
	} {
		if junk, has := n.Blocks(c.key, false), n.Blocks(c.key, true); junk != c.junk || has != c.has {
			t.Errorf("%s blocks %s without a lease and %s with one, want %s and %s", c.key, junk, has, c.junk, c.has)
		}
	}
	// One family is off: no node chooses from it.
	if got := network(t, `{"Network":"10.5.0.0/16"}`).Blocks(pair("10.6.0.0/24", "fd00:5:0:1::/64"), true); !got.IsZero() {
		t.Errorf("blocks %s", got)
	}
}

func TestPossiblePodSubnetBlocksWithAnyValue(t *testing.T) {
	n := network(t, `{"Network":"10.5.0.0/22"}`)
	for _, set := range []Set{
		{Blocked: []Pair{pair("10.5.1.0/24"), pair("10.5.3.0/24"), pair("10.0.0.0/8")}},
		{Blocked: []Pair{pair("10.5.1.0/24")}, Records: []Record{record(3, pair("10.5.3.0/24"))}},
		{Lost: []Pair{pair("10.5.1.0/24")}, Records: []Record{record(3, pair("10.5.3.0/24")), record(4, pair("10.5.0.0/22"))}},
	} {
		d, err := Decide(n, me, set, notAsked)
		if err != nil || d.Pair != pair("10.5.2.0/24") {
			t.Errorf("beside %+v: %+v, %v", set, d, err)
		}
	}
}

func TestFullRangeNamesTheKeysThatFillIt(t *testing.T) {
	n := network(t, `{"Network":"10.5.0.0/21"}`) // 10.5.1.0 to 10.5.7.0
	at := func(i int) Pair { return pair(fmt.Sprintf("10.5.%d.0/24", i)) }
	set := Set{
		Records: []Record{record(1, at(2)), record(2, at(3)), record(3, pair("10.5.4.0/23")), record(4, pair("10.0.0.0/8"))},
		Blocked: []Pair{at(1), at(6), pair("10.5.0.0/16")},
		Lost:    []Pair{at(7)},
	}
	_, err := Decide(n, Self{Node: Node{ID: "new"}, PublicIP: addr("192.0.2.99")}, set, notAsked)
	want := "choose from 10.5.1.0 to 10.5.7.0: every pod subnet is taken by 2 leases: 10.5.2.0-24, 10.5.3.0-24; " +
		"1 lease that does not fit the network configuration: 10.5.4.0-23; 2 keys that are not leases: 10.5.1.0-24, 10.5.6.0-24; " +
		"1 lease that etcd has lost and its node may write again: 10.5.7.0-24"
	if !errors.Is(err, ErrFull) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	var many Set
	wide := network(t, `{"Network":"10.5.0.0/16","SubnetLen":30}`)
	for i := range 1 << 14 {
		many.Blocked = append(many.Blocked, Pair{IPv4: prefix(fmt.Sprintf("10.5.%d.%d/30", i/64, i%64*4))})
	}
	_, err = Decide(wide, me, many, notAsked)
	wantError(t, err, "16383 keys that are not leases: 10.5.0.4-30, 10.5.0.8-30, 10.5.0.12-30, …")
	if err == nil || strings.Contains(err.Error(), "10.5.0.16-30") {
		t.Error(err)
	}
}

// One lease of the whole network, older than all others, removes no peer.
func TestLeaseThatIsTooLargeRemovesNoPeer(t *testing.T) {
	n := dualStack(t)
	self, peer := record(8, pair("10.5.200.0/24")).Lease, record(9, pair("10.5.9.0/24"))
	for _, key := range []Pair{pair("10.0.0.0/8"), pair("10.5.0.0/16"), pair("10.5.0.0/17"), pair("10.5.1.0/24", "fd00:5::/48")} {
		peers, skipped := Screen(n, nil, self, []Record{record(1, key), peer})
		if len(peers) != 1 || peers[0] != peer.Lease || len(skipped) != 1 || skipped[0].Key != key.Key() {
			t.Errorf("%s: peers %v, skipped %q", key, peers, skipped)
		}
	}
	_, skipped := Screen(n, nil, self, []Record{record(1, pair("10.5.0.0/17"))})
	if want := "pod subnet 10.5.0.0/17 is too large for the pod network 10.5.0.0/16: /18 is the largest"; skipped[0].Reason != want {
		t.Errorf("%q, want %q", skipped[0].Reason, want)
	}
}
