package machine

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
)

// A node gets an address that another lease has.
func TestAddressConflict(t *testing.T) {
	const address2 = "192.168.0.3" // of node 2
	play(t, map[string]scenario{
		"a live node has the address": {
			happens: func(w *world) {
				n := w.start(1, nil)
				w.run()
				w.start(2, nil)
				w.run()
				n.move(address2)
				w.advance(3 * (answerTime + askAgain)) // it is asked again meanwhile
				w.nodes = []*node{w.nodes[1], n}
			},
			want: `claims/id-1
				10.5.4.0-24: n1
				10.5.5.0-24: n2
				n2 holds 10.5.5.0-24
				n1 holds 10.5.4.0-24 at its former address, conflict`,
			says: "node n1 now has the address 192.168.0.3, which is a public address of the lease 10.5.5.0/24 of node n2 (id id-2) at 192.168.0.3: " +
				"this node's lease keeps the address 192.168.0.2 until that lease ends",
		},
		"the own key is deleted meanwhile": {
			happens: func(w *world) {
				n := w.start(1, nil)
				w.run()
				w.start(2, nil)
				w.run()
				before := n.State().Own
				n.move(address2)
				w.delete(Leases + "10.5.4.0-24")
				w.advance(time.Second)
				w.expect(string(w.keys[Leases+"10.5.4.0-24"].Value) == string(before.Value()), "the lease is %s", w.keys[Leases+"10.5.4.0-24"].Value)
				w.delete(claims + "id-1")
			},
			want: "10.5.4.0-24: n1 \n 10.5.5.0-24: n2 \n n1 holds 10.5.4.0-24 at its former address, conflict \n n2 holds 10.5.5.0-24",
		},
		"the live node ends and its lease is deleted": {
			happens: func(w *world) {
				n := w.start(1, nil)
				w.run()
				peer := w.start(2, nil)
				w.run()
				n.move(address2)
				peer.stopped = true
				w.delete(Leases + "10.5.5.0-24")
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"a gone node had the address": {
			happens: func(w *world) {
				n := w.start(1, nil)
				w.run()
				w.lease(self(2), "10.5.5.0-24")
				n.move(address2)
				w.expect(strings.Contains(n.step.Conflict, "n2"), "no conflict")
				w.advance(answerTime)
			},
			want: "10.5.4.0-24: n1 \n 10.5.5.0-24: n2 \n n1 holds 10.5.4.0-24",
		},
		"the holder answers once and ends": {
			happens: func(w *world) {
				n := w.start(1, nil)
				w.run()
				peer := w.start(2, nil)
				w.run()
				n.move(address2)
				peer.stopped = true
				w.advance(answerTime + askAgain + answerTime)
			},
			want: "10.5.4.0-24: n1 \n 10.5.5.0-24: n2 \n n1 holds 10.5.4.0-24",
		},
		"flannel has the address": {
			config: ipv4Config,
			happens: func(w *world) {
				w.put(Leases+"10.5.77.0-24", flannelLease(address2))
				n := w.start(1, w.previous("10.5.4.0-24", false))
				w.run()
				n.move(address2)
				w.advance(time.Hour)
			},
			want: "10.5.4.0-24: n1 \n 10.5.77.0-24: flannel, reserved \n n1 holds 10.5.4.0-24 at its former address, conflict",
			says: "an unnamed node (flannel)",
		},
		"flannel had the address": {
			config: ipv4Config,
			happens: func(w *world) {
				w.put(Leases+"10.5.77.0-24", flannelLease(address2))
				n := w.start(1, w.previous("10.5.4.0-24", false))
				w.run()
				n.move(address2)
				w.delete(Leases + "10.5.77.0-24")
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"the node moves back": {
			happens: func(w *world) {
				n := w.start(1, nil)
				w.run()
				w.start(2, nil)
				w.run()
				n.move(address2)
				n.move("192.168.0.2")
				w.advance(4 * answerTime)
			},
			want: "10.5.4.0-24: n1 \n 10.5.5.0-24: n2 \n n1 holds 10.5.4.0-24 \n n2 holds 10.5.5.0-24",
		},
	})
}

// Live nodes exchange their addresses. None waits for the time of an answer.
func TestNodesSwapAddresses(t *testing.T) {
	for name, nodes := range map[string]int{"two swap": 2, "three rotate": 3, "five rotate": 5} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, ipv4Config)
			for i := range nodes {
				w.start(i, nil)
			}
			w.run()
			var before []subnet.Lease
			for i, n := range w.nodes {
				before = append(before, n.held().Own)
				s := n.self
				s.PublicIP = self((i + 1) % nodes).PublicIP
				n.SetSelf(s)
			}
			w.run()
			for i, n := range w.nodes {
				own := n.held().Own
				w.expect(own.Pair() == before[i].Pair(), "%s holds %s, before %s", n.name, own.Pair(), before[i].Pair())
				w.expect(own.PublicIP() == before[(i+1)%nodes].PublicIP(), "%s is at %s", n.name, own.PublicIP())
			}
			w.advance(4 * answerTime)
			w.expect(!strings.Contains(w.String(), claims), "claims are left")
		})
	}
}

func TestHolderThatHasMoved(t *testing.T) {
	const flannelAddress = "192.168.0.99"
	play(t, map[string]scenario{
		"one of two notices its address later": {
			happens: func(w *world) {
				a := w.start(1, nil)
				w.run()
				b := w.start(2, nil)
				w.run()
				a.move("192.168.0.3")
				w.expect(a.step.Conflict != "", "no conflict")
				b.move("192.168.0.2")
				w.advance(4 * answerTime)
			},
			want: "10.5.4.0-24: n1 \n 10.5.5.0-24: n2 \n n1 holds 10.5.4.0-24 \n n2 holds 10.5.5.0-24",
		},
		"the holder waits for a third node": {
			config: ipv4Config,
			happens: func(w *world) {
				w.put(Leases+"10.5.77.0-24", flannelLease(flannelAddress))
				a := w.start(1, w.previous("10.5.4.0-24", false))
				b := w.start(2, w.previous("10.5.5.0-24", false))
				w.run()
				b.move(flannelAddress)
				a.move("192.168.0.3")
				w.run()
				w.expect(a.State().Own.PublicIP().String() == "192.168.0.3", "n1 waits")
				w.advance(4 * answerTime)
			},
			want: `10.5.4.0-24: n1
				10.5.5.0-24: n2
				10.5.77.0-24: flannel, reserved
				n1 holds 10.5.4.0-24
				n2 holds 10.5.5.0-24 at its former address, conflict`,
		},
		"it moves back, and waits": {
			config: ipv4Config,
			happens: func(w *world) {
				w.put(Leases+"10.5.77.0-24", flannelLease(flannelAddress))
				a := w.start(1, w.previous("10.5.4.0-24", false))
				b := w.start(2, w.previous("10.5.5.0-24", false))
				w.run()
				b.move(flannelAddress)
				a.move("192.168.0.3")
				b.move("192.168.0.3")
				w.expect(b.State().Own.PublicIP().String() == "192.168.0.3" && b.State().Held, "it does not hold its lease")
				w.advance(4 * answerTime)
			},
			want: "10.5.4.0-24: n1 \n 10.5.5.0-24: n2 \n 10.5.77.0-24: flannel, reserved \n n1 holds 10.5.4.0-24 \n n2 holds 10.5.5.0-24",
		},
		"a new node has the former address": {
			config: ipv4Config,
			happens: func(w *world) {
				w.put(Leases+"10.5.77.0-24", flannelLease(flannelAddress))
				a := w.start(1, w.previous("10.5.4.0-24", false))
				w.run()
				a.move(flannelAddress)
				w.start(5, func(o *Options) { at("192.168.0.2")(o); w.previous("10.5.5.0-24", false)(o) })
				w.run()
				w.expect(w.nodes[1].State().Held, "the new node waits")
				w.advance(4 * answerTime)
			},
			want: `10.5.4.0-24: n1
				10.5.5.0-24: n5
				10.5.77.0-24: flannel, reserved
				n1 holds 10.5.4.0-24 at its former address, conflict
				n5 holds 10.5.5.0-24`,
		},
		"a silent holder is waited for though others answer": {
			happens: func(w *world) {
				n := w.start(1, nil)
				w.run()
				w.lease(self(2), "10.5.5.0-24")
				clone := self(2)
				clone.PublicIP = self(55).PublicIP
				answer := func(name string, s subnet.Self, lease string) { w.put(claims+name, string(claimValue(s, lease))) }
				answer("moved-early", clone, "10.5.5.0-24") // from before the claim
				n.move("192.168.0.3")
				answer("id-2", clone, "")                 // a claim of the clone
				answer("moved-a", clone, "10.5.4.0-24")   // about another lease
				answer("moved-b", self(2), "10.5.5.0-24") // it still has the address
				answer("moved-c", self(3), "10.5.5.0-24") // of another node
				w.advance(answerTime - 1)
				w.expect(n.State().Own.PublicIP() == self(1).PublicIP, "it does not wait")
				w.advance(1)
				for _, name := range []string{"moved-early", "id-2", "moved-a", "moved-b", "moved-c"} {
					w.delete(claims + name)
				}
			},
			want: "10.5.4.0-24: n1 \n 10.5.5.0-24: n2 \n n1 holds 10.5.4.0-24",
		},
	})
}

// Keys that no node can use. Each covers all pod subnets of ipv4Config.
var unusableKeys = map[string]string{
	"10.0.0.0-8":              "x",
	"10.5.0.0-16":             `{"PublicIP":"192.168.9.9","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:00:99"}}`,
	"10.4.0.0-14&fd00::-8":    `{"PublicIP":"192.168.9.8","PublicIPv6":"2001:db8::98","BackendType":"vxlan"}`,
	"0.0.0.0-0&fd00:5::-48":   "",
	"10.5.0.0-20":             "not a lease",
	"10.5.4.0-22&fd00:5::-63": "neither",
}

func (w *world) putUnusableKeys() {
	for key, value := range unusableKeys {
		w.put(Leases+key, value)
	}
}

func TestUnusableKeysAreIgnored(t *testing.T) {
	for name, config := range map[string]string{"IPv4": ipv4Config, "both families": dualConfig} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, config)
			w.putUnusableKeys()
			a, b := w.start(1, nil), w.start(2, nil)
			w.run()
			before := a.held().Own
			w.delete(Leases + before.Pair().Key()) // they are older than the own key then
			w.run()
			w.expect(a.held().Own == before, "own %v, before %v", a.State().Own, before)
			before = b.held().Own
			again := w.restart(b, 2, true, nil)
			w.run()
			w.expect(again.held().Own == before, "own %v, before %v", again.State().Own, before)
		})
	}
	for name, config := range map[string]string{
		"SubnetLen changes": `{"Network":"10.5.0.0/16","SubnetLen":25}`,
		"SubnetMin changes": `{"Network":"10.5.0.0/16","SubnetMin":"10.5.255.0"}`,
		"Network changes":   `{"Network":"10.6.0.0/16"}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, ipv4Config)
			w.putUnusableKeys()
			n := w.start(1, nil)
			w.run()
			before := n.held().Own
			w.put(ConfigName, config)
			w.run()
			w.expect(n.held().Own == before, "own %v, before %v", n.State().Own, before)
			w.delete(Leases + before.Pair().Key())
			w.run()
			w.expect(n.held().Own == before, "own %v, before %v", n.State().Own, before)
		})
	}
}

func TestKeysThatAreNotLeases(t *testing.T) {
	w := newWorld(t, ipv4Config)
	for key, value := range map[string]string{
		"subnets/x":                        "y",
		"subnets/":                         "y",
		"subnets/10.5.1.0-24/more":         "y",
		"subnets/10.5.1.1-24":              "y",
		"subnets/010.5.1.0-24":             "y",
		"subnets/10.5.2.0-24":              "{",
		"subnets/10.5.3.0-24":              `{"PublicIP":"0.0.0.0","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:00:01"}}`,
		"other":                            "y",
		"a/b/c":                            "y",
		"config/more":                      "y",
		"subnetsx/10.5.4.0-24":             "y",
		Leases + "\xff\xfe\x00-24":         "\x00",
		Leases + strings.Repeat("x", 5000): "y",
	} {
		w.put(key, value)
	}
	n := w.start(1, nil)
	expect := func(what string, junk, skipped int) {
		t.Helper()
		w.run()
		set := n.held().Set
		if set.Junk != junk {
			t.Errorf("%s: %d keys are not leases, want %d", what, set.Junk, junk)
		}
		if len(set.Skipped) != skipped {
			t.Errorf("%s: %d of them are named, want %d", what, len(set.Skipped), skipped)
		}
		for _, skip := range set.Skipped {
			if len(skip.Key) > 200 || skip.Reason == "" {
				t.Errorf("%s: skip %+v", what, skip)
			}
		}
		if len(set.Blocked) != 2 || len(set.Records) != 1 {
			t.Errorf("%s: %d keys block, %d leases; want 2 and 1", what, len(set.Blocked), len(set.Records))
		}
	}
	expect("listed", 9, 9)
	for i := range 150 {
		w.put(Leases+"junk-"+strings.Repeat("j", i), "x")
	}
	expect("watched", 159, subnet.MaxSkips)
	for i := range 150 {
		w.delete(Leases + "junk-" + strings.Repeat("j", i))
	}
	w.put("subnets/x", "written again")
	expect("deleted", 9, 9)
}

func TestConfigurationChanges(t *testing.T) {
	play(t, map[string]scenario{
		"while the node runs": {
			config: ipv4Config,
			happens: func(w *world) {
				n := w.start(1, w.previous("10.5.4.0-24", false))
				w.run()
				w.put(ConfigName, `{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","MTU":1400,"Colour":"red"}}`)
				w.run()
				w.expect(n.State().Network.VXLAN.MTU == 1400, "MTU %d", n.State().Network.VXLAN.MTU)
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
			says: "Colour",
		},
		"to an invalid one": {
			happens: func(w *world) { w.start(1, nil); w.run(); w.put(ConfigName, "{") },
			want:    "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
			says:    "the network configuration in etcd is not valid: network configuration: unexpected end of JSON input; the last valid one stays in use",
		},
		"to another network": {
			happens: func(w *world) { w.start(1, nil); w.run(); w.put(ConfigName, `{"Network":"10.6.0.0/16"}`) },
			want:    "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
			says:    "pod subnet 10.5.4.0/24 is not in the changed network configuration: the node keeps it until podlaned is restarted or reloaded",
		},
		"to another VNI: the lease keeps its own": {
			happens: func(w *world) {
				n := w.start(1, nil)
				w.run()
				before := w.keys[Leases+"10.5.4.0-24"]
				w.put(ConfigName, `{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","VNI":7}}`)
				w.run()
				w.expect(w.keys[Leases+"10.5.4.0-24"].Modified == before.Modified, "the lease was written again")
				w.expect(n.State().Network.VXLAN.VNI == 7, "VNI %d", n.State().Network.VXLAN.VNI)
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"after a lease of flannel": {
			config: ipv4Config,
			happens: func(w *world) {
				w.put(Leases+"10.9.77.0-24", flannelLease("192.168.0.2"))
				w.put(Leases+"10.5.64.0-20", flannelLease("192.168.0.2"))
				n := w.start(1, w.previous("10.5.4.0-24", false))
				w.run()
				w.expect(len(n.verbs) == 1, "it did %v", n.verbs)
			},
			want: "10.5.4.0-24: n1 \n 10.5.64.0-20: flannel, reserved \n 10.9.77.0-24: flannel, reserved \n n1 holds 10.5.4.0-24",
			says: "does not fit the network configuration: 10.5.4.0/24 is used instead",
		},
		"and the node has another name: the former lease's holder is asked": {
			config: ipv4Config,
			happens: func(w *world) {
				renamed := self(1)
				renamed.Node.Name = "before"
				w.lease(renamed, "10.9.60.0-24")
				n := w.start(1, w.previous("10.5.4.0-24", false))
				w.advance(answerTime)
				w.expect(len(n.verbs) == 2 && n.verbs[0] == Ask && n.verbs[1] == Create, "it did %v", n.verbs)
			},
			want: "10.5.4.0-24: n1 \n 10.9.60.0-24: before \n n1 holds 10.5.4.0-24",
		},
	})
}

// The configuration is changed while a node is away, and its lease does not fit any more. The node gets a new one with one
// write. Its former lease stays until it expires.
func TestConfigurationChangesWhileAway(t *testing.T) {
	for name, config := range map[string]string{
		"SubnetLen":     `{"Network":"10.5.0.0/16","SubnetLen":25}`,
		"Network":       `{"Network":"10.6.0.0/16"}`,
		"both families": dualConfig,
		"IPv6 only":     `{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`,
	} {
		for _, inUse := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, ipv4Config)
				first := w.start(1, nil)
				w.run()
				before := first.held().Own
				old := w.keys[Leases+before.Pair().Key()]
				w.put(ConfigName, config)
				n := w.restart(first, 1, inUse, nil)
				w.run()
				s := n.held()
				w.expect(!s.Own.Pair().Overlaps(before.Pair()) && s.Network.Fits(s.Own.Pair()), "own %v, before %v", s.Own, before)
				w.expect(len(s.Warnings) == 1, "warnings %q", s.Warnings)
				w.expect(len(n.verbs) == 1, "it did %v", n.verbs)
				kv := w.keys[Leases+before.Pair().Key()]
				w.expect(kv.Modified == old.Modified && kv.TTLID != w.keys[Leases+s.Own.Pair().Key()].TTLID, "the former lease is %+v", kv)
				again := w.restart(n, 1, inUse, nil)
				w.run()
				w.expect(again.held().Own == s.Own && len(again.verbs) <= 1, "after one more start %v, it did %v", again.State().Own, again.verbs)
				w.advance(leaseTime)
				_, still := w.keys[Leases+before.Pair().Key()]
				w.expect(!still && again.held().Own == s.Own, "after a day")
			})
		}
	}
}

// The store answers reads and refuses writes.
func TestRefusedWrites(t *testing.T) {
	refusal := errors.New("permission denied")
	saved := func(w *world, change func(*Options)) *node {
		first := w.start(1, nil)
		w.run()
		w.lease(self(2), "10.5.5.0-24")
		w.run()
		w.refuse = func(Txn) error { return refusal }
		return w.restart(first, 1, false, change)
	}
	bare := func(o *Options) { o.Saved, o.Self.Previous = nil, subnet.Pair{} }
	moved := func(o *Options) { o.Self.PublicIP = self(77).PublicIP }
	inUse := func(o *Options) { o.Self.InUse = true }
	const adopted = "10.5.4.0-24: n1 \n 10.5.5.0-24: n2 \n n1 holds 10.5.4.0-24"
	play(t, map[string]scenario{
		"a new node cannot join": {
			happens: func(w *world) { w.refuse = func(Txn) error { return refusal }; w.start(1, nil) },
			want:    "n1 has nothing, error: permission denied",
		},
		"a new node joins when writes are accepted": {
			happens: func(w *world) {
				w.refuse = func(Txn) error { return refusal }
				w.start(1, nil)
				w.run()
				w.refuse = nil
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"a node with its state adopts its lease": {
			happens: func(w *world) {
				n := saved(w, func(o *Options) { o.Self.Node.Version = "v2" })
				w.run()
				s := n.State()
				w.expect(len(s.Set.Records) == 2, "set %v", s.Set.Records)
				w.expect(s.Expiry.Equal(w.now.Add(leaseTime)), "it expires in %v", s.Expiry.Sub(w.now))
			},
			want: adopted + ", error: permission denied",
		},
		"a node without its state adopts its lease": {
			happens: func(w *world) { saved(w, func(o *Options) { bare(o); o.Self.Node.Version = "v2" }) },
			want:    adopted + ", error: permission denied",
		},
		"its pods run": {
			happens: func(w *world) { saved(w, func(o *Options) { inUse(o); o.Self.Node.Version = "v2" }) },
			want:    adopted + ", error: permission denied",
		},
		"it has another address": {
			happens: func(w *world) { saved(w, moved) },
			want:    adopted + " at its former address, error: permission denied",
		},
		"writes are accepted again": {
			happens: func(w *world) { saved(w, func(o *Options) { o.Self.Node.Version = "v2" }); w.run(); w.refuse = nil },
			want:    adopted,
		},
		"the lease has expired": {
			happens: func(w *world) {
				n := saved(w, func(o *Options) { o.Self.Node.Version = "v2" })
				w.ttls = map[int64]time.Time{}
				o := n.opts
				o.Saved.Expiry = w.now
				n.Machine = New(o)
			},
			want: "10.5.4.0-24: n1 \n 10.5.5.0-24: n2 \n n1 has nothing, error: permission denied",
		},
		"another node has the key": {
			happens: func(w *world) { saved(w, nil); w.lease(self(9), "10.5.4.0-24"); w.delete(Leases + "10.5.5.0-24") },
			want:    "10.5.4.0-24: n9 \n n1 has nothing, error: permission denied",
		},
		"the address of a running node changes": {
			happens: func(w *world) {
				n := w.start(1, nil)
				w.run()
				w.refuse = func(Txn) error { return refusal }
				n.move("192.168.77.7")
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24 at its former address, error: permission denied",
		},
	})
}
