package subnet

import (
	"strings"
	"testing"
)

func TestLeaseNames(t *testing.T) {
	dual := record(7, pair("10.5.34.0/24", "fd00:5:22::/64")).Lease
	only6 := record(7, pair("fd00:5:22::/64")).Lease
	flannel := record(7, pair("10.5.34.0/24")).Lease
	flannel.Node = Node{}
	for _, c := range []struct {
		lease    Lease
		text, ip string
	}{
		{dual, "10.5.34.0/24 and fd00:5:22::/64 of n7 (192.0.0.7)", "192.0.0.7"},
		{only6, "fd00:5:22::/64 of n7 (2001:db8::7)", "2001:db8::7"},
		{flannel, "10.5.34.0/24 of 192.0.0.7", "192.0.0.7"},
	} {
		if c.lease.String() != c.text || c.lease.PublicIP().String() != c.ip {
			t.Errorf("got %q and %s, want %q and %s", c.lease, c.lease.PublicIP(), c.text, c.ip)
		}
	}
	if dual.Endpoint(IPv4) != dual.IPv4 || dual.Endpoint(IPv6) != dual.IPv6 {
		t.Error("the endpoint of the wrong family")
	}
}

func TestNodeTextMustBePrintable(t *testing.T) {
	long := strings.Repeat("n", MaxNodeText)
	for _, c := range []struct {
		node Node
		want string
	}{
		{Node{}, ""},
		{Node{ID: "4c4c4544-0042", Name: "node 1.example", Version: "v1.2.3+dirty"}, ""},
		{Node{ID: long, Name: long, Version: long}, ""},
		{Node{Name: "Zürich"}, ""},
		{Node{ID: long + "n"}, "node id"},
		{Node{Name: "a\x1b[31mb"}, `node name "a\x1b[31mb" is not at most 255 printable bytes`},
		{Node{Name: "a\xff"}, "node name"},
		{Node{Name: "a\u202eb"}, "node name"}, // would turn the rest of the line round
		{Node{Version: "\n"}, "version"},
	} {
		wantError(t, c.node.Check(), c.want)
	}
}
