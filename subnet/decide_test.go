package subnet

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// The states of a claim, for a record that was last written at revision 9.
var (
	notAsked = Claim{}
	pending  = Claim{Revision: 20}
	silent   = Claim{Revision: 20, Expired: true}
)

// at returns the record as last written at another revision.
func at(revision int64, r Record) Record { r.Modified = revision; return r }

// alive returns the record as written by a holder that answered the claim.
func alive(r Record) Record { return at(21, r) }

// marked returns the stranger's lease with some of this node's marks: i, a and n for id, address and name. f makes it a
// lease that flannel wrote.
func marked(marks string) Record {
	r := stranger()
	for _, m := range marks {
		switch m {
		case 'i':
			r.Node.ID = me.Node.ID
		case 'a':
			r.IPv4.PublicIP = me.PublicIP
		case 'n':
			r.Node.Name = me.Node.Name
		case 'f':
			r.Node = Node{}
		}
	}
	return r
}

// The table has every combination of marks, with every state of the claim.
func TestWhoseLeaseIsIt(t *testing.T) {
	n := dualStack(t)
	type verdicts struct{ notAsked, pending, silent, alive Verdict }
	for marks, want := range map[string]verdicts{
		"":    {Create, Create, Create, Create},
		"i":   {Ask, Ask, Create, Create},
		"a":   {Ask, Ask, TakeOver, Refuse},
		"n":   {Ask, Ask, Create, Create},
		"ia":  {Ask, Ask, TakeOver, Refuse},
		"in":  {Ask, Ask, TakeOver, Create},
		"an":  {Ask, Ask, TakeOver, Refuse},
		"ian": {TakeOver, TakeOver, TakeOver, TakeOver},
		"f":   {Create, Create, Create, Create},
		"fa":  {TakeOver, TakeOver, TakeOver, TakeOver},
	} {
		r := marked(marks)
		for _, c := range []struct {
			name   string
			record Record
			claim  Claim
			want   Verdict
		}{
			{"not asked", r, notAsked, want.notAsked},
			{"pending", r, pending, want.pending},
			{"pending, written with the claim", at(20, r), pending, want.pending},
			{"silent", r, silent, want.silent},
			{"alive", alive(r), pending, want.alive},
			{"alive at the last moment", alive(r), silent, want.alive},
		} {
			t.Run(marks+" "+c.name, func(t *testing.T) {
				d, err := Decide(n, me, Set{Records: []Record{c.record}}, c.claim)
				if err != nil || d.Verdict != c.want {
					t.Fatalf("%+v, %v; want verdict %d", d, err, c.want)
				}
				switch d.Verdict {
				case Create:
					checkChoice(t, n, []Pair{r.Pair()}, d.Pair)
				case TakeOver:
					if d.Record != c.record {
						t.Errorf("takes over %+v", d.Record)
					}
				}
				doubtful := (len(marks) == 1 || len(marks) == 2) && marks[0] != 'f' && c.want != Ask
				if (d.Warning != "") != doubtful {
					t.Errorf("warning %q", d.Warning)
				}
				if doubtful && (!strings.Contains(d.Warning, me.Node.Name) || !strings.Contains(d.Warning, c.record.Node.Name)) {
					t.Errorf("warning %q does not name both nodes", d.Warning)
				}
			})
		}
	}
}

func TestWordsOfTheWarnings(t *testing.T) {
	n := dualStack(t)
	byIPv6 := stranger()
	byIPv6.IPv6.PublicIP = me.PublicIPv6
	const lease = "lease 10.5.9.0/24 and fd00:5:0:9::/64 of node "
	for _, c := range []struct {
		record Record
		want   string
	}{
		{alive(marked("a")), "public address 192.0.0.1 is held by live node n9 (id id-9): this node, n1 (id id-1), cannot use it too; give it another with --public-ip or --iface"},
		{alive(byIPv6), "public address 2001:db8::1 is held by live node n9 (id id-9): this node, n1 (id id-1), cannot use it too; give it another with --public-ip or --iface"},
		{marked("a"), lease + "n9 (id id-9) has the public address of this node, n1 (id id-1), and did not answer: it is taken over"},
		{marked("n"), lease + "n1 (id id-9) has the node name of this node, n1 (id id-1), and did not answer: it is left alone"},
		{alive(marked("i")), lease + "n9 (id id-1) has the node id of this node, n1 (id id-1), and is alive at 192.0.0.9: it is left alone"},
		{alive(marked("in")), lease + "n1 (id id-1) has the node id and node name of this node, n1 (id id-1), and is alive at 192.0.0.9: it is left alone"},
		{marked("in"), lease + "n1 (id id-1) has the node id and node name of this node, n1 (id id-1), and did not answer: it is taken over"},
	} {
		d, err := Decide(n, me, Set{Records: []Record{c.record}}, silent)
		if err != nil || d.Warning != c.want {
			t.Errorf("got  %q, %v\nwant %q", d.Warning, err, c.want)
		}
	}
	if got := who(Node{Version: "v1"}); got != "without a name (id unknown)" {
		t.Error(got)
	}
}

// Machines were cloned with their id. After the first claim each has its own lease, and writes no claim after a restart.
func TestClonedMachine(t *testing.T) {
	n := dualStack(t)
	original := record(1, pair("10.5.1.0/24", "fd00:5:0:1::/64"))
	clone := Self{Node: Node{ID: "id-1", Name: "n2"}, PublicIP: addr("192.0.0.2"), Previous: original.Pair()}
	d, err := Decide(n, clone, Set{Records: []Record{original}}, notAsked)
	if err != nil || d.Verdict != Ask {
		t.Fatalf("%+v, %v", d, err)
	}
	d, err = Decide(n, clone, Set{Records: []Record{alive(original)}}, pending)
	if err != nil || d.Verdict != Create || !strings.Contains(d.Warning, "n1 (id id-1) has the node id of this node, n2 (id id-1), and is alive at 192.0.0.1") {
		t.Fatalf("%+v, %v", d, err)
	}
	checkChoice(t, n, []Pair{original.Pair()}, d.Pair)
	cloned := Record{Lease: clone.Lease(n, d.Pair, Lease{}), Created: 30, Modified: 30}
	for _, self := range []Self{clone, {Node: original.Node, PublicIP: original.IPv4.PublicIP, PublicIPv6: original.IPv6.PublicIP}} {
		for _, records := range [][]Record{{original, cloned}, {cloned, original}} {
			d, err := Decide(n, self, Set{Records: records}, notAsked)
			if err != nil || d.Verdict != TakeOver || d.Record.Node.Name != self.Node.Name || d.Warning != "" {
				t.Errorf("%s: %+v, %v", self.Node.Name, d, err)
			}
		}
	}
}

// Clones share id and name, but start their search at different places.
func TestClonesChooseDifferently(t *testing.T) {
	n := dualStack(t)
	chosen := map[Pair]bool{}
	for i := range 4 {
		self := Self{Node: me.Node, PublicIP: addr(fmt.Sprintf("192.0.2.%d", i/2)), PublicIPv6: addr(fmt.Sprintf("2001:db8::%d", i%2))}
		d, err := Decide(n, self, Set{}, notAsked)
		if err != nil {
			t.Fatal(err)
		}
		chosen[d.Pair] = true
	}
	if len(chosen) != 4 {
		t.Errorf("%d choices of 4 clones", len(chosen))
	}
}

// We have our own lease with an old address. Our new address is that of another lease.
func TestRecycledAddressOfTheOwnerOfALease(t *testing.T) {
	n := dualStack(t)
	own := record(1, pair("10.5.1.0/24", "fd00:5:0:1::/64"))
	own.IPv4.PublicIP, own.IPv6.PublicIP = addr("192.0.0.99"), addr("2001:db8::99")
	holder := marked("a")
	self := me
	self.Previous = holder.Pair() // our own lease has precedence over it
	for _, c := range []struct {
		holder Record
		claim  Claim
		want   Verdict
	}{
		{holder, notAsked, Ask},
		{holder, pending, Ask},
		{alive(holder), pending, Refuse},
		{holder, silent, TakeOver},
	} {
		for _, records := range [][]Record{{own, c.holder}, {c.holder, own}} {
			d, err := Decide(n, self, Set{Records: records}, c.claim)
			if err != nil || d.Verdict != c.want {
				t.Fatalf("%+v, %v; want verdict %d", d, err, c.want)
			}
			if d.Verdict == TakeOver && (d.Record != own || !strings.Contains(d.Warning, "did not answer: it is left alone")) {
				t.Errorf("%+v", d)
			}
		}
	}
}

// A node with a lease ignores other nodes with its name or id.
func TestOwnLeaseBesideClonesIsTakenWithoutAQuestion(t *testing.T) {
	n := dualStack(t)
	own := record(1, pair("10.5.1.0/24", "fd00:5:0:1::/64"))
	for _, marks := range []string{"i", "n", ""} {
		for _, claim := range []Claim{notAsked, pending, silent} {
			for _, other := range []Record{marked(marks), alive(marked(marks))} {
				d, err := Decide(n, me, Set{Records: []Record{other, own}}, claim)
				if err != nil || d != (Decision{Verdict: TakeOver, Record: own}) {
					t.Errorf("%q: %+v, %v", marks, d, err)
				}
			}
		}
	}
}

func TestOneLiveHolderOfOurAddressIsEnoughToRefuse(t *testing.T) {
	n := dualStack(t)
	unanswered, answered := marked("n"), alive(marked("a"))
	answered.IPv4.Subnet = prefix("10.5.8.0/24")
	for _, records := range [][]Record{{unanswered, answered}, {answered, unanswered}} {
		d, err := Decide(n, me, Set{Records: records}, pending)
		if err != nil || d.Verdict != Refuse {
			t.Errorf("%+v, %v", d, err)
		}
	}
}

func TestEveryAnswerIsAwaited(t *testing.T) {
	n := dualStack(t)
	unanswered, answered := marked("n"), alive(marked("i"))
	answered.IPv4.Subnet, answered.IPv6.Subnet = prefix("10.5.8.0/24"), prefix("fd00:5:0:8::/64")
	for _, records := range [][]Record{{unanswered, answered}, {answered, unanswered}} {
		if d, err := Decide(n, me, Set{Records: records}, pending); err != nil || d.Verdict != Ask {
			t.Errorf("%+v, %v", d, err)
		}
		d, err := Decide(n, me, Set{Records: records}, silent)
		if err != nil || d.Verdict != Create || !strings.Contains(d.Warning, "is alive at 192.0.0.9: it is left alone") || !strings.Contains(d.Warning, "did not answer: it is left alone") {
			t.Errorf("%+v, %v", d, err)
		}
	}
}

func TestConfigurationChangedSoThatOurLeaseNoLongerFits(t *testing.T) {
	own := record(1, pair("10.5.1.0/24", "fd00:5:0:1::/64"))
	for _, config := range []string{
		`{"Network":"10.6.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`,
		`{"Network":"10.5.0.0/16","SubnetLen":25,"EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`,
		`{"Network":"10.5.0.0/16","SubnetMin":"10.5.2.0","EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`,
		`{"Network":"10.5.0.0/16"}`,
	} {
		n := network(t, config)
		self := me
		self.Previous = own.Pair()
		d, err := Decide(n, self, Set{Records: []Record{own}}, notAsked)
		if err != nil || d.Verdict != Create {
			t.Fatalf("%s: %+v, %v", config, d, err)
		}
		checkChoice(t, n, []Pair{own.Pair()}, d.Pair)
		if want := fmt.Sprintf("lease %s does not fit the network configuration: %s is used instead", own.Pair(), d.Pair); d.Warning != want {
			t.Errorf("warning %q, want %q", d.Warning, want)
		}
		// If both leases exist after a restart, the node uses the one that fits, in any order.
		fresh := Record{Lease: self.Lease(n, d.Pair, own.Lease), Created: 30, Modified: 30}
		for _, records := range [][]Record{{own, fresh}, {fresh, own}} {
			again, err := Decide(n, self, Set{Records: records}, notAsked)
			if err != nil || again != (Decision{Verdict: TakeOver, Record: fresh}) {
				t.Errorf("%s: %+v, %v", config, again, err)
			}
		}
	}
}

// Our lease no longer fits. The lease of a silent holder of our address fits, or does not fit either.
func TestSilentHoldersLeaseIsTakenWhereOurOwnDoesNotFit(t *testing.T) {
	n := dualStack(t)
	own := record(1, pair("10.6.1.0/24", "fd00:5:0:1::/64"))
	own.IPv4.PublicIP, own.IPv6.PublicIP = addr("192.0.0.99"), addr("2001:db8::99")
	holder := marked("a")
	d, err := Decide(n, me, Set{Records: []Record{own, holder}}, silent)
	if err != nil || d.Verdict != TakeOver || d.Record != holder {
		t.Errorf("%+v, %v", d, err)
	}
	misfit := holder
	misfit.IPv4.Subnet = prefix("10.6.9.0/24")
	d, err = Decide(n, me, Set{Records: []Record{own, misfit}}, silent)
	if err != nil || d.Verdict != Create || !strings.HasPrefix(d.Warning, "lease 10.6.1.0/24") || !strings.HasSuffix(d.Warning, "it is left alone") {
		t.Errorf("%+v, %v", d, err)
	}
	// Of two silent holders' leases, the one that fits is used.
	for _, records := range [][]Record{{holder, misfit}, {misfit, holder}} {
		d, err = Decide(n, me, Set{Records: records}, silent)
		if err != nil || d.Verdict != TakeOver || d.Record != holder {
			t.Errorf("%+v, %v", d, err)
		}
	}
}

func TestOfTwoOwnLeasesTheOneHeldLastIsTaken(t *testing.T) {
	n := dualStack(t)
	a, b := record(1, pair("10.5.1.0/24", "fd00:5:0:1::/64")), record(1, pair("10.5.2.0/24", "fd00:5:0:2::/64"))
	for _, records := range [][]Record{{a, b}, {b, a}} {
		for _, previous := range []Record{a, b} {
			self := me
			self.Previous = previous.Pair()
			if d, err := Decide(n, self, Set{Records: records}, notAsked); err != nil || d.Record != previous {
				t.Errorf("%+v, %v", d, err)
			}
		}
		if d, err := Decide(n, me, Set{Records: records}, notAsked); err != nil || d.Record != records[0] {
			t.Errorf("%+v, %v", d, err)
		}
	}
}

func TestPreviousSubnetIsTakenIfFree(t *testing.T) {
	n := dualStack(t)
	previous := pair("10.5.77.0/24", "fd00:5:0:77::/64")
	for name, c := range map[string]struct {
		previous Pair
		set      Set
		taken    bool
	}{
		"free":                 {previous, Set{Records: []Record{stranger()}}, true},
		"leased":               {previous, Set{Records: []Record{record(2, previous)}}, false},
		"its IPv4 half leased": {previous, Set{Records: []Record{record(2, pair("10.5.77.0/24"))}}, false},
		"its IPv6 half leased": {previous, Set{Records: []Record{record(2, pair("10.5.78.0/24", "fd00:5:0:77::/64"))}}, false},
		"overlapped":           {previous, Set{Records: []Record{record(2, pair("10.5.76.0/22"))}}, false},
		"blocked":              {previous, Set{Blocked: []Pair{pair("10.5.77.0/24")}}, false},
		"of another network":   {pair("10.9.77.0/24", "fd00:5:0:77::/64"), Set{}, false},
		"half of it":           {pair("10.5.77.0/24"), Set{}, false},
		"none":                 {Pair{}, Set{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			self := me
			self.Previous = c.previous
			d, err := Decide(n, self, c.set, notAsked)
			if err != nil || d.Verdict != Create || (d.Pair == c.previous) != c.taken || d.Warning != "" {
				t.Fatalf("%+v, %v", d, err)
			}
			checkChoice(t, n, c.set.Taken(), d.Pair)
		})
	}
}

// An operator writes a reservation by hand. It is the lease of the node with its address.
func TestReservationIsItsNodes(t *testing.T) {
	l, err := ParseLease("10.5.9.0-24", []byte(`{"PublicIP":"192.0.0.1"}`))
	if err != nil {
		t.Fatal(err)
	}
	r := Record{Lease: l, Created: 9, Modified: 9}
	d, err := Decide(network(t, `{"Network":"10.5.0.0/16"}`), me, Set{Records: []Record{r}}, notAsked)
	if err != nil || d != (Decision{Verdict: TakeOver, Record: r}) {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestNoSubnetIsLeft(t *testing.T) {
	n := network(t, `{"Network":"10.5.0.0/22"}`)
	d, err := Decide(n, me, Set{Blocked: []Pair{pair("10.5.1.0/24"), pair("10.5.2.0/24"), pair("10.5.3.0/24")}}, notAsked)
	if !errors.Is(err, ErrFull) || d != (Decision{}) {
		t.Errorf("%+v, %v", d, err)
	}
}
