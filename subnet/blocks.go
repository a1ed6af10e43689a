package subnet

import (
	"fmt"
	"net/netip"
	"strings"
)

// This file decides which keys block a pod subnet for other nodes:
//
//   - The key of a possible pod subnet always blocks, even if its value is not a lease. Its owner may soon repair it.
//   - A key of another length, or outside SubnetMin to SubnetMax, does not block if it has no lease. No node can use it.
//   - If such a key has a lease, it blocks. The configuration may have changed since the lease was written. Its node keeps
//     it until podlaned restarts.
//   - A lease outside the pod network, or too large for every SubnetLen, does not block. No peer programs it.

// Blocks returns the halves of a key that other nodes must not use. lease reports whether the key's value is a lease.
func (n Network) Blocks(p Pair, lease bool) Pair {
	var blocking Pair
	for _, f := range Families {
		r, half := n.Range(f), p.Half(f)
		if r.On() && (r.Fits(half) || lease && r.Unusable(half) == "") {
			blocking = blocking.With(f, half)
		}
	}
	return blocking
}

// minSubnets is the smallest number of pod subnets in a pod network, as a number of bits: 2 bits are four pod subnets.
// ParseNetwork refuses fewer.
const minSubnets = 2

// Unusable returns why a prefix cannot be a pod subnet under any SubnetLen of the pod network. It is empty if it can be.
func (r Range) Unusable(p netip.Prefix) string {
	switch {
	case !Contains(r.Prefix, p):
		return fmt.Sprintf("pod subnet %s is outside the pod network %s", p, r.Prefix)
	case p.Bits() < r.Prefix.Bits()+minSubnets:
		return fmt.Sprintf("pod subnet %s is too large for the pod network %s: /%d is the largest", p, r.Prefix, r.Prefix.Bits()+minSubnets)
	}
	return ""
}

// blocking returns the pod subnets that a joining node must not use.
func (s Set) blocking(n Network) []Pair {
	var pairs []Pair
	for _, p := range s.Lost {
		pairs = append(pairs, n.Blocks(p, true))
	}
	for _, p := range s.Blocked {
		pairs = append(pairs, n.Blocks(p, false))
	}
	for _, r := range s.Records {
		pairs = append(pairs, n.Blocks(r.Pair(), true))
	}
	return pairs
}

// group holds the keys of one kind that block pod subnets of the range.
type group struct {
	one, many string // the kind's name, singular and plural
	keys      []string
}

// maxNamed is the maximum number of keys of a group that an error names.
const maxNamed = 3

func (g group) String() string {
	text := fmt.Sprint(len(g.keys), " ", g.many)
	if len(g.keys) == 1 {
		text = "1 " + g.one
	}
	text += ": " + strings.Join(g.keys[:min(len(g.keys), maxNamed)], ", ")
	if len(g.keys) > maxNamed {
		text += ", …"
	}
	return text
}

// blockingKeys returns a text with the keys that block pod subnets: how many of each kind, and the first names.
func (s Set) blockingKeys(n Network) string {
	leases := group{one: "lease", many: "leases"}
	mismatched := group{one: "lease that does not fit the network configuration", many: "leases that do not fit the network configuration"}
	junk := group{one: "key that is not a lease", many: "keys that are not leases"}
	lost := group{one: "lease that etcd has lost and its node may write again", many: "leases that etcd has lost and their nodes may write again"}
	for _, r := range s.Records {
		switch {
		case n.Fits(r.Pair()):
			leases.keys = append(leases.keys, r.Pair().Key())
		case n.Blocks(r.Pair(), true) != Pair{}:
			mismatched.keys = append(mismatched.keys, r.Pair().Key())
		}
	}
	for _, p := range s.Blocked {
		if n.Blocks(p, false) != (Pair{}) {
			junk.keys = append(junk.keys, p.Key())
		}
	}
	for _, p := range s.Lost {
		if n.Blocks(p, true) != (Pair{}) {
			lost.keys = append(lost.keys, p.Key())
		}
	}
	var texts []string
	for _, g := range []group{leases, mismatched, junk, lost} {
		if len(g.keys) > 0 {
			texts = append(texts, g.String())
		}
	}
	return strings.Join(texts, "; ")
}
