package firewall

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// insertPoint is the position of the accepts for pods in a FORWARD chain.
type insertPoint struct {
	needed bool // without them the chain drops pods' packets
	at     int  // before the rule of this index
	final  bool // that rule drops everything: accepts after it come too late
}

// inTime reports whether an accept at an index has an effect.
func (s insertPoint) inTime(at int) bool { return !s.final || at < s.at }

// forwardedPackets returns the packets that the accepts are for: from the pods of this node to anywhere, and from
// anywhere to them.
func forwardedPackets(r Rules, f subnet.Family) (all []packet) {
	own := r.Subnet.Half(f)
	if !own.IsValid() {
		return nil
	}
	anywhere := netip.PrefixFrom(own.Addr(), 0)
	pods := device{}
	if len(r.PodInterfaces) == 1 {
		pods.name = r.PodInterfaces[0]
	}
	for _, state := range []uint32{stateNew, stateEstablished} {
		p := packet{traffic: podsTraffic, family: f, ethertype: ethertypes[f], state: state}
		from, to := p, p
		from.network, from.in = ipHeader(f, own, anywhere, 0), pods
		to.network, to.out = ipHeader(f, anywhere, own, 0), pods
		all = append(all, from, to)
	}
	return all
}

// findInsertPoint returns the position of the accepts: directly before the first rule without a condition that ends in a
// drop, so that the operator's rules before it still apply. If there is no such rule and the policy drops, they go after
// the last rule that drops some of the packets, or to the top. Our own rules do not count. walk returns a walker for
// packets.
func findInsertPoint(pods []packet, policyDrops bool, walk func(packet) *walker, ours func(index int) bool) insertPoint {
	s := insertPoint{needed: policyDrops && len(pods) > 0}
	after := 0
	for _, p := range pods {
		w := walk(p)
		effects, _ := w.effects(forwardChain)
		w.budget = maxBudget
		for i, e := range effects {
			if ours(i) {
				continue
			}
			o := w.effect(e, 0)
			if e.bare && (o.rest == dropIt || o.rest == returnBack && policyDrops) {
				if !s.final || i < s.at {
					s = insertPoint{needed: true, at: i, final: true}
				}
				break
			}
			if o.by != "" {
				after = max(after, i+1)
			}
			if !o.carryOn {
				break
			}
		}
	}
	if !s.final {
		s.at = after
	}
	return s
}

// insertPoint returns the position of the accepts in iptables-nft's FORWARD.
func (s snapshot) insertPoint(c nft.KernelChain, rules []nft.KernelRule, pods []packet) insertPoint {
	at := place{c.Table.Family, c.Base.Hook, c.Base.Priority}
	walk := func(p packet) *walker {
		return &walker{effects: func(chain string) (all []effect, ok bool) {
			for _, r := range s.foreignRules(chainKey{c.Table, chain}) {
				all = append(all, effectOf(r, p, at, unread{}, fmt.Sprintf("rule handle %d", r.Handle)))
			}
			return all, s.followed[chainKey{c.Table, chain}]
		}}
	}
	return findInsertPoint(pods, c.Base.Policy == nftables.ChainPolicyDrop, walk, func(i int) bool { return rules[i].Comment() == mark })
}

// insertPoint returns the position of the accepts in iptables-legacy's FORWARD.
func (t legacyTable) insertPoint(pods []packet) insertPoint {
	walk := func(p packet) *walker {
		return &walker{effects: func(chain string) ([]effect, bool) { return t.effects(chain, p, *nftables.ChainHookForward) }}
	}
	return findInsertPoint(pods, t.policies[forwardChain] == "DROP", walk, func(i int) bool { return isMarked(t.rules[forwardChain][i]) })
}

// unread is a tableReader without sets: iptables has none.
type unread struct{}

var errUnread = errors.New("not read")

func (unread) keyLength(string) (int, error)                   { return 0, errUnread }
func (unread) element(string, []byte) (nft.Attrs, bool, error) { return nil, false, errUnread }

// maxFollowed bounds how many chains of iptables-nft are read to find the position of the accepts.
const maxFollowed = 64

// follow reads the rules of a chain, and of the chains that it jumps to without a condition.
func follow(c *nft.Conn, shot *snapshot, first chainKey) error {
	if shot.followed == nil {
		shot.followed = map[chainKey]bool{}
	}
	todo := []chainKey{first}
	for len(todo) > 0 && len(shot.followed) < maxFollowed {
		k := todo[0]
		todo = todo[1:]
		if shot.followed[k] {
			continue
		}
		rules, err := c.Rules(k.table, k.chain)
		if err != nil {
			return err
		}
		shot.followed[k] = true
		shot.foreign = append(shot.foreign, rules...)
		for _, r := range rules {
			if e := effectOf(r, packet{}, place{family: k.table.Family}, unread{}, ""); e.bare && (e.does == jumpTo || e.does == gotoChain) {
				todo = append(todo, chainKey{k.table, e.to})
			}
		}
	}
	return nil
}
