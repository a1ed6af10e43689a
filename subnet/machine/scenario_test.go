package machine

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/subnet"
)

// scenario is one row of a table: what happens in a world, and what is in it afterwards.
type scenario struct {
	config  string // of the network; default: twoSubnets
	happens func(w *world)
	want    string // the world's lines
	says    string // part of the last node's conflict, warnings and errors
}

func play(t *testing.T, rows map[string]scenario) {
	t.Helper()
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			config := row.config
			if config == "" {
				config = twoSubnets
			}
			w := newWorld(t, config)
			row.happens(w)
			w.run()
			if diff := cmp.Diff(lines(row.want), lines(w.String())); diff != "" {
				t.Errorf("the world (-want +got):\n%s", diff)
			}
			if row.says == "" {
				return
			}
			last := w.nodes[len(w.nodes)-1]
			said := strings.Join(append(last.State().Warnings, last.step.Conflict, last.errText()), "\n")
			if !strings.Contains(said, row.says) {
				t.Errorf("it reports\n%s\nwant %q in it", said, row.says)
			}
		})
	}
}

// lines returns the lines of a text without the spaces around them.
func lines(text string) (all []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// at returns a change that gives the node an address.
func at(address string) func(*Options) {
	return func(o *Options) { o.Self.PublicIP = netip.MustParseAddr(address) }
}

// move gives a running node another address.
func (n *node) move(address string) {
	s := n.self
	s.PublicIP = netip.MustParseAddr(address)
	n.SetSelf(s)
	n.world.run()
}

// expect checks something that a row's lines do not show.
func (w *world) expect(ok bool, format string, args ...any) {
	w.t.Helper()
	if !ok {
		w.t.Errorf("%s\n%s", fmt.Sprintf(format, args...), w)
	}
}

// previous returns a change that gives the node a former pod subnet.
func (w *world) previous(key string, inUse bool) func(*Options) {
	return func(o *Options) { o.Self.Previous, o.Self.InUse = parsePair(w.t, key), inUse }
}

func TestJoin(t *testing.T) {
	play(t, map[string]scenario{
		"two nodes": {
			happens: func(w *world) { w.start(1, nil); w.run(); w.start(2, nil) },
			want:    "10.5.4.0-24: n1 \n 10.5.5.0-24: n2 \n n1 holds 10.5.4.0-24 \n n2 holds 10.5.5.0-24",
		},
		"a restarted node keeps its lease": {
			happens: func(w *world) {
				n := w.start(1, nil)
				w.run()
				before := w.keys[Leases+"10.5.4.0-24"]
				n.stopped = true
				w.start(1, nil)
				w.run()
				w.expect(w.keys[Leases+"10.5.4.0-24"].TTLID == before.TTLID, "another time to live")
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"the previous pod subnet is free": {
			config:  ipv4Config,
			happens: func(w *world) { w.start(1, w.previous("10.5.99.0-24", false)) },
			want:    "10.5.99.0-24: n1 \n n1 holds 10.5.99.0-24",
		},
		"the network is full": {
			config:  oneSubnet,
			happens: func(w *world) { w.start(1, nil); w.run(); w.start(2, nil) },
			want: `10.5.4.0-24: n1
				n1 holds 10.5.4.0-24
				n2 has nothing, error: choose from 10.5.4.0 to 10.5.4.0: every pod subnet is taken by 1 lease: 10.5.4.0-24; if a node is gone, delete its key with 'etcdctl del /podlane/network/subnets/KEY'; else widen the range with 'podlaned config set'`,
		},
		"the network is full of junk": {
			config: `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.6.0"}`,
			happens: func(w *world) {
				w.lease(self(7), "10.5.4.0-24")
				w.put(Leases+"10.5.5.0-24", "x")
				w.put(Leases+"10.5.6.0-24", "{}")
				w.put(Leases+"10.0.0.0-8", "x")
				w.start(1, nil)
			},
			want: `10.0.0.0-8: not a lease, reserved
				10.5.4.0-24: n7
				10.5.5.0-24: not a lease, reserved
				10.5.6.0-24: not a lease, reserved
				n1 has nothing, error: choose from 10.5.4.0 to 10.5.6.0: every pod subnet is taken by 1 lease: 10.5.4.0-24; 2 keys that are not leases: 10.5.5.0-24, 10.5.6.0-24; if a node is gone, delete its key with 'etcdctl del /podlane/network/subnets/KEY'; else widen the range with 'podlaned config set'`,
		},
		"a lease would be of no use": {
			happens: func(w *world) {
				w.start(1, func(o *Options) {
					o.Check = func(n subnet.Network) error {
						w.expect(n == parseNetwork(t, twoSubnets), "asked about %v", n)
						return fmt.Errorf("the MTU is too small")
					}
				})
			},
			want: "n1 has nothing, error: the MTU is too small",
		},
		"without an address": {
			happens: func(w *world) { w.start(1, func(o *Options) { o.Self.PublicIP = netip.Addr{} }) },
			want:    "n1 has nothing, error: this node's own lease would not be valid: PublicIP is zero or missing",
		},
		"without a configuration": {
			happens: func(w *world) { w.delete(ConfigName); w.start(1, nil) },
			want:    "n1 has nothing, error: there is no network configuration in etcd: write one with 'podlaned config set'",
		},
		"with an invalid configuration": {
			happens: func(w *world) { w.put(ConfigName, `{"Network":"10.5.0.0/31"}`); w.start(1, nil) },
			want:    "n1 has nothing, error: the network configuration in etcd is not valid: network configuration: Network 10.5.0.0/31 is too small: /28 at the most",
		},
		"a reservation without a node name": {
			config:  ipv4Config,
			happens: func(w *world) { w.put(Leases+"10.5.77.0-24", flannelLease("192.168.0.2")); w.start(1, nil) },
			want:    "10.5.77.0-24: n1, reserved \n n1 holds 10.5.77.0-24",
		},
		"a reservation keeps its MAC": {
			config: ipv4Config,
			happens: func(w *world) {
				w.put(Leases+"10.5.77.0-24", flannelLease("192.168.0.2"))
				n := w.start(1, nil)
				w.run()
				own := n.held()
				w.expect(own.Expiry.IsZero(), "it expires at %v", own.Expiry)
				w.expect(own.Own.IPv4.MAC.String() == "02:00:00:00:00:77", "MAC %v", own.Own.IPv4.MAC)
			},
			want: "10.5.77.0-24: n1, reserved \n n1 holds 10.5.77.0-24",
		},
		"an outdated lease is rewritten with its MAC": {
			config: ipv4Config,
			happens: func(w *world) {
				w.put(Leases+"10.5.9.0-24", `{"PublicIP":"192.168.0.200","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:09","NodeID":"id-1","Node":"n1","Version":"v0"}}`)
				n := w.start(1, nil)
				w.advance(time.Minute) // another address: its holder is asked
				own := n.held().Own
				w.expect(own.IPv4.MAC.String() == "02:00:00:00:00:09", "MAC %v", own.IPv4.MAC)
				w.expect(own.Node.Version == "v1" && own.PublicIP() == self(1).PublicIP, "own %+v", own)
			},
			want: "10.5.9.0-24: n1, reserved \n n1 holds 10.5.9.0-24",
		},
		"the pod subnet of our pods belongs to another node": {
			happens: func(w *world) {
				w.start(2, w.previous("10.5.4.0-24", false))
				w.run()
				w.start(1, w.previous("10.5.4.0-24", true))
			},
			want: "10.5.4.0-24: n2 \n n2 holds 10.5.4.0-24 \n n1 keeps 10.5.4.0-24, conflict",
			says: "clashes with the lease 10.5.4.0/24 of node n2 (id id-2)",
		},
		"the same without pods": {
			happens: func(w *world) {
				w.start(2, w.previous("10.5.4.0-24", false))
				w.run()
				w.start(1, w.previous("10.5.4.0-24", false))
			},
			want: "10.5.4.0-24: n2 \n 10.5.5.0-24: n1 \n n2 holds 10.5.4.0-24 \n n1 holds 10.5.5.0-24",
		},
		"our pods use another pod subnet than our lease": {
			happens: func(w *world) { w.lease(self(1), "10.5.5.0-24"); w.start(1, w.previous("10.5.4.0-24", true)) },
			want:    "10.5.4.0-24: n1 \n 10.5.5.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
	})
}

// Which holders of leases with its marks does a joining node ask, and what does the answer decide?
func TestClaims(t *testing.T) {
	play(t, map[string]scenario{
		"the address of a live node": {
			happens: func(w *world) { w.start(1, nil); w.run(); w.start(2, at("192.168.0.2")); w.advance(time.Second) },
			want: `claims/id-2
				10.5.4.0-24: n1
				n1 holds 10.5.4.0-24
				n2 has nothing, conflict, error: refused: public address 192.168.0.2 is held by live node n1 (id id-1): this node, n2 (id id-2), cannot use it too; give it another with --public-ip or --iface`,
		},
		"the address of a live node that ends later": {
			happens: func(w *world) {
				first := w.start(1, nil)
				w.run()
				w.start(2, at("192.168.0.2"))
				w.advance(time.Second)
				first.stopped = true
				w.advance(answerTime + askAgain + answerTime)
			},
			want: "10.5.4.0-24: n2 \n n2 holds 10.5.4.0-24",
			says: "it is taken over",
		},
		"the address of a gone node": {
			happens: func(w *world) { w.lease(self(1), "10.5.5.0-24"); w.start(2, at("192.168.0.2")); w.advance(answerTime) },
			want:    "10.5.5.0-24: n2 \n n2 holds 10.5.5.0-24",
			says:    "lease 10.5.5.0/24 of node n1 (id id-1) has the public address of this node, n2 (id id-2), and did not answer: it is taken over",
		},
		"before the time for the answer is over": {
			happens: func(w *world) {
				w.lease(self(1), "10.5.5.0-24")
				w.start(2, at("192.168.0.2"))
				w.advance(answerTime - 1)
			},
			want: "claims/id-2 \n 10.5.5.0-24: n1 \n n2 has nothing",
		},
		"the node id of a live node: a clone": {
			happens: func(w *world) {
				w.start(1, nil)
				w.run()
				w.start(2, func(o *Options) { o.Self.Node.ID = "id-1" })
				w.advance(time.Second)
			},
			want: "10.5.4.0-24: n1 \n 10.5.5.0-24: n2 \n n1 holds 10.5.4.0-24 \n n2 holds 10.5.5.0-24",
			says: "lease 10.5.4.0/24 of node n1 (id id-1) has the node id of this node, n2 (id id-1), and is alive",
		},
		"two nodes with the address of a gone node": {
			happens: func(w *world) {
				w.lease(self(1), "10.5.5.0-24")
				w.start(2, at("192.168.0.2"))
				w.start(3, at("192.168.0.2"))
				w.advance(answerTime + askAgain)
			},
			want: `claims/id-3
				10.5.5.0-24: n2
				n2 holds 10.5.5.0-24
				n3 has nothing, conflict, error: refused: public address 192.168.0.2 is held by live node n2 (id id-2): this node, n3 (id id-3), cannot use it too; give it another with --public-ip or --iface`,
		},
		"several gone nodes had the address": {
			config: ipv4Config,
			happens: func(w *world) {
				for i, key := range []string{"10.5.50.0-24", "10.9.60.0-24", "10.5.60.0-24"} {
					gone := self(i + 10)
					gone.PublicIP = self(1).PublicIP
					w.lease(gone, key)
				}
				n := w.start(1, nil)
				w.advance(answerTime)
				w.expect(len(n.State().Warnings) == 1 && strings.Contains(n.State().Warnings[0], "n12"), "warnings %q", n.State().Warnings)
			},
			want: "10.5.50.0-24: n1 \n 10.5.60.0-24: n12 \n 10.9.60.0-24: n11 \n n1 holds 10.5.50.0-24",
			says: "lease 10.5.50.0/24 of node n10",
		},
		"the address changes while its holder is asked": {
			happens: func(w *world) {
				w.start(1, nil)
				w.run()
				w.lease(self(9), "10.5.5.0-24")
				n := w.start(2, at(self(9).PublicIP.String()))
				w.advance(answerTime - time.Second)
				n.move(self(1).PublicIP.String())
				w.advance(2 * time.Second)
			},
			want: `claims/id-2
				10.5.4.0-24: n1
				10.5.5.0-24: n9
				n1 holds 10.5.4.0-24
				n2 has nothing, conflict, error: refused: public address 192.168.0.2 is held by live node n1 (id id-1): this node, n2 (id id-2), cannot use it too; give it another with --public-ip or --iface`,
		},
		"unreadable claims get no answer": {
			happens: func(w *world) {
				w.start(1, nil)
				w.run()
				before := w.keys[Leases+"10.5.4.0-24"].Modified
				for _, value := range []string{"", "{", `{"PublicIP":"x"}`, `[]`, strings.Repeat("x", 5000), `{"NodeID":"other"}`} {
					w.put(claims+"x", value)
					w.run()
				}
				w.delete(claims + "x")
				w.expect(w.keys[Leases+"10.5.4.0-24"].Modified == before, "an answer")
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
	})
}

// How does a node hold its lease against what happens to its key?
func TestHold(t *testing.T) {
	own := Leases + "10.5.4.0-24"
	play(t, map[string]scenario{
		"the own key is deleted": {
			happens: func(w *world) { w.start(1, nil); w.run(); w.delete(own); w.run(); w.delete(own) },
			want:    "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"the own key is overwritten with garbage": {
			happens: func(w *world) { w.start(1, nil); w.run(); w.put(own, "garbage") },
			want:    "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"its time to live ends": {
			happens: func(w *world) {
				n := w.start(1, nil)
				w.run()
				before := n.ttl.ID
				w.revoke(before)
				w.run()
				w.expect(n.ttl.ID != before && w.keys[own].TTLID == n.ttl.ID, "time to live %d, before %d", n.ttl.ID, before)
				w.expect(n.State().Expiry.Equal(w.now.Add(leaseTime)), "it expires in %v", n.State().Expiry.Sub(w.now))
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"its key gets another time to live": {
			happens: func(w *world) {
				n := w.start(1, nil)
				w.run()
				w.commit(Txn{Put: []KV{{Name: own, Value: n.State().Own.Value()}}}, w.grant(time.Minute).ID)
				w.run()
				w.expect(w.keys[own].TTLID == n.ttl.ID, "time to live %d, want %d", w.keys[own].TTLID, n.ttl.ID)
				w.advance(time.Hour)
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"renewed for days without a write": {
			happens: func(w *world) {
				n := w.start(1, nil)
				w.run()
				before := w.keys[own].Modified
				w.advance(5 * leaseTime)
				w.expect(w.keys[own].Modified == before, "the key was written again")
				w.expect(n.State().Expiry.After(w.now.Add(leaseTime/3)), "it expires in %v", n.State().Expiry.Sub(w.now))
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"an operator makes a reservation": {
			happens: func(w *world) {
				n := w.start(1, nil)
				w.run()
				w.put(own, string(n.State().Own.Value()))
				w.run()
				w.expect(n.State().Expiry.IsZero(), "it expires")
				w.delete(own)
			},
			want: "10.5.4.0-24: n1, reserved \n n1 holds 10.5.4.0-24",
		},
		"another node overwrites the own key": {
			happens: func(w *world) { w.start(1, nil); w.run(); w.lease(self(2), "10.5.4.0-24") },
			want:    "10.5.4.0-24: n2 \n n1 keeps 10.5.4.0-24, conflict",
			says:    "this node's pod subnet 10.5.4.0/24 clashes with the lease 10.5.4.0/24 of node n2 (id id-2) at 192.168.0.3",
		},
		"another node overwrites the own key, and deletes it": {
			happens: func(w *world) {
				n := w.start(1, nil)
				w.run()
				w.lease(self(2), "10.5.4.0-24")
				w.run()
				w.delete(own)
				w.run()
				w.expect(!n.State().Expiry.IsZero(), "it does not expire")
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"a clone with another address overwrites the own key": {
			happens: func(w *world) {
				w.start(1, nil)
				w.run()
				clone := self(1)
				clone.PublicIP = self(7).PublicIP
				w.lease(clone, "10.5.4.0-24")
			},
			want: "10.5.4.0-24: n1 \n n1 keeps 10.5.4.0-24, conflict",
		},
		"the own key is deleted and a half of it taken": {
			config: oneDual,
			happens: func(w *world) {
				w.start(1, nil)
				w.run()
				half := leaseOf(w.t, self(2), "10.5.4.0-24")
				w.commit(Txn{Put: []KV{{Name: Leases + "10.5.4.0-24", Value: half.Value()}}, Delete: []string{Leases + "10.5.4.0-24&fd00:5:0:4::-64"}}, 0)
			},
			want: "10.5.4.0-24: n2, reserved \n n1 keeps 10.5.4.0-24&fd00:5:0:4::-64, conflict",
		},
		"the own key is deleted and a half of it taken for a time": {
			config: oneDual,
			happens: func(w *world) {
				w.start(1, nil)
				w.run()
				half := leaseOf(w.t, self(2), "10.5.4.0-24")
				w.commit(Txn{Put: []KV{{Name: Leases + "10.5.4.0-24", Value: half.Value()}}, Delete: []string{Leases + "10.5.4.0-24&fd00:5:0:4::-64"}}, 0)
				w.run()
				w.delete(Leases + "10.5.4.0-24")
			},
			want: "10.5.4.0-24&fd00:5:0:4::-64: n1 \n n1 holds 10.5.4.0-24&fd00:5:0:4::-64",
		},
		"a younger key overlaps the own one": {
			config:  oneDual,
			happens: func(w *world) { w.start(1, nil); w.run(); w.lease(self(2), "10.5.4.0-24") },
			want:    "10.5.4.0-24: n2 \n 10.5.4.0-24&fd00:5:0:4::-64: n1 \n n1 holds 10.5.4.0-24&fd00:5:0:4::-64",
		},
		"an older key overlaps a reservation": {
			config: oneDual,
			happens: func(w *world) {
				w.lease(self(2), "10.5.4.0-24")
				w.put(Leases+"10.5.4.0-24&fd00:5:0:4::-64", string(leaseOf(w.t, self(1), "10.5.4.0-24&fd00:5:0:4::-64").Value()))
				w.start(1, w.previous("10.5.4.0-24&fd00:5:0:4::-64", true))
			},
			want: "10.5.4.0-24: n2 \n 10.5.4.0-24&fd00:5:0:4::-64: n1, reserved \n n1 keeps 10.5.4.0-24&fd00:5:0:4::-64, conflict",
		},
		"the answer to a write is lost": {
			happens: func(w *world) {
				n := w.start(1, nil)
				lost := false
				n.lose = func(st Step) bool { first := !lost && st.OwnKey(); lost = lost || first; return first }
				n.work()
				w.expect(lost && !n.Established(), "no answer was lost")
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"the address changes": {
			happens: func(w *world) {
				n := w.start(1, nil)
				w.run()
				before := n.held().Own
				n.move("192.168.77.7")
				after := n.held().Own
				w.expect(after.IPv4.MAC == before.IPv4.MAC && after.PublicIP().String() == "192.168.77.7", "own %+v, before %+v", after, before)
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"the address changes and the answer to that write is lost": {
			happens: func(w *world) {
				n := w.start(1, nil)
				w.run()
				lost := false
				n.lose = func(st Step) bool { first := !lost && st.OwnKey(); lost = lost || first; return first }
				n.move("192.168.77.7")
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"a peer is added, changed and deleted": {
			happens: func(w *world) {
				n := w.start(1, nil)
				for _, i := range []int{2, 3} {
					w.run()
					w.lease(self(i), "10.5.5.0-24")
					w.run()
					r, _ := n.State().Set.Find(parsePair(w.t, "10.5.5.0-24"))
					w.expect(r.Lease == leaseOf(w.t, self(i), "10.5.5.0-24"), "the peer is %v", r)
				}
				w.delete(Leases + "10.5.5.0-24")
				w.run()
				w.expect(len(n.State().Set.Records) == 1, "set %v", n.State().Set.Records)
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
	})
}
