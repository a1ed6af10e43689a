package machine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
)

// startTogether starts nodes that all list before any of them writes.
func (w *world) startTogether(nodes int, change func(i int, o *Options)) {
	w.t.Helper()
	for i := range nodes {
		n := w.start(i, func(o *Options) {
			if change != nil {
				change(i, o)
			}
		})
		n.list(false)
	}
}

// expectDistinct checks that all nodes hold pod subnets, that none overlap, and that no other key is left.
func (w *world) expectDistinct() {
	w.t.Helper()
	var pairs []subnet.Pair
	leases := 0
	for name := range w.keys {
		if strings.HasPrefix(name, Leases) {
			leases++
		}
	}
	for _, n := range w.nodes {
		own := n.held().Own.Pair()
		for _, p := range pairs {
			w.expect(!p.Overlaps(own), "%s is handed out twice", own)
		}
		pairs = append(pairs, own)
	}
	w.expect(leases == len(w.nodes), "%d keys for %d nodes", leases, len(w.nodes))
}

// Nodes join at the same time. Each gets pod subnets of its own, and gives back what it cannot keep.
func TestNodesJoinAtTheSameTime(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		nodes  int
	}{
		"two for the last two pod subnets": {twoSubnets, 2},
		"fifty":                            {`{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.67.0"}`, 50},
		"thirty with both families": {`{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.35.0",
			"EnableIPv6":true,"IPv6Network":"fd00:5::/48","IPv6SubnetMin":"fd00:5:0:4::","IPv6SubnetMax":"fd00:5:0:23::"}`, 30},
		"a hundred in a hundred pod subnets": {`{"Network":"10.5.0.0/16","SubnetMin":"10.5.1.0","SubnetMax":"10.5.100.0"}`, 100},
		"a hundred with IPv6 only":           {`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/57"}`, 100},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.config)
			w.startTogether(c.nodes, nil)
			w.run()
			w.expectDistinct()
		})
	}
}

// The configuration is changed while nodes join: the halves overlap, and the keys are never the same.
func TestConfigurationChangesWhileNodesJoin(t *testing.T) {
	w := newWorld(t, `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.44.0"}`)
	w.startTogether(30, nil)
	for _, n := range w.nodes[:15] {
		n.work()
	}
	w.put(ConfigName, `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.44.0","EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`)
	w.run()
	w.expectDistinct()
	for i, n := range w.nodes {
		if both := n.State().Own.IPv6.Subnet.IsValid(); both != (i >= 15) {
			t.Errorf("%s holds %s", n.name, n.State().Own.Pair())
		}
	}
}

func TestJoinRace(t *testing.T) {
	play(t, map[string]scenario{
		"ten nodes with one address: one holds a lease": {
			config: ipv4Config,
			happens: func(w *world) {
				w.startTogether(10, func(_ int, o *Options) { o.Self.PublicIP = self(1).PublicIP })
				w.advance(answerTime / 2)
				holders, refused := 0, 0
				for _, n := range w.nodes {
					if n.State().Held {
						holders++
						w.expect(len(n.State().Warnings) == 0, "%s is warned: %q", n.name, n.State().Warnings)
					} else if strings.Contains(n.errText(), "refused: ") {
						refused++
					}
				}
				w.expect(holders == 1 && refused == 9, "%d holders, %d refused", holders, refused)
				w.expect(strings.Count(w.String(), "-24: ") == 1, "more than one lease")
				w.nodes, w.keys = nil, map[string]KV{}
			},
		},
		"the other node has no address in common": {
			happens: func(w *world) { w.startTogether(2, nil) },
			want:    "10.5.4.0-24: n0 \n 10.5.5.0-24: n1 \n n0 holds 10.5.4.0-24 \n n1 holds 10.5.5.0-24",
		},
		"a pod subnet of our pods is not given back": {
			happens: func(w *world) {
				w.startTogether(2, func(i int, o *Options) {
					if o.Self.PublicIP = self(1).PublicIP; i == 1 {
						o.Self.Previous = parsePair(t, "10.5.4.0-24")
					}
				})
				w.run()
			},
			want: "10.5.4.0-24: n1 \n 10.5.5.0-24: n0 \n n0 holds 10.5.5.0-24 \n n1 holds 10.5.4.0-24",
		},
		"the older lease did not answer": {
			config: ipv4Config,
			happens: func(w *world) {
				w.lease(self(9), "10.9.60.0-24") // outside the network: not taken over
				w.start(1, at(self(9).PublicIP.String()))
				w.advance(answerTime)
			},
			want: "10.5.172.0-24: n1 \n 10.9.60.0-24: n9 \n n1 holds 10.5.172.0-24",
		},
		"another node was faster with the same key": {
			config: oneSubnet,
			happens: func(w *world) {
				n := w.start(1, nil)
				n.before = func(_ *node, st Step) {
					if st.Verb == Create {
						w.lease(self(2), "10.5.4.0-24")
					}
				}
			},
			want: `10.5.4.0-24: n2
				n1 has nothing, error: choose from 10.5.4.0 to 10.5.4.0: every pod subnet is taken by 1 lease: 10.5.4.0-24; if a node is gone, delete its key with 'etcdctl del /podlane/network/subnets/KEY'; else widen the range with 'podlaned config set'`,
		},
		"another node was faster with half of the key": {
			config: `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.5.0",
				"EnableIPv6":true,"IPv6Network":"fd00:5::/48","IPv6SubnetMin":"fd00:5:0:4::","IPv6SubnetMax":"fd00:5:0:4::"}`,
			happens: func(w *world) {
				n, once := w.start(1, nil), false
				n.before = func(_ *node, st Step) {
					if st.Verb == Create && !once {
						once = true
						w.lease(self(2), "10.5.4.0-24")
					}
				}
				w.run()
				w.expect(len(n.verbs) == 3 && n.verbs[1] == GiveBack, "it did %v", n.verbs)
			},
			want: "10.5.4.0-24: n2 \n 10.5.5.0-24&fd00:5:0:4::-64: n1 \n n1 holds 10.5.5.0-24&fd00:5:0:4::-64",
		},
		"another node was faster with half of the key, and the watch is behind": {
			config: `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.5.0",
				"EnableIPv6":true,"IPv6Network":"fd00:5::/48","IPv6SubnetMin":"fd00:5:0:4::","IPv6SubnetMax":"fd00:5:0:4::"}`,
			happens: func(w *world) {
				n, once := w.start(1, nil), false
				n.list(false)
				n.watching, n.behind = true, true
				n.before = func(_ *node, st Step) {
					if st.Verb == Create && !once {
						once = true
						w.lease(self(2), "10.5.4.0-24")
					}
				}
				w.run()
				w.expect(n.Unconfirmed() && !n.Established() && !n.State().Held, "it holds a lease that may not be its own")
				n.behind = false
			},
			want: "10.5.4.0-24: n2 \n 10.5.5.0-24&fd00:5:0:4::-64: n1 \n n1 holds 10.5.5.0-24&fd00:5:0:4::-64",
		},
		"the configuration changes before the write": {
			happens: func(w *world) {
				n, once := w.start(1, nil), false
				n.before = func(*node, Step) {
					if !once {
						once = true
						w.put(ConfigName, oneDual)
					}
				}
			},
			want: "10.5.4.0-24&fd00:5:0:4::-64: n1 \n n1 holds 10.5.4.0-24&fd00:5:0:4::-64",
		},
		"the configuration changes after a write without an answer": {
			happens: func(w *world) {
				n := w.start(1, nil)
				lost := false
				n.lose = func(Step) bool { first := !lost; lost = true; return first }
				n.work()
				first := n.ttl
				w.put(ConfigName, `{"Network":"10.6.0.0/16","SubnetMin":"10.6.4.0","SubnetMax":"10.6.4.0"}`)
				w.run()
				w.expect(n.ttl.ID != first.ID, "the unusable key is renewed with the own one")
				w.advance(2 * leaseTime)
			},
			want: "10.6.4.0-24: n1 \n n1 holds 10.6.4.0-24",
		},
	})
}

// Nodes are started and killed, keys are deleted and expire, answers are lost, and nodes work one at a time in random order. A
// node never begins to hold a pod subnet beside an older key that overlaps it.
func TestRandomOrderNeverMakesTwoOwners(t *testing.T) {
	for name, config := range map[string]string{
		"one key":  `{"Network":"10.5.0.0/25","SubnetLen":28,"EnableIPv6":true,"IPv6Network":"fd00:5::/61"}`,
		"one half": `{"Network":"10.5.0.0/25","SubnetLen":28,"EnableIPv6":true,"IPv6Network":"fd00:5::/59"}`,
	} {
		for seed := range uint64(5) {
			t.Run(fmt.Sprint(name, " ", seed), func(t *testing.T) {
				t.Parallel()
				liveAtRandom(newWorld(t, config), rand.New(rand.NewPCG(seed, 0)))
			})
		}
	}
}

func liveAtRandom(w *world, random *rand.Rand) {
	const nodes = 12
	for i := range nodes {
		w.start(i, nil)
	}
	count := 0
	created := make([]int64, nodes)
	for range 1000 {
		i := random.IntN(nodes)
		n := w.nodes[i]
		switch r := random.IntN(100); {
		case r < 70 && !n.stopped:
			n.lose = func(Step) bool { return random.IntN(10) == 0 }
			n.behind = random.IntN(3) == 0
			n.before = func(n *node, _ Step) { // others work between its decision and its write
				for _, other := range w.nodes {
					if other != n && !other.stopped && random.IntN(4) == 0 {
						other.before = nil
						other.work()
					}
				}
			}
			n.work()
		case r < 75:
			saved, change := n.State().Save(), func(o *Options) { o.Saved = nil }
			if own := n.State().Own; own != (subnet.Lease{}) && random.IntN(2) == 0 {
				inUse := random.IntN(2) == 0
				change = func(o *Options) { o.Saved, o.Self.Previous, o.Self.InUse = &saved, own.Pair(), inUse }
			}
			n.stopped = true
			w.nodes[i] = w.start(i, change)
			w.nodes = w.nodes[:nodes]
		case r < 90:
			names := slices.DeleteFunc(slices.Sorted(maps.Keys(w.keys)), func(name string) bool { return !strings.HasPrefix(name, Leases) })
			if len(names) == 0 {
				continue
			}
			if name := names[random.IntN(len(names))]; random.IntN(2) == 0 {
				w.delete(name)
			} else {
				w.revoke(w.keys[name].TTLID)
			}
		default:
			w.now = w.now.Add(time.Second)
		}
		n = w.nodes[i]
		if s := n.State(); s.Held {
			if r, found := s.Set.Find(s.Own.Pair()); found && r.Created != created[i] {
				created[i] = r.Created
				count++
				w.expectOwner(n, r)
			}
		}
	}
	if count < 100 {
		w.t.Errorf("only %d leases were held", count)
	}
}

// expectOwner checks a node that has just begun to hold a key, against the store at the revision that the node knows.
func (w *world) expectOwner(n *node, own subnet.Record) {
	w.t.Helper()
	for name, kv := range w.history[n.Revision()] {
		key, isLease := strings.CutPrefix(name, Leases)
		if !isLease {
			continue
		}
		if pair := parsePair(w.t, key); pair != own.Pair() && pair.Overlaps(own.Pair()) && kv.Created < own.Created {
			w.t.Errorf("revision %d: %s holds %s beside the older %s", n.Revision(), n.name, own.Pair(), pair)
		}
		if key == own.Pair().Key() {
			if l, err := subnet.ParseLease(key, kv.Value); err != nil || l.Node.ID != n.self.Node.ID {
				w.t.Errorf("revision %d: %s holds %s, whose lease is %v, %v", n.Revision(), n.name, own.Pair(), l, err)
			}
		}
	}
}
