package etcd

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Guests of VirtualBox that boot at the same moment, all behind 10.0.2.15: one is let in, the others are refused.
func TestNodesWithOneAddressRace(t *testing.T) {
	for _, config := range []string{ipv4Config, dualConfig} {
		etcd := startEtcd(t)
		etcd.put("config", config)
		var stores []*Store
		for range 10 {
			stores = append(stores, etcd.open(t))
		}
		var running []*node
		for i, store := range stores {
			opts := quick(i)
			opts.Self.PublicIP, opts.AnswerTime = self(1).PublicIP, 10*time.Second // a live holder must not seem gone
			running = append(running, run(t, store, opts))
		}
		eventually(t, "all but one have ended", func() bool { return ended(running) == len(running)-1 })
		for _, n := range running {
			select {
			case <-n.ended:
				if !errors.Is(n.err, ErrRefused) {
					t.Errorf("%s ends with %v", n.name, n.err)
				}
			default:
				if s := n.held(t); len(s.Warnings) != 0 {
					t.Errorf("%s, which is let in, is warned: %q", n.name, s.Warnings)
				}
			}
		}
		eventually(t, "one lease and no claim", func() bool { return len(etcd.keys(subnets)) == 1 && len(etcd.keys(claims)) == 0 })
	}
}

func ended(all []*node) (count int) {
	for _, n := range all {
		select {
		case <-n.ended:
			count++
		default:
		}
	}
	return count
}

// Two leases with the node's address are left over, from nodes that are gone. One is taken over, the other is in nobody's
// way.
func TestTwoGoneNodesHadTheAddress(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	for i, key := range []string{"10.5.50.0-24", "10.9.60.0-24", "10.5.60.0-24"} {
		gone := self(i + 10)
		gone.PublicIP = self(1).PublicIP
		leaseOf(etcd, gone, key)
	}
	s := run(t, etcd.open(t), quick(1)).held(t)
	if len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "n10") || !strings.Contains(s.Warnings[0], "n12") {
		t.Errorf("warnings %q, want all that are gone named", s.Warnings)
	}
}
