package firewall

import (
	"fmt"

	"github.com/podlane/podlane/firewall/eval"
	"github.com/podlane/podlane/nft"
)

// insertPoint returns the position of the accept rules for pods in iptables-nft's FORWARD.
func (s snapshot) insertPoint(c nft.KernelChain, rules []nft.KernelRule, pods []eval.Packet) eval.InsertPoint {
	read := func(chain string) ([]nft.KernelRule, error) {
		k := chainKey{c.Table, chain}
		if !s.followed[k] {
			return nil, fmt.Errorf("the rules of chain %s were not read", chain)
		}
		return s.foreignRules(k), nil
	}
	return eval.BaseChain{KernelChain: c}.InsertPoint(pods, read, func(i int) bool { return rules[i].Comment() == mark })
}

// maxFollowed bounds how many chains of iptables-nft are read to find the position of the accept rules.
const maxFollowed = 64

// follow reads the rules of a chain, and of the chains that it jumps to without a condition.
func follow(c *nft.Conn, s *snapshot, first chainKey) error {
	if s.followed == nil {
		s.followed = map[chainKey]bool{}
	}
	pending := []chainKey{first}
	for len(pending) > 0 && len(s.followed) < maxFollowed {
		k := pending[0]
		pending = pending[1:]
		if s.followed[k] {
			continue
		}
		rules, err := c.Rules(k.table, k.chain)
		if err != nil {
			return err
		}
		s.followed[k] = true
		s.foreign = append(s.foreign, rules...)
		for _, r := range rules {
			if chain, ok := eval.JumpWithoutCondition(r); ok {
				pending = append(pending, chainKey{k.table, chain})
			}
		}
	}
	return nil
}
