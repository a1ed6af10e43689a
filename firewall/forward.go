package firewall

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/podlane/podlane/firewall/eval"
	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// podlane writes in one foreign chain: FORWARD, of iptables-nft and of iptables-legacy. An accept in its own table cannot
// override a drop of another table.
const (
	filter       = "filter"
	forwardChain = "FORWARD"
	// mark is the comment of podlane's rules in that chain. It identifies them even if iptables-restore wrote them, or an earlier
	// podlaned with another pod network.
	mark = "podlane"
)

// iptables holds what differs between the families.
var iptables = [...]struct {
	family nftables.TableFamily
	legacy string // the program
	names  string // the file with the names of its tables in this thread's network namespace
}{
	subnet.IPv4: {nftables.TableFamilyIPv4, "iptables-legacy", "/proc/thread-self/net/ip_tables_names"},
	subnet.IPv6: {nftables.TableFamilyIPv6, "ip6tables-legacy", "/proc/thread-self/net/ip6_tables_names"},
}

// forwardRules returns the rules that accept packets from and to pods, in iptables-nft's form.
func forwardRules(pods []netip.Prefix) (rules []nft.Rule) {
	for _, p := range pods {
		for _, s := range []side{source, destination} {
			r := newRule(address(s, expr.CmpOpEq, p), counter(), accept())
			r.Comment = mark
			rules = append(rules, r)
		}
	}
	return rules
}

// planForward compares iptables-nft's FORWARD chain with the wanted rules. If the chain would drop the pods' packets, it adds
// rules that are absent or come after the drop. Otherwise other programs decide the position of podlane's rules. It deletes
// podlane's duplicate and unwanted rules. The function is pure.
func planForward(have snapshot, want []nft.Rule, pods []eval.Packet, f subnet.Family) plan {
	var p plan
	table := nft.ID{Family: iptables[f].family, Name: filter}
	c, ok := have.Chain(table, forwardChain)
	if !ok || c.Base.Hook != *nftables.ChainHookForward {
		return p
	}
	rules := have.foreignRules(chainKey{table, forwardChain})
	point := have.insertPoint(c, rules, pods)
	at := "rule " + table.String() + " " + forwardChain + " "
	n := &nftables.Chain{Name: forwardChain, Table: &nftables.Table{Name: filter, Family: table.Family}}
	missing := slices.Clone(want)
	var deletes []nft.Step
	for pos, h := range rules {
		if h.Comment() != mark {
			continue
		}
		i := slices.IndexFunc(missing, func(r nft.Rule) bool { return r.SameButComment(h) })
		if i >= 0 && point.Effective(pos) {
			p.inPlace = append(p.inPlace, at+missing[i].String())
			missing = slices.Delete(missing, i, i+1)
			continue
		}
		op := kernel.Op{Verb: "delete", Kind: "rule", Object: fmt.Sprintf("%shandle %d (comment %s)", at, h.Handle, mark)}
		p.Ops = append(p.Ops, op)
		deletes = append(deletes, nft.Step{Op: op, Add: func(conn *nftables.Conn) error {
			return conn.DelRule(&nftables.Rule{Table: n.Table, Chain: n, Handle: h.Handle})
		}})
	}
	if point.Needed {
		for _, r := range missing {
			op := kernel.Op{Verb: "add", Kind: "rule", Object: at + r.String()}
			p.Ops = append(p.Ops, op)
			p.Steps = append(p.Steps, insertAt(op, point.Index, rules, &nftables.Rule{Table: n.Table, Chain: n, Exprs: r.Exprs, UserData: r.UserData()}))
		}
	}
	p.Steps = append(p.Steps, deletes...) // last: a new rule may be inserted before one of them
	return p
}

// insertAt inserts a rule before the one at an index, or at the end.
func insertAt(op kernel.Op, at int, rules []nft.KernelRule, r *nftables.Rule) nft.Step {
	return nft.Step{Op: op, Add: func(conn *nftables.Conn) error {
		switch {
		case at == 0:
			conn.InsertRule(r)
		case at < len(rules):
			r.Position = rules[at].Handle
			conn.InsertRule(r)
		default:
			conn.AddRule(r)
		}
		return nil
	}}
}
