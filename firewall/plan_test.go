package firewall

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/podlane/podlane/kernel"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

// small is a table with a set of each family, a chain that looks into it, and a chain that only a jump leads to.
func small(addrs ...string) table {
	var r Rules
	for _, a := range addrs {
		r.Peers = append(r.Peers, netip.MustParseAddr(a))
	}
	in := addressIn(source, subnet.IPv4, peers(r, subnet.IPv4))
	return table{
		sets: []set{peers(r, subnet.IPv4), peers(r, subnet.IPv6)},
		chains: []chain{
			filterChain("input", nftables.ChainHookInput, nftables.ChainPriorityFilter, newRule(ofFamily(subnet.IPv4), in, jump("known"))),
			{name: "known", rules: []rule{newRule(counter(), accept())}},
		},
	}
}

func (n *node) bring(want table) []kernel.Op {
	n.Helper()
	ops, err := here(n.ns, func() ([]kernel.Op, error) {
		have, err := read()
		if err != nil {
			return nil, err
		}
		did, err := target{table: want}.apply(n.Context(), have)
		return did.ops, err
	})
	if err != nil {
		n.Fatal(err)
	}
	return ops
}

func TestSetElementsChangeSingly(t *testing.T) {
	n := newNode(t, "node")
	n.bring(small("198.18.0.2", "198.18.0.3", "2001:db8::2"))
	handles := n.sh("nft -a list chain inet podlane input")
	equal(t, "ops", words(n.bring(small("198.18.0.3", "198.18.0.4", "2001:db8::2"))), `add element inet podlane peers4 198.18.0.4
delete element inet podlane peers4 198.18.0.2`)
	equal(t, "chain", n.sh("nft -a list chain inet podlane input"), handles)
	equal(t, "table", n.sh(list), `table inet podlane {
	set peers4 {
		type ipv4_addr
		elements = { 198.18.0.3, 198.18.0.4 }
	}

	set peers6 {
		type ipv6_addr
		elements = { 2001:db8::2 }
	}

	chain input {
		type filter hook input priority filter; policy accept;
		ip saddr @peers4 jump known
	}

	chain known {
		counter accept
	}
}`)
	g := n.generation()
	if ops := n.bring(small("198.18.0.3", "198.18.0.4", "2001:db8::2")); len(ops) > 0 || n.generation() != g {
		t.Errorf("equal, and it wrote:\n%s", words(ops))
	}
}

func TestHandEditedSets(t *testing.T) {
	want := small("198.18.0.2", "2001:db8::2")
	for name, c := range map[string]struct{ edit, ops string }{
		"element added":   {"nft add element inet podlane peers4 '{ 203.0.113.9 }'", "delete element inet podlane peers4 203.0.113.9"},
		"element deleted": {"nft delete element inet podlane peers6 '{ 2001:db8::2 }'", "add element inet podlane peers6 2001:db8::2"},
		"set flushed":     {"nft flush set inet podlane peers4", "add element inet podlane peers4 198.18.0.2"},
		"another type": {"nft delete table inet podlane; nft add table inet podlane; nft add set inet podlane peers4 '{ type ipv6_addr; }'",
			"replace set inet podlane peers4 { type ipv4_addr; }"},
		"another kind": {"nft delete table inet podlane; nft add table inet podlane; nft add set inet podlane peers4 '{ type ipv4_addr; flags interval; elements = { 198.18.0.0/24 }; }'",
			"replace set inet podlane peers4 { type ipv4_addr; }"},
		"a rule that looks elsewhere": {"h=$(nft -a list chain inet podlane input | sed -n 's/.*peers4.*handle //p'); nft replace rule inet podlane input handle $h ip saddr != @peers4 jump known", "add rule inet podlane input ip saddr @peers4 jump known"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "node")
			n.bring(want)
			before := n.sh(list)
			n.sh(c.edit)
			if got := words(n.bring(want)); !strings.Contains(got, c.ops) {
				t.Errorf("ops:\n%s\nwant\n%s", got, c.ops)
			}
			equal(t, "table", n.sh(list), before)
		})
	}
}

func TestTenThousandPeers(t *testing.T) {
	n := newNode(t, "node")
	var all []string
	for i := range 10000 {
		all = append(all, fmt.Sprintf("10.%d.%d.%d", 64+i>>16, i>>8&255, i&255), fmt.Sprintf("2001:db8::%x", i+1))
	}
	n.bring(small(all...))
	if ops := n.bring(small(all[2:]...)); len(ops) != 2 {
		t.Errorf("one peer less: %d ops", len(ops))
	}
	if ops := n.bring(small("198.18.0.2")); len(ops) != 19999 {
		t.Errorf("nearly all peers gone: %d ops", len(ops))
	}
}

func FuzzAnswers(f *testing.F) {
	for _, c := range build(dual.tidy()).chains {
		for _, r := range c.rules {
			for _, e := range r.exprs {
				wire, err := expr.Marshal(byte(nftables.TableFamilyINet), e)
				if err != nil {
					f.Fatal(err)
				}
				f.Add(wire)
			}
		}
	}
	f.Add(rule{comment: mark}.userdata())
	f.Add([]byte{0, 200, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		o := object{attrs: b}
		heldTableOf(o)
		heldChainOf(o)
		heldSetOf(o)
		_ = heldRuleOf(o).comment()
		_ = heldRule{userdata: b, exprs: [][]byte{b}}.comment()
		heldRule{exprs: [][]byte{b}}.counter()
		(&heldSet{}).addElements(b)
		if every(b, func(a attribute) bool { return !a.nested }) && !equalAttributes(b, b) {
			t.Error("it is not equal to itself")
		}
	})
}

func TestTransactionIsAllOrNothing(t *testing.T) {
	n := newNode(t, "node")
	want := small("198.18.0.2")
	err := n.ns.Do(func() error {
		return commit(append(rebuild(snapshot{}, want), func(c *nftables.Conn) error {
			return c.DelRule(&nftables.Rule{Table: ownTable(), Chain: want.chains[0].nft(), Handle: 999})
		}))
	})
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "has just been changed") {
		t.Errorf("error %v", err)
	}
	equal(t, "rule set", n.sh("nft list ruleset"), "")
}
