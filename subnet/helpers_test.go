package subnet

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var (
	prefix = netip.MustParsePrefix
	addr   = netip.MustParseAddr
)

// pair returns a pair of one or two pod subnets.
func pair(prefixes ...string) Pair {
	var p Pair
	for _, s := range prefixes {
		half := prefix(s)
		p = p.With(FamilyOf(half.Addr()), half)
	}
	return p
}

func network(t testing.TB, config string) Network {
	t.Helper()
	n, _, err := ParseNetwork([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// dualStack returns the network that most tests use.
func dualStack(t testing.TB) Network {
	return network(t, `{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`)
}

// record returns the lease of node number i with these pod subnets, created at revision i.
func record(i int, p Pair) Record {
	l := Lease{BackendType: BackendVXLAN, Node: Node{ID: fmt.Sprintf("id-%d", i), Name: fmt.Sprintf("n%d", i), Version: "v1"}}
	if p.IPv4.IsValid() {
		l.IPv4 = Endpoint{Subnet: p.IPv4, PublicIP: netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), VNI: 1, MAC: MACFor(p.IPv4)}
	}
	if p.IPv6.IsValid() {
		l.IPv6 = Endpoint{Subnet: p.IPv6, PublicIP: numberOf(addr("2001:db8::")).add(number{lo: uint64(i)}).addr(IPv6), VNI: 1, MAC: MACFor(p.IPv6)}
	}
	return Record{Lease: l, Created: int64(i), Modified: int64(i), TTLID: 7}
}

// diff compares two values and returns how they differ.
func diff(want, got any) string {
	return cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}))
}

// wantError checks that an error contains a text. An empty text means no error. No error may be longer than 500 bytes.
func wantError(t testing.TB, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("error %q, want none", err)
	case want != "" && err == nil:
		t.Errorf("no error, want %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("error %q\ndoes not contain %q", err, want)
	}
	if err != nil && len(err.Error()) > 500 {
		t.Errorf("the error has %d bytes, want at most 500", len(err.Error()))
	}
}
