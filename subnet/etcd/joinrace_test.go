package etcd

import (
	"errors"
	"testing"
	"time"
)

// Guests of VirtualBox boot at the same time, all behind 10.0.2.15. One is accepted, the others are refused.
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
					t.Errorf("%s, which is accepted, has warnings: %q", n.name, s.Warnings)
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
