package vxlan

import (
	"net/netip"
	"testing"

	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// FuzzParse parses data that no kernel sends. Its seeds in testdata are messages of Linux 6.18, one of each kind that
// Apply reads.
func FuzzParse(f *testing.F) {
	watch := filter{underlay: underlay.Interface{Index: 3}, own: map[int]bool{4: true}}
	pods := netip.MustParsePrefix("10.5.0.0/16")
	f.Fuzz(func(t *testing.T, data []byte) {
		for m, rest, ok := rtnl.Next(data); ok; m, rest, ok = rtnl.Next(rest) {
			watch.matters(m)
			if l, ok := parseLink(m); ok {
				_, _ = l.describe(), l.device.String()
				deviceChanges(l.index, l.device, device{name: "podlane.1"})
			}
			if p, _, ok := parseAddress(m); ok && !p.IsValid() {
				t.Errorf("address %v", p)
			}
			for _, family := range subnet.Families {
				if a, mac, ok := parseNeighbour(m, family, 4); ok && subnet.FamilyOf(a) != family {
					t.Errorf("%s neighbour %v %v", family, a, mac)
				}
				if r, ok := parseRoute(m, family); ok {
					if p := r.key.prefix; !p.IsValid() || subnet.FamilyOf(p.Addr()) != family {
						t.Errorf("%s route %v", family, r)
					}
					_ = r.text("eth0")
				}
				if r, ok := parseRule(m, family); ok {
					if some, all := r.match(traffic{from: pods, ifaces: []string{"lo"}}, pods); all && !some {
						t.Errorf("%s rule %s matches all and none", family, r)
					}
				}
			}
			if e, ok := parseFDB(m, 4); ok {
				_ = fdbText(e.mac, e.dst, "podlane.1")
			}
		}
	})
}
