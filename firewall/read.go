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

// knownSets holds the sets of podlane's table at one generation. At the same generation they need not be read again: with many
// peers, their elements are most of what is read.
type knownSets struct {
	generation uint32
	sets       []nft.KernelSet
}

// at returns the sets if a generation is theirs.
func (k knownSets) at(generation uint32) []nft.KernelSet {
	if generation != k.generation {
		return nil
	}
	return k.sets
}

// read reads a snapshot.
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

// setsAfter returns the sets after own transactions. Each raises the generation by one, except that 0 is skipped: then the sets are
// read again. If another program writes in between, they are read again, too.
func (s snapshot) setsAfter(ops []kernel.Op, transactions uint32) knownSets {
	if slices.ContainsFunc(ops, func(op kernel.Op) bool { return op.Kind != "rule" }) {
		return knownSets{} // the transactions changed more than rules
	}
	return knownSets{s.generation + transactions, s.own.Sets}
}
