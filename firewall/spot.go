package firewall

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

// spot is where the accepts for pods belong in a FORWARD chain.
type spot struct {
	needed bool // without them the chain drops pods' packets
	at     int  // before the rule of this index
	final  bool // that rule drops everything: accepts after it come too late
}

// inTime reports whether an accept at an index has an effect.
func (s spot) inTime(at int) bool { return !s.final || at < s.at }

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

// findSpot returns where the accepts belong: directly before the first rule without a condition that ends in a drop, so
// that what its author has put before it holds. If there is none and the policy drops, it is after the last rule that
// drops some of the packets, or at the top. Rules of ours do not count. walk makes a walker for packets.
func findSpot(pods []packet, policyDrops bool, walk func(packet) *walker, ours func(index int) bool) spot {
	s := spot{needed: policyDrops && len(pods) > 0}
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
					s = spot{needed: true, at: i, final: true}
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

// spot returns where the accepts belong in iptables-nft's FORWARD.
func (s snapshot) spot(c heldChain, rules []heldRule, pods []packet) spot {
	at := place{c.family, c.base.hook, c.base.priority}
	walk := func(p packet) *walker {
		return &walker{effects: func(chain string) (all []effect, ok bool) {
			for _, r := range s.in(c.family, c.table, chain) {
				all = append(all, effectOf(r, p, at, unread{}, fmt.Sprintf("rule handle %d", r.handle)))
			}
			return all, s.followed[chainKey{c.family, c.table, chain}]
		}}
	}
	return findSpot(pods, c.base.policy == nftables.ChainPolicyDrop, walk, func(i int) bool { return rules[i].comment() == mark })
}

// spot returns where the accepts belong in iptables-legacy's FORWARD.
func (t legacyTable) spot(pods []packet) spot {
	walk := func(p packet) *walker {
		return &walker{effects: func(chain string) ([]effect, bool) { return t.effects(chain, p, *nftables.ChainHookForward) }}
	}
	return findSpot(pods, t.policies[forwardChain] == "DROP", walk, func(i int) bool { return isMarked(t.rules[forwardChain][i]) })
}

// unread has no sets: iptables has none.
type unread struct{}

var errUnread = errors.New("not read")

func (unread) keyLength(string) (int, error)                { return 0, errUnread }
func (unread) element(string, []byte) ([]byte, bool, error) { return nil, false, errUnread }

// maxFollowed bounds how many chains of iptables-nft are read to find where the accepts belong.
const maxFollowed = 64

// follow reads the rules of a chain, and of those that it leads to without a condition.
func (s socket) follow(shot *snapshot, first chainKey) error {
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
		rules, err := each(s, heldRuleOf, unix.NFT_MSG_GETRULE, k.family, name(unix.NFTA_RULE_TABLE, k.table), name(unix.NFTA_RULE_CHAIN, k.chain))
		if err != nil {
			return err
		}
		shot.followed[k] = true
		shot.rules = append(shot.rules, rules...)
		for _, r := range rules {
			if e := effectOf(r, packet{}, place{family: k.family}, unread{}, ""); e.bare && (e.does == jumpTo || e.does == goAndStay) {
				todo = append(todo, chainKey{k.family, k.table, e.to})
			}
		}
	}
	return nil
}
