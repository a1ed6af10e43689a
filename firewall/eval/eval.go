// Package eval decides what the firewall rules of other programs do to packets that podlane needs. It evaluates nftables' base
// chains, iptables-nft's xtables expressions and the output of iptables-legacy.
//
// A Packet describes many packets at once. Only what they have in common is known. The evaluation never guesses: a condition
// that it cannot decide makes the Outcome uncertain. The package does no I/O: a Table reads the rules and the sets.
package eval

import (
	"slices"

	"github.com/google/nftables"

	"github.com/podlane/podlane/nft"
)

// BaseChain is a chain that the kernel calls at a hook.
type BaseChain struct{ nft.KernelChain }

// Table reads one table of another program. Each method reads when the evaluation needs it.
type Table interface {
	// Rules returns the rules of a chain, in order.
	Rules(chain string) ([]nft.KernelRule, error)
	Sets
}

// Sets reads the sets of one table.
type Sets interface {
	// KeyLength returns the length of a set's keys in bytes.
	KeyLength(set string) (int, error)
	// Element looks up a key in a set or a map. data is the map's value, as the kernel returned it.
	Element(set string, key []byte) (data nft.Attrs, found bool, err error)
}

// inetIngress is the hook of an interface in the family inet (NF_INET_INGRESS).
const inetIngress nftables.ChainHook = 5

// ipFamilies holds the families of nftables whose chains see only IPv4, or only IPv6.
var ipFamilies = [...]nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6}

// Sees reports whether the packets reach the chain.
func (c BaseChain) Sees(p Packet) bool {
	switch c.Table.Family {
	case nftables.TableFamilyBridge:
		return p.Traffic == Bridged && slices.Contains(hooks[Bridged], c.Base.Hook)
	case nftables.TableFamilyNetdev:
		return c.hasDeviceOf(p)
	case nftables.TableFamilyINet:
		if c.Base.Hook == inetIngress {
			return c.hasDeviceOf(p)
		}
	case ipFamilies[p.Family]:
	default:
		return false
	}
	return p.Traffic != Bridged && slices.Contains(hooks[p.Traffic], c.Base.Hook)
}

// hook returns the chain's hook in the numbers of inet. In netdev the same numbers mean other hooks. Its egress hook becomes
// postrouting: the evaluation does not distinguish the two.
func (c BaseChain) hook() nftables.ChainHook {
	switch {
	case c.Table.Family != nftables.TableFamilyNetdev:
		return c.Base.Hook
	case c.Base.Hook == *nftables.ChainHookIngress:
		return inetIngress
	}
	return *nftables.ChainHookPostrouting
}

// hasDeviceOf reports whether the chain is attached to the interface on which the packets arrive, or leave.
func (c BaseChain) hasDeviceOf(p Packet) bool {
	at := p.In
	if c.hook() != inetIngress {
		at = p.Out
	}
	return p.Traffic != Bridged && !p.SameNode && at.Name != "" && slices.Contains(c.Devices, at.Name)
}

// Evaluate evaluates the chain for the packets.
func (c BaseChain) Evaluate(p Packet, t Table) Outcome {
	w := c.walker(p, t.Rules, t)
	return w.base(c.Name, c.policyDrops())
}

func (c BaseChain) policyDrops() bool { return c.Base.Policy == nftables.ChainPolicyDrop }

func (c BaseChain) walker(p Packet, rulesOf func(chain string) ([]nft.KernelRule, error), sets Sets) *walker {
	at, withHeaders := hookPoint{c.Table.Family, c.hook(), c.Base.Priority}, newPacket(p)
	return &walker{effects: func(chain string) (all []effect, ok bool) {
		rules, err := rulesOf(chain)
		for _, r := range rules {
			all = append(all, effectOf(r, withHeaders, at, sets))
		}
		return all, err == nil
	}}
}

// JumpWithoutCondition returns the chain that a rule sends every packet to. ok reports whether there is one.
func JumpWithoutCondition(r nft.KernelRule) (chain string, ok bool) {
	e := effectOf(r, packet{}, hookPoint{family: r.Table.Family}, noSets{})
	return e.to, e.unconditional && (e.action == jumpAction || e.action == gotoAction)
}
