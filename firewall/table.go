package firewall

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
)

// Name is the name of the node's own nftables table, of family inet.
const Name = "podlane"

// table is the content the node's own table is to have.
type table struct {
	chains []chain
	sets   []set
}

// chain is a chain with its rules in order.
type chain struct {
	name  string
	base  base
	rules []rule
}

// base is where a chain is hooked in; the zero base is that of a chain that only other chains lead to.
type base struct {
	kind     nftables.ChainType
	hook     nftables.ChainHook
	priority nftables.ChainPriority
	policy   nftables.ChainPolicy
}

// rule is what the kernel is given, and the text nft prints for it.
type rule struct {
	text    string
	exprs   []expr.Any
	comment string
}

// set is a set of addresses of one family, or of interfaces' names. Its elements enter and leave singly, without a rewrite
// of the rest. Packets add the elements of a dynamic set, and each is removed after a time.
type set struct {
	name     string
	datatype nftables.SetDatatype
	elements []element
	dynamic  bool
}

// Where the chains that drop are hooked in: before the filters of others, and before all that has the priority raw.
// The kernel reassembles fragments before either.
var (
	beforeFilters = nftables.ChainPriorityRef(*nftables.ChainPriorityFilter - 10)
	beforeRaw     = nftables.ChainPriorityRef(*nftables.ChainPriorityRaw - 10)
)

// filterChain makes a base chain that lets pass what no rule of it drops.
func filterChain(name string, hook *nftables.ChainHook, priority *nftables.ChainPriority, rules ...rule) chain {
	return chain{name: name, rules: rules, base: base{
		kind: nftables.ChainTypeFilter, hook: *hook, priority: *priority, policy: nftables.ChainPolicyAccept,
	}}
}

func (r rule) String() string {
	if r.comment != "" {
		return fmt.Sprintf("%s comment %q", r.text, r.comment)
	}
	return r.text
}

// userdata is the comment as nft and iptables-nft write and print it: the kernel keeps it and does not look into it.
func (r rule) userdata() []byte {
	if r.comment == "" {
		return nil
	}
	return userdata.AppendString(nil, userdata.TypeComment, r.comment)
}

func (c chain) String() string {
	if c.base == (base{}) {
		return "chain " + family(nftables.TableFamilyINet) + " " + Name + " " + c.name
	}
	return fmt.Sprintf("chain inet %s %s { type %s hook %s priority %d; policy %s; }",
		Name, c.name, c.base.kind, hookName(c.base.hook), c.base.priority, policyName(c.base.policy))
}

// The words nft has for the kernel's numbers.

func family(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyINet:
		return "inet"
	case nftables.TableFamilyIPv4:
		return "ip"
	case nftables.TableFamilyIPv6:
		return "ip6"
	case nftables.TableFamilyBridge:
		return "bridge"
	case nftables.TableFamilyNetdev:
		return "netdev"
	default:
		return fmt.Sprintf("family-%d", f)
	}
}

func hookName(h nftables.ChainHook) string {
	names := [...]string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}
	if int(h) < len(names) {
		return names[h]
	}
	return fmt.Sprintf("hook-%d", h)
}

func policyName(p nftables.ChainPolicy) string {
	if p == nftables.ChainPolicyDrop {
		return "drop"
	}
	return "accept"
}
