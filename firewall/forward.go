package firewall

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/podlane/podlane/kernel"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/podlane/podlane/subnet"
)

// The one foreign chain that is edited, in nftables as iptables-nft keeps it and in iptables-legacy alike: an accept in
// a table of our own cannot override another table's drop.
const (
	filter       = "filter"
	forwardChain = "FORWARD"
	// mark is the comment by which our rules in it are known again, whatever wrote them back: iptables-restore, or an
	// earlier podlaned for another pod network.
	mark = "podlane"
)

// iptables is its two halves.
var iptables = [...]struct {
	family nftables.TableFamily
	legacy string // the program
	names  string // lists the tables that the kernel has for it; of this thread's network namespace
}{
	subnet.IPv4: {nftables.TableFamilyIPv4, "iptables-legacy", "/proc/thread-self/net/ip_tables_names"},
	subnet.IPv6: {nftables.TableFamilyIPv6, "ip6tables-legacy", "/proc/thread-self/net/ip6_tables_names"},
}

// forwardRules accept what comes from pods and what goes to pods, in the form iptables-nft gives its own rules.
func forwardRules(pods []netip.Prefix) (rules []rule) {
	for _, p := range pods {
		for _, s := range []side{source, destination} {
			r := newRule(address(s, expr.CmpOpEq, p), counter(), accept())
			r.comment = mark
			rules = append(rules, r)
		}
	}
	return rules
}

// planForward compares iptables-nft's FORWARD chain of one family with the wanted rules. They are added if the chain would
// drop the pods' packets and they are absent or come too late. Otherwise their position is left to other programs. Our
// duplicate and unwanted rules are deleted. It is a pure function.
func planForward(have snapshot, want []rule, pods []packet, f subnet.Family) plan {
	var p plan
	fam := iptables[f].family
	c, ok := have.chain(fam, filter, forwardChain)
	if !ok || c.base.hook != *nftables.ChainHookForward {
		return p
	}
	rules := have.in(fam, filter, forwardChain)
	point := have.insertPoint(c, rules, pods)
	at := "rule " + family(fam) + " " + filter + " " + forwardChain + " "
	n := &nftables.Chain{Name: forwardChain, Table: &nftables.Table{Name: filter, Family: fam}}
	missing := slices.Clone(want)
	var deletes []step
	for pos, h := range rules {
		if h.comment() != mark {
			continue
		}
		i := slices.IndexFunc(missing, func(r rule) bool { return r.sameButComment(h) })
		if i >= 0 && point.inTime(pos) {
			p.stands = append(p.stands, at+missing[i].String())
			missing = slices.Delete(missing, i, i+1)
			continue
		}
		p.ops = append(p.ops, kernel.Op{Verb: "delete", Kind: "rule", Object: fmt.Sprintf("%shandle %d (comment %s)", at, h.handle, mark)})
		deletes = append(deletes, func(conn *nftables.Conn) error {
			return conn.DelRule(&nftables.Rule{Table: n.Table, Chain: n, Handle: h.handle})
		})
	}
	if point.needed {
		for _, r := range missing {
			p.ops = append(p.ops, kernel.Op{Verb: "add", Kind: "rule", Object: at + r.String()})
			p.steps = append(p.steps, insertAt(point.at, rules, &nftables.Rule{Table: n.Table, Chain: n, Exprs: r.exprs, UserData: r.userdata()}))
		}
	}
	p.steps = append(p.steps, deletes...) // last: another rule may be inserted before one of them
	return p
}

// insertAt inserts a rule before the one at an index of the chain's rules, or at the end.
func insertAt(at int, rules []heldRule, r *nftables.Rule) step {
	return func(conn *nftables.Conn) error {
		switch {
		case at == 0:
			conn.InsertRule(r)
		case at < len(rules):
			r.Position = rules[at].handle
			conn.InsertRule(r)
		default:
			conn.AddRule(r)
		}
		return nil
	}
}

// sameButComment compares a rule with one whose comment may stand elsewhere: iptables-restore writes it as a match.
func (r rule) sameButComment(h heldRule) bool {
	exprs := slices.DeleteFunc(slices.Clone(h.exprs), func(e []byte) bool {
		_, ok := matchComment(e)
		return ok
	})
	return sameExprs(h.family, exprs, r.exprs)
}
