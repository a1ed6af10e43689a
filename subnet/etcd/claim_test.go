package etcd

import (
	"strings"
	"testing"

	"github.com/podlane/podlane/subnet"
)

// leaseOf writes the lease of a node that does not run.
func leaseOf(etcd *server, s subnet.Self, key string) subnet.Lease {
	etcd.t.Helper()
	network, _, err := subnet.ParseNetwork([]byte(ipv4Config))
	if err != nil {
		etcd.t.Fatal(err)
	}
	pair, err := subnet.ParseKey(key)
	if err != nil {
		etcd.t.Fatal(err)
	}
	l := s.Lease(network, pair, subnet.Lease{})
	etcd.put(subnets+key, string(l.Value()))
	return l
}

func TestAddressOfALiveNodeIsRefused(t *testing.T) {
	etcd, first, s := holder(t, quick(1))
	opts := quick(2)
	opts.Self.PublicIP = self(1).PublicIP
	text := run(t, etcd.open(t), opts).fails(t, ErrRefused)
	for _, word := range []string{"n1", "n2", self(1).PublicIP.String()} {
		if !strings.Contains(text, word) {
			t.Errorf("%q does not name %s", text, word)
		}
	}
	if now := first.held(t); now.Own != s.Own {
		t.Errorf("the first node's lease is now %v", now.Own)
	}
	if c := etcd.keys(claims); len(c) != 0 {
		t.Errorf("claims %v are left behind", c)
	}
}
