package etcd

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/machine"
	"github.com/podlane/podlane/subnet/store"
)

// A node joins, restarts, and restarts with another time to live.
func TestJoinAndRestart(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	store := etcd.open(t)
	start := func(ttl time.Duration) (State, record) {
		t.Helper()
		opts := quick(1)
		opts.TTL = ttl
		n := run(t, store, opts)
		s := n.held(t)
		n.stop(t)
		if n.err != nil {
			t.Errorf("Run: %v", n.err)
		}
		if left := time.Until(s.Expiry); left < ttl-10*time.Minute || left > ttl {
			t.Errorf("it expires in %v, want %v", left, ttl)
		}
		return s, etcd.keys(subnets)[s.Own.Pair().Key()]
	}
	first, before := start(time.Hour)
	if first.Own.Node != self(1).Node || first.Own.IPv4.PublicIP != self(1).PublicIP {
		t.Errorf("own lease %+v", first.Own)
	}
	if _, ok := first.Set.Find(first.Own.Pair()); !ok {
		t.Errorf("the set %v lacks the own lease", first.Set)
	}
	again, after := start(time.Hour)
	expectLease(t, first.Own, again.Own)
	if keys := etcd.keys(subnets); len(keys) != 1 {
		t.Errorf("after a restart %d keys, want 1", len(keys))
	}
	if before.ttl != after.ttl {
		t.Errorf("after a restart the etcd lease is %x, want %x", after.ttl, before.ttl)
	}
	if _, longer := start(2 * time.Hour); longer.ttl == after.ttl {
		t.Errorf("another time to live has the former etcd lease %x", longer.ttl)
	}
}

// distinct checks that each node has pod subnets that overlap no other's.
func distinct(t *testing.T, running []*node) {
	t.Helper()
	var pairs []subnet.Pair
	for _, n := range running {
		p := n.held(t).Own.Pair()
		if slices.ContainsFunc(pairs, p.Overlaps) {
			t.Errorf("%s: %s was handed out before", n.name, p)
		}
		pairs = append(pairs, p)
	}
}

// Which errors end Run? A node with a saved state ends only if its lease would be of no use.
func TestErrorsThatEndRun(t *testing.T) {
	unusable := errors.New("the MTU is too small")
	refuse := machine.New(machine.Options{Saved: &store.Saved{Config: []byte(ipv4Config)}, Check: func(subnet.Network) error { return unusable }})
	refuse.Replace(machine.NewMirror(), false, time.Now())
	type ends struct{ fresh, saved bool }
	for name, row := range map[string]struct {
		err  error
		want ends
	}{
		"none":                     {nil, ends{}},
		"no configuration":         {fmt.Errorf("x: %w", ErrNoConfig), ends{fresh: true}},
		"an invalid configuration": {fmt.Errorf("%w: VNI", ErrConfig), ends{fresh: true}},
		"refused":                  {ErrRefused, ends{fresh: true}},
		"no free pod subnet":       {subnet.ErrFull, ends{fresh: true}},
		"no access":                {fmt.Errorf("%w: %w", ErrDenied, ErrPermission), ends{fresh: true}},
		"an invalid own lease":     {machine.ErrInvalidLease, ends{fresh: true}},
		"etcd is down":             {errors.New("etcd does not answer"), ends{}},
		"an alarm":                 {ErrNoSpace, ends{}},
		"a lease of no use":        {refuse.Next(time.Now()).Err, ends{fresh: true, saved: true}},
	} {
		got := ends{
			fresh: newRunner(&Store{}, Options{}, nil).final(row.err),
			saved: newRunner(&Store{}, Options{Saved: &store.Saved{}}, nil).final(row.err),
		}
		if diff := cmp.Diff(row.want, got, cmp.AllowUnexported(ends{})); diff != "" {
			t.Errorf("%s: it ends Run (-want +got):\n%s", name, diff)
		}
	}
	if err := refuse.Next(time.Now()).Err; !errors.Is(err, unusable) || err.Error() != unusable.Error() {
		t.Errorf("%v, want %v", err, unusable)
	}
}
