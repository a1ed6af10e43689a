package machine

import (
	"errors"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// peers starts nodes that see each other.
func (w *world) peers(nodes int) (all []*node) {
	w.t.Helper()
	for i := range nodes {
		all = append(all, w.start(i+1, nil))
		w.run()
	}
	for _, n := range all {
		n.held()
	}
	return all
}

// expectPeers checks how many leases each running node sees.
func (w *world) expectPeers(leases int) {
	w.t.Helper()
	for _, n := range w.nodes {
		if s := n.State(); !n.stopped && len(s.Set.Records) != leases {
			w.t.Errorf("%s sees %d leases, want %d\n%s", n.name, len(s.Set.Records), leases, w)
		}
	}
}

func TestDataLoss(t *testing.T) {
	const bothHold = "10.5.4.0-24: n1 \n 10.5.5.0-24: n2 \n n1 holds 10.5.4.0-24 \n n2 holds 10.5.5.0-24"
	play(t, map[string]scenario{
		"an empty store: all is restored": {
			happens: func(w *world) {
				all := w.peers(2)
				w.restore(snapshot{})
				for _, n := range all { // no node loses a peer before the other has written its lease
					n.work()
					w.expectPeers(2)
				}
				w.advance(10 * time.Second)
				w.expectPeers(2)
				w.expect(string(w.keys[ConfigName].Value) == twoSubnets, "configuration %s", w.keys[ConfigName].Value)
				w.expect(all[0].State().Losses > 0, "no loss was seen")
			},
			want: bothHold,
		},
		"an older backup: the second node is not in it": {
			happens: func(w *world) {
				w.peers(1)
				backup := w.snapshot()
				w.start(2, nil)
				w.run()
				w.restore(backup)
				w.nodes[0].work()
				w.expectPeers(2)
			},
			want: bothHold,
		},
		"an older backup that is soon past the seen revision": {
			happens: func(w *world) {
				w.peers(1)
				backup := w.snapshot()
				w.start(2, nil)
				w.run()
				w.restore(backup)
				for range 20 {
					w.put("other", "x")
				}
				w.nodes[0].work()
				w.expectPeers(2)
			},
			want: bothHold,
		},
		"the own key is older than our last write": {
			happens: func(w *world) {
				n := w.peers(1)[0]
				backup := w.snapshot()
				n.move("192.168.77.7")
				w.restore(backup)
				for range 20 {
					w.put("other", "x")
				}
				n.epoch = w.epoch // it is not known to have another history
				n.list(false)
				w.expect(n.State().Losses == 1, "%d losses", n.State().Losses)
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"a list without our key": {
			happens: func(w *world) {
				n := w.peers(2)[0]
				w.nodes[1].stopped = true
				n.next = len(w.events) + 2 // the watch does not bring it
				w.delete(Leases+"10.5.4.0-24", Leases+"10.5.5.0-24")
				n.list(false)
				w.expect(n.State().Losses == 1 && n.State().Retained == 1, "%d losses, %d retained", n.State().Losses, n.State().Retained)
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24, retains 1",
		},
		"a start without our key": {
			happens: func(w *world) {
				first := w.peers(2)[0]
				first.stopped, w.nodes[1].stopped = true, true
				w.delete(Leases+"10.5.4.0-24", Leases+"10.5.5.0-24")
				n := w.restart(first, 1, false, nil)
				w.run()
				w.expect(n.State().Losses == 1, "%d losses", n.State().Losses)
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24, retains 1",
		},
		"a list without our key after its expiry": {
			happens: func(w *world) {
				n := w.peers(1)[0]
				n.next = len(w.events) + 1
				w.delete(Leases + "10.5.4.0-24")
				w.now = w.now.Add(leaseTime)
				n.list(false)
				w.expect(n.State().Losses == 0, "%d losses", n.State().Losses)
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"all leases are deleted by hand": {
			happens: func(w *world) {
				all := w.peers(2)
				w.delete(Leases+"10.5.4.0-24", Leases+"10.5.5.0-24")
				for _, n := range all {
					n.receive()
				}
				w.expectPeers(1) // the other node; the own lease is not written yet
				w.run()
				w.expectPeers(2)
				w.expect(all[0].State().Losses == 1, "%d losses", all[0].State().Losses)
			},
			want: bothHold,
		},
		"only a peer's lease is deleted": {
			happens: func(w *world) {
				w.peers(2)
				w.nodes[1].stopped = true
				w.delete(Leases + "10.5.5.0-24")
				w.run()
				w.expectPeers(1)
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"a peer does not return: until the grace period ends": {
			happens: func(w *world) {
				w.peers(2)
				w.nodes[1].stopped = true
				w.restore(snapshot{})
				w.advance(grace - 1)
				w.expectPeers(2)
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24, retains 1",
		},
		"a peer does not return: after the grace period": {
			happens: func(w *world) {
				w.peers(2)
				w.nodes[1].stopped = true
				w.restore(snapshot{})
				w.advance(grace)
				w.expectPeers(1)
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"a restart within the grace period": {
			happens: func(w *world) {
				first := w.peers(2)[0]
				w.nodes[1].stopped = true
				w.restore(snapshot{})
				w.advance(grace / 2)
				n := w.restart(first, 1, false, nil)
				w.advance(grace - 1)
				w.expect(len(n.State().Save().Leases) == 2, "it saves %v", n.State().Save().Leases)
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24, retains 1",
		},
		"a restart within the grace period, and after it": {
			happens: func(w *world) {
				first := w.peers(2)[0]
				w.nodes[1].stopped = true
				w.restore(snapshot{})
				w.advance(grace / 2)
				w.restart(first, 1, false, nil)
				w.advance(grace)
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"a node starts with its saved state on an empty store": {
			happens: func(w *world) {
				all := w.peers(2)
				before := all[0].State()
				all[1].stopped = true
				w.restore(snapshot{})
				n := w.restart(all[0], 1, true, nil)
				w.advance(10 * time.Second)
				s := n.State()
				w.expect(s.Own == before.Own && s.Retained == 1, "own %v, before %v", s.Own, before.Own)
				w.expect(string(w.keys[ConfigName].Value) == twoSubnets, "configuration %s", w.keys[ConfigName].Value)
				w.start(2, nil)
			},
			want: "10.5.4.0-24: n1 \n 10.5.5.0-24: n2 \n n1 holds 10.5.4.0-24 \n n2 holds 10.5.5.0-24",
		},
		"a node that joins does not get a retained pod subnet": {
			happens: func(w *world) {
				w.start(1, func(o *Options) {
					o.Saved = &store.Saved{Config: []byte(twoSubnets), Revision: 100, Leases: []store.SavedLease{
						{Key: "10.5.4.0-24", Value: leaseOf(w.t, self(2), "10.5.4.0-24").Value()},
					}}
				})
			},
			want: "10.5.5.0-24: n1 \n n1 holds 10.5.5.0-24, retains 1",
		},
		"another node has the pod subnet of a lost peer": {
			happens: func(w *world) {
				w.peers(2)
				w.nodes[1].stopped = true
				w.restore(snapshot{})
				w.advance(10 * time.Second)
				w.lease(self(7), "10.5.4.0-23")
			},
			want: "10.5.4.0-23: n7 \n 10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
		"an unusable key does not end the retention": {
			happens: func(w *world) {
				w.peers(2)
				w.nodes[1].stopped = true
				w.restore(snapshot{})
				w.advance(10 * time.Second)
				w.put(Leases+"10.0.0.0-8", "x")
			},
			want: "10.0.0.0-8: not a lease, reserved \n 10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24, retains 1",
		},
		"another node has our pod subnet after the loss": {
			happens: func(w *world) {
				w.peers(1)
				w.restore(snapshot{})
				w.put(ConfigName, twoSubnets)
				w.lease(self(5), "10.5.4.0-24")
			},
			want: "10.5.4.0-24: n5 \n n1 keeps 10.5.4.0-24, conflict",
			says: "of node n5",
		},
	})
}

func TestConfigurationIsLost(t *testing.T) {
	const second = `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.5.0","Backend":{"Type":"vxlan","MTU":1400}}`
	play(t, map[string]scenario{
		"it is deleted while nodes run, and a new one joins": {
			happens: func(w *world) {
				w.peers(1)
				w.put(ConfigName, second)
				w.run()
				w.delete(ConfigName)
				n := w.start(2, nil)
				w.advance(time.Second)
				w.expect(string(w.keys[ConfigName].Value) == second, "configuration %s", w.keys[ConfigName].Value)
				w.expect(n.State().Losses == 0 && len(n.State().Warnings) == 0, "warnings %q", n.State().Warnings)
			},
			want: "10.5.4.0-24: n1 \n 10.5.5.0-24: n2 \n n1 holds 10.5.4.0-24 \n n2 holds 10.5.5.0-24",
		},
		"a node that knows an older one leaves it to the others": {
			happens: func(w *world) {
				old := w.peers(2)[0]
				again := w.restart(old, 1, false, nil)
				w.put(ConfigName, second)
				w.nodes[1].work()
				w.restore(snapshot{})
				again.work() // it is the first one on the empty store
				w.advance(10 * time.Second)
				w.expect(string(w.keys[ConfigName].Value) == second, "configuration %s", w.keys[ConfigName].Value)
				w.expect(string(again.State().Config) == second, "%s", again.State().Config)
			},
			want: "10.5.4.0-24: n1 \n 10.5.5.0-24: n2 \n n2 holds 10.5.5.0-24 \n n1 holds 10.5.4.0-24",
		},
		"deleted on purpose before the start: it is not restored": {
			happens: func(w *world) {
				first := w.peers(1)[0]
				first.stopped = true
				w.delete(ConfigName)
				n := w.restart(first, 1, false, nil)
				w.advance(time.Hour)
				w.expect(len(w.keys[ConfigName].Value) == 0 && len(n.State().Warnings) == 1, "configuration %s, warnings %q", w.keys[ConfigName].Value, n.State().Warnings)
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
			says: "there is no network configuration in etcd: write one with 'podlaned config set'; the last valid one stays in use",
		},
		"a new node waits for a holder to restore it": {
			happens: func(w *world) {
				w.lease(self(2), "10.5.5.0-24")
				w.delete(ConfigName)
				n := w.start(1, nil)
				w.run()
				w.expect(n.AwaitsConfig(w.now) && n.step.At.Equal(w.now.Add(configWait)), "it waits until %v", n.step.At)
				w.advance(configWait)
				w.expect(!n.AwaitsConfig(w.now), "it waits for ever")
			},
			want: "10.5.5.0-24: n2 \n n1 has nothing, error: there is no network configuration in etcd: write one with 'podlaned config set'",
		},
		"the node may not write it": {
			happens: func(w *world) {
				n := w.peers(1)[0]
				w.refuse = func(txn Txn) error {
					if len(txn.Put) == 1 && txn.Put[0].Name == ConfigName {
						return errors.New("permission denied")
					}
					return nil
				}
				w.delete(ConfigName)
				w.advance(time.Second)
				w.expect(len(n.State().Warnings) == 0 && n.State().Held, "warnings %q", n.State().Warnings)
				w.delete(Leases + "10.5.4.0-24") // everything else works
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24, error: the network configuration is missing from etcd and this node cannot restore it: permission denied",
		},
		"the node may write it later": {
			happens: func(w *world) {
				n := w.peers(1)[0]
				w.refuse = func(Txn) error { return errors.New("permission denied") }
				w.delete(ConfigName)
				w.advance(time.Second)
				w.refuse = nil
				w.advance(restoreRetry)
				w.expect(string(w.keys[ConfigName].Value) == twoSubnets && n.errText() == "", "configuration %s", w.keys[ConfigName].Value)
			},
			want: "10.5.4.0-24: n1 \n n1 holds 10.5.4.0-24",
		},
	})
}

// gone is a node that had the pod subnet when the snapshot was made.
const gone = 9

// restored is a store that can be restored to a snapshot in which a node's pod subnet belongs to gone nodes.
type restored struct {
	*world
	backup snapshot
	n      *node
}

// newRestored makes the snapshot with leases, and lets node 1 lease the pod subnet after it.
func newRestored(w *world, config string, leases map[string]subnet.Self) restored {
	w.t.Helper()
	w.put(ConfigName, config)
	for key, s := range leases {
		w.lease(s, key)
	}
	backup := w.snapshot()
	for key := range leases {
		w.delete(Leases + key)
	}
	w.lease(self(7), "10.5.7.0-24") // a peer that the snapshot does not have
	n := w.start(1, nil)
	w.run()
	n.held()
	w.delete(Leases + "10.5.7.0-24")
	w.run()
	return restored{w, backup, n}
}

func TestRestoredSnapshot(t *testing.T) {
	const key = "10.5.4.0-24"
	ghost := map[string]subnet.Self{key: self(gone)}
	const takenBack, lost = key + ": n1 \n n1 holds " + key, "\n n1 keeps " + key + ", conflict"
	play(t, map[string]scenario{
		"our pod subnet belongs to a gone node": {
			happens: func(w *world) {
				r := newRestored(w, oneSubnet, ghost)
				w.restore(r.backup)
				w.advance(answerTime)
				s := r.n.State()
				w.expect(s.Losses > 0 && s.Expiry.After(w.now.Add(leaseTime/2)), "%d losses, it expires in %v", s.Losses, s.Expiry.Sub(w.now))
			},
			want: takenBack,
			says: "pod subnet 10.5.4.0/24 was taken back from node n9 (id id-9), which did not answer: etcd was restored from an old snapshot",
		},
		"before the time for the answer is over": {
			happens: func(w *world) { r := newRestored(w, oneSubnet, ghost); w.restore(r.backup); w.advance(answerTime - 1) },
			want:    "claims/restored-10.5.4.0-24 \n" + key + ": n9" + lost,
			says:    "etcd was restored from an old snapshot: podlaned asks that node, and takes the pod subnet back if it does not answer",
		},
		"a start with the saved state": {
			happens: func(w *world) {
				r := newRestored(w, oneSubnet, ghost)
				w.restore(r.backup)
				w.restart(r.n, 1, true, nil)
				w.advance(answerTime)
			},
			want: takenBack,
		},
		"each half belongs to a gone node": {
			happens: func(w *world) {
				const v6 = "0.0.0.0-0&fd00:5:0:4::-64"
				r := newRestored(w, oneDual, map[string]subnet.Self{key: self(gone), v6: self(8)})
				w.restore(r.backup)
				w.advance(answerTime)
			},
			want: "10.5.4.0-24&fd00:5:0:4::-64: n1 \n n1 holds 10.5.4.0-24&fd00:5:0:4::-64",
		},
		"the holder answers as an older podlaned does": {
			happens: func(w *world) {
				r := newRestored(w, oneSubnet, ghost)
				w.restore(r.backup)
				w.run()
				c, err := parseClaim(w.keys[claims+"restored-"+key].Value)
				w.expect(err == nil && c.lease == "" && self(gone).Concerns(c.from), "claim %+v, %v", c, err)
				w.put(Leases+key, string(leaseOf(w.t, self(gone), key).Value()))
				w.advance(4 * answerTime)
			},
			want: key + ": n9, reserved" + lost,
		},
		"the holder runs": {
			happens: func(w *world) {
				r := newRestored(w, oneSubnet, ghost)
				w.restore(r.backup)
				w.start(gone, nil)
				w.nodes = []*node{w.nodes[1], w.nodes[0]}
				w.advance(4 * answerTime)
			},
			want: key + ": n9 \n n9 holds " + key + lost,
		},
		"the lease is flannel's": {
			happens: func(w *world) {
				flannel := subnet.Self{PublicIP: self(gone).PublicIP, PublicIPv6: self(gone).PublicIPv6}
				r := newRestored(w, oneSubnet, map[string]subnet.Self{key: flannel})
				w.restore(r.backup)
				w.advance(4 * answerTime)
			},
			want: key + ": flannel" + lost,
			says: "flannel",
		},
		"a new node is faster while the holder is asked": {
			happens: func(w *world) {
				r := newRestored(w, oneSubnet, ghost)
				w.restore(r.backup)
				w.run()
				w.lease(self(5), key)
				w.advance(4 * answerTime)
			},
			want: key + ": n5" + lost,
			says: "n5",
		},
		"in doubt: the revision is past the seen one": {
			happens: func(w *world) {
				r := newRestored(w, oneSubnet, ghost)
				w.restore(r.backup)
				for range 20 {
					w.put("other", "x")
				}
				w.advance(4 * answerTime)
			},
			want: key + ": n9" + lost,
		},
		"in doubt: the store was empty, and a new node has joined": {
			happens: func(w *world) {
				newRestored(w, oneSubnet, ghost)
				w.restore(snapshot{})
				w.put(ConfigName, oneSubnet)
				w.lease(self(5), key)
				w.advance(4 * answerTime)
			},
			want: key + ": n5" + lost,
		},
		"in doubt: a peer wrote its key again before": {
			happens: func(w *world) {
				r := newRestored(w, oneSubnet, ghost)
				w.lease(self(7), "10.5.7.0-24") // a peer that the snapshot does not have
				w.run()
				w.restore(r.backup)
				w.lease(self(7), "10.5.7.0-24")
				w.lease(self(5), key)
				w.advance(4 * answerTime)
			},
			want: key + ": n5 \n 10.5.7.0-24: n7" + lost,
		},
		"two nodes held it, one after the other": {
			happens: func(w *world) {
				r := newRestored(w, oneSubnet, ghost)
				r.n.stopped = true
				w.delete(Leases + key)
				second := w.start(2, nil)
				w.run()
				second.held()
				w.restore(r.backup)
				w.restart(r.n, 1, true, nil)
				w.restart(second, 2, true, nil)
				w.advance(4 * answerTime)
			},
			want: key + ": n1 \n n1 holds " + key + "\n n2 keeps " + key + ", conflict",
			says: "n1",
		},
		"a holder that was cut off finds the conflict": {
			happens: func(w *world) {
				w.put(ConfigName, oneSubnet)
				holder := w.start(gone, nil)
				w.run()
				holders := holder.held()
				holder.stopped = true
				backup := w.snapshot()
				for range 10 {
					w.put("other", "x")
				}
				w.delete(Leases + key)
				n := w.start(1, nil)
				w.run()
				n.held()
				w.restore(backup)
				w.advance(answerTime)
				n.held()
				n.stopped = true
				saved := holders.Save()
				saved.Revision += 100 // it has seen other nodes' writes to other keys
				w.start(gone, func(o *Options) { o.Saved, o.Self.Previous, o.Self.InUse = &saved, holders.Own.Pair(), true })
				w.advance(4 * answerTime)
			},
			want: key + ": n1 \n n9 keeps " + key + ", conflict",
			says: "n1",
		},
	})
}
