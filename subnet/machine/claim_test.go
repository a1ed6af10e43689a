package machine

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/podlane/podlane/subnet"
)

func TestNodeIDIsEscapedInTheKey(t *testing.T) {
	if got, want := claimKey(subnet.Node{ID: "a/../b c"}), "claims/a%2F..%2Fb%20c"; got != want {
		t.Errorf("key %s, want %s", got, want)
	}
}

func FuzzParseClaim(f *testing.F) {
	f.Add(claimValue(self(1), ""))
	f.Add([]byte(`{"NodeID":1}`))
	f.Add(claimValue(self(1), "10.5.1.0-24"))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, value []byte) {
		c, err := parseClaim(value)
		if err != nil {
			return
		}
		l := c.from
		again, err := parseClaim(claimValue(subnet.Self{Node: l.Node, PublicIP: l.IPv4.PublicIP, PublicIPv6: l.IPv6.PublicIP}, c.lease))
		if err != nil || again != c {
			t.Errorf("parsed back: %v (-want +got):\n%s", err, cmp.Diff(fmt.Sprintf("%+v", c), fmt.Sprintf("%+v", again)))
		}
	})
}
