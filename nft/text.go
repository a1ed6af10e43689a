package nft

import (
	"fmt"
	"time"

	"github.com/google/nftables"
)

// The texts are the objects of ops, as an operator types them.

func (id ID) text() string { return "table " + id.String() }

// at returns the beginning of an object in the table.
func (id ID) at(kind, name string) string { return kind + " " + id.String() + " " + name }

func (id ID) chainText(c Chain) string {
	text := id.at("chain", c.Name)
	if b := c.Base; b != (Base{}) {
		text += fmt.Sprintf(" { type %s hook %s priority %d; policy %s; }", b.Type, hookName(b.Hook), b.Priority, policyName(b.Policy))
	}
	return text
}

func (id ID) setText(s Set) string {
	if d := s.Dynamic; d != (Dynamic{}) {
		return id.at("set", s.Name) + fmt.Sprintf(" { type %s; size %d; flags dynamic,timeout; timeout %ds; }", s.KeyType.Name, d.Size, d.Timeout/time.Second)
	}
	return id.at("set", s.Name) + " { type " + s.KeyType.Name + "; }"
}

// FamilyName returns the name that nft prints for a family.
func FamilyName(f nftables.TableFamily) string {
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
