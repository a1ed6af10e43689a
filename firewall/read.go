package firewall

import (
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

// read reads a snapshot.
func read() (s snapshot, err error) {
	c, err := nft.Dial()
	if err != nil {
		return snapshot{}, err
	}
	defer c.Close()
	generation, err := c.Consistent(func() (err error) {
		s, err = readAll(c)
		return err
	})
	s.generation = generation
	return s, err
}

func readAll(c *nft.Conn) (s snapshot, err error) {
	if s.Overview, err = c.Overview(); err != nil {
		return s, err
	}
	if s.own, err = c.Content(s.Overview, ownID); err != nil {
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
