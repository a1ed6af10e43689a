package firewall

import (
	"slices"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/nft"
)

// snapshot is the part of the kernel's nftables that this package uses, at one generation.
type snapshot struct {
	generation uint32
	nft.Overview
	own      nft.Installed
	foreign  []nft.KernelRule  // of iptables-nft's FORWARD chains, and of chains that these jump to without a condition
	followed map[chainKey]bool // the chains whose rules are in foreign
}

// knownSets holds the sets of podlane's table, as they were at one generation of the rule set. While the generation is the same,
// read does not read their elements again. With many peers, these are most of what it reads.
type knownSets struct {
	generation uint32
	sets       []nft.KernelSet
}

// at returns the sets if they are known at a generation; nil if not.
func (k knownSets) at(generation uint32) []nft.KernelSet {
	if generation != k.generation {
		return nil
	}
	return k.sets
}

// read reads a snapshot. It takes the elements of known sets from the argument.
func read(known knownSets) (s snapshot, err error) {
	c, err := nft.Dial()
	if err != nil {
		return snapshot{}, err
	}
	defer c.Close()
	generation, err := c.Consistent(func(generation uint32) (err error) {
		s, err = readAll(c, known.at(generation))
		return err
	})
	s.generation = generation
	return s, err
}

func readAll(c *nft.Conn, known []nft.KernelSet) (s snapshot, err error) {
	if s.Overview, err = c.Overview(); err != nil {
		return s, err
	}
	if s.own, err = c.Content(s.Overview, ownID, known); err != nil {
		return s, err
	}
	for _, i := range iptables {
		if err := follow(c, &s, chainKey{nft.ID{Family: i.family, Name: filter}, forwardChain}); err != nil {
			return s, err
		}
	}
	return s, nil
}

// foreignRules returns the rules of a chain of iptables-nft, in order.
func (s snapshot) foreignRules(k chainKey) (rules []nft.KernelRule) {
	for _, r := range s.foreign {
		if r.Table == k.table && r.Chain == k.chain {
			rules = append(rules, r)
		}
	}
	return rules
}

// setsAfter returns the sets that are known after own transactions with these ops. They are those of the snapshot if only rules
// changed. Each transaction raises the generation by one. If another program also writes, the generation is higher, so the sets
// are read again. The kernel skips generation 0: then they are read again, too.
func (s snapshot) setsAfter(ops []kernel.Op, transactions uint32) knownSets {
	if slices.ContainsFunc(ops, func(op kernel.Op) bool { return op.Kind != "rule" }) {
		return knownSets{} // the transactions changed more than rules
	}
	return knownSets{s.generation + transactions, s.own.Sets}
}
