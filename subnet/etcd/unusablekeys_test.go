package etcd

import (
	"strings"
	"testing"

	"github.com/podlane/podlane/subnet"
)

// junk holds keys that no node can use. Each covers all pod subnets.
var junk = map[string]string{
	"10.0.0.0-8":              "x",
	"10.5.0.0-16":             `{"PublicIP":"192.168.9.9","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:00:99"}}`,
	"10.4.0.0-14&fd00::-8":    `{"PublicIP":"192.168.9.8","PublicIPv6":"2001:db8::98","BackendType":"vxlan"}`,
	"0.0.0.0-0&fd00:5::-48":   "",
	"10.5.0.0-20":             "not a lease",
	"10.5.4.0-22&fd00:5::-63": "neither",
}

func TestKeysThatNoNodeCanUseAreIgnored(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]string{"IPv4": ipv4Config, "dual-stack": dualConfig} {
		t.Run(name, func(t *testing.T) {
			etcd := startEtcd(t)
			etcd.put("config", config)
			for key, value := range junk {
				etcd.put(subnets+key, value)
			}
			running := twoNodes(t, etcd, len(junk))
			// Its key is older than ours then, and shares all its addresses.
			s := running[0].held(t)
			etcd.delete(subnets + s.Own.Pair().Key())
			again := running[0].wait(t, "the lease again", func(now State) bool {
				r, _ := now.Set.Find(s.Own.Pair())
				return held(now) && r.Lease == s.Own && r.Created > s.Set.Revision
			})
			if again.Own != s.Own {
				t.Errorf("own %v, before %v", again.Own, s.Own)
			}
			// A restarted node keeps its pod subnet.
			running[1].stop(t)
			before := running[1].state.Own
			if now := run(t, etcd.open(t), quick(1)).held(t).Own; now != before {
				t.Errorf("own %v, before %v", now, before)
			}
		})
	}
}

// twoNodes runs two nodes while other keys exist, and waits until each sees the other.
func twoNodes(t *testing.T, etcd *server, others int) []*node {
	t.Helper()
	running := []*node{run(t, etcd.open(t), quick(0)), run(t, etcd.open(t), quick(1))}
	for i, n := range running {
		n.wait(t, "the other node", func(s State) bool {
			found := 0
			for _, r := range s.Set.Records {
				if r.Node == self(1-i).Node {
					found++
				}
			}
			return held(s) && found == 1
		})
	}
	if now := len(etcd.keys(subnets)); now != others+2 {
		t.Errorf("%d keys, want %d", now, others+2)
	}
	return running
}

// After a loss a peer is kept until its lease is written again. A key that covers everything does not mean that another
// node has the pod subnet.
func TestUnusableKeyDoesNotEndTheGracePeriod(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	running := peers(t, etcd, 2, nil)
	etcd.stop()
	running[1].stop(t)
	etcd.start(t.TempDir())
	kept := func(s State) bool { return held(s) && s.Retained == 1 }
	running[0].wait(t, "retained peer", kept)
	etcd.put(subnets+"10.0.0.0-8", "x")
	s := running[0].wait(t, "the key", func(s State) bool { return len(s.Set.Blocked) == 1 })
	if !kept(s) {
		t.Errorf("held %v, retained %d", s.Held, s.Retained)
	}
}

func TestFullNetworkNamesTheKeysThatFillIt(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.6.0"}`)
	leaseOf(etcd, self(7), "10.5.4.0-24")
	etcd.put(subnets+"10.5.5.0-24", "x")
	etcd.put(subnets+"10.5.6.0-24", "{}")
	etcd.put(subnets+"10.0.0.0-8", "x")
	text := run(t, etcd.open(t), quick(1)).fails(t, subnet.ErrFull)
	for _, words := range []string{
		"1 lease: 10.5.4.0-24; 2 keys that are not leases: 10.5.5.0-24, 10.5.6.0-24;", "'etcdctl del /podlane/network/subnets/KEY'", "'podlaned config set'",
	} {
		if !strings.Contains(text, words) {
			t.Errorf("%q does not say %q", text, words)
		}
	}
}

// The keys are older than the leases, and then the network configuration is changed so that it would hand out other pod
// subnets. Running nodes keep theirs.
func TestUnfitKeysWhenTheConfigurationChanges(t *testing.T) {
	for name, config := range map[string]string{
		"SubnetLen": `{"Network":"10.5.0.0/16","SubnetLen":25}`,
		"SubnetMin": `{"Network":"10.5.0.0/16","SubnetMin":"10.5.255.0"}`,
		"Network":   `{"Network":"10.6.0.0/16"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd := startEtcd(t)
			etcd.put("config", ipv4Config)
			for key, value := range junk {
				etcd.put(subnets+key, value)
			}
			running := twoNodes(t, etcd, len(junk))
			before := running[0].held(t)
			etcd.put("config", config)
			changed := running[0].wait(t, "the new configuration", func(s State) bool { return string(s.Config) == config })
			s := running[0].wait(t, "a check", func(s State) bool { return s.Seen.After(changed.Seen.Add(quick(0).CheckEvery)) })
			if !held(s) || s.Own != before.Own {
				t.Errorf("held %v, conflict %q, own %v, before %v", s.Held, s.Conflict, s.Own, before.Own)
			}
			etcd.delete(subnets + s.Own.Pair().Key())
			running[0].wait(t, "the lease again", func(now State) bool {
				r, _ := now.Set.Find(s.Own.Pair())
				return held(now) && r.Created > s.Set.Revision
			})
		})
	}
}
