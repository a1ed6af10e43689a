package bridge

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/podlane/podlane/subnet"
)

var both = subnet.Pair{IPv4: netip.MustParsePrefix("10.5.1.0/24"), IPv6: netip.MustParsePrefix("fd00:5:0:1::/64")}

func prefixes(words string) (list []netip.Prefix) {
	for _, w := range strings.Fields(words) {
		list = append(list, netip.MustParsePrefix(w))
	}
	return list
}

// String returns the fix in a few words.
func (f fix) String() string {
	s := f.device.name
	if f.ipv6 {
		s += " ipv6"
	}
	for _, a := range f.addrs {
		s += " " + a.String()
	}
	if f.up {
		s += " up"
	}
	return s
}

func TestNextBridgesAndFixes(t *testing.T) {
	const v4, v6, ll = "10.5.1.1/24", "fd00:5:0:1::1/64", "fe80::1/64"
	whole := Bridge{Name: "cni0", Index: 7, Addrs: prefixes(v4 + " " + v6 + " " + ll), Used: true}
	dev := func(up bool, addrs string) device {
		return device{name: "cni0", index: 7, up: up, addrs: prefixes(addrs)}
	}
	again := dev(true, v4+" "+v6)
	again.index = 9
	renamed := dev(true, "")
	renamed.name = "br0"
	off := dev(true, v4)
	off.noIPv6 = true
	pod := []port{{name: "veth1", master: 7, veth: true}}
	unbridged := []port{{name: "veth1", veth: true}, {name: "cali9", veth: true}}
	cut := Bridge{Name: "cni0", Cut: []string{"veth1"}, Pods: []string{"10.5.1.2"}}
	for name, c := range map[string]struct {
		known []Bridge
		have  snapshot
		now   string
		fixes string
	}{
		"no bridge":                          {nil, snapshot{}, "[]", "[]"},
		"a bridge of another program":        {nil, snapshot{bridges: []device{dev(true, "172.17.0.1/16 fe80::9/64")}, ports: pod}, "[]", "[]"},
		"the overlay's address":              {nil, snapshot{bridges: []device{dev(true, "10.5.1.0/32")}, ports: pod}, "[]", "[]"},
		"a new bridge":                       {nil, snapshot{bridges: []device{dev(true, v4+" 192.0.2.1/24 "+ll)}}, "[{cni0 7 [10.5.1.1/24 fe80::1/64] false [] []}]", "[]"},
		"a new bridge that is down":          {nil, snapshot{bridges: []device{dev(false, v4)}, ports: pod}, "[{cni0 7 [10.5.1.1/24] true [] []}]", "[cni0 up]"},
		"nothing is missing":                 {[]Bridge{whole}, snapshot{bridges: []device{dev(true, v4+" "+v6+" "+ll)}, ports: pod}, fmt.Sprint([]Bridge{whole}), "[]"},
		"down, which deletes IPv6 addresses": {[]Bridge{whole}, snapshot{bridges: []device{dev(false, v4)}, ports: pod}, fmt.Sprint([]Bridge{whole}), "[cni0 fe80::1/64 fd00:5:0:1::1/64 up]"},
		"addresses were flushed":             {[]Bridge{whole}, snapshot{bridges: []device{dev(true, "")}, ports: pod}, fmt.Sprint([]Bridge{whole}), "[cni0 fe80::1/64 10.5.1.1/24 fd00:5:0:1::1/64]"},
		"another link-local address":         {[]Bridge{whole}, snapshot{bridges: []device{dev(true, v4+" fe80::9/64")}, ports: pod}, "[{cni0 7 [10.5.1.1/24 fd00:5:0:1::1/64 fe80::9/64] true [] []}]", "[cni0 fd00:5:0:1::1/64]"},
		"another prefix length":              {[]Bridge{whole}, snapshot{bridges: []device{dev(true, "10.5.1.1/16 "+v6+" "+ll)}, ports: pod}, "[{cni0 7 [10.5.1.1/16 fd00:5:0:1::1/64 fe80::1/64] true [] []}]", "[]"},
		"IPv6 is off":                        {[]Bridge{whole}, snapshot{bridges: []device{off}, ports: pod}, fmt.Sprint([]Bridge{whole}), "[cni0 ipv6 fe80::1/64 fd00:5:0:1::1/64]"},
		"no pods, an address was deleted":    {[]Bridge{whole}, snapshot{bridges: []device{dev(false, v4)}}, "[{cni0 7 [10.5.1.1/24] false [] []}]", "[]"},
		"no pods, flushed":                   {[]Bridge{whole}, snapshot{bridges: []device{dev(true, "")}}, "[]", "[]"},
		"no pods, deleted":                   {[]Bridge{whole}, snapshot{}, "[]", "[]"},
		"address of an earlier pod subnet":   {[]Bridge{{Name: "cni0", Index: 7, Addrs: prefixes("10.5.9.1/24")}}, snapshot{bridges: []device{dev(true, "")}, ports: pod}, "[]", "[]"},
		"deleted":                            {[]Bridge{whole}, snapshot{ports: unbridged}, "[{cni0 0 [] false [veth1] []}]", "[]"},
		"deleted, and had no pods":           {[]Bridge{{Name: "cni0", Index: 7, Addrs: prefixes(v4)}}, snapshot{ports: unbridged}, "[]", "[]"},
		"deleted in an earlier round":        {[]Bridge{cut}, snapshot{ports: unbridged}, "[{cni0 0 [] false [veth1] [10.5.1.2]}]", "[]"},
		"created again for a new pod":        {[]Bridge{cut}, snapshot{bridges: []device{again}, ports: unbridged}, "[{cni0 9 [10.5.1.1/24 fd00:5:0:1::1/64] false [veth1] [10.5.1.2]}]", "[]"},
		"deleted and created again":          {[]Bridge{whole}, snapshot{bridges: []device{again}, ports: unbridged}, "[{cni0 9 [10.5.1.1/24 fd00:5:0:1::1/64] false [veth1] []}]", "[]"},
		"renamed and flushed":                {[]Bridge{whole}, snapshot{bridges: []device{renamed}, ports: pod}, strings.Replace(fmt.Sprint([]Bridge{whole}), "cni0", "br0", 1), "[br0 fe80::1/64 10.5.1.1/24 fd00:5:0:1::1/64]"},
		"renamed, and a new one is created":  {[]Bridge{whole}, snapshot{bridges: []device{renamed, again}, ports: pod}, strings.Replace(strings.TrimSuffix(fmt.Sprint([]Bridge{whole}), "]"), "cni0", "br0", 1) + " {cni0 9 [10.5.1.1/24 fd00:5:0:1::1/64] false [] []}]", "[br0 fe80::1/64 10.5.1.1/24 fd00:5:0:1::1/64]"},
		"the last pod is gone":               {[]Bridge{cut}, snapshot{}, "[]", "[]"},
		"the pod is attached again":          {[]Bridge{cut}, snapshot{bridges: []device{again}, ports: []port{{name: "veth1", master: 9, veth: true}}}, "[{cni0 9 [10.5.1.1/24 fd00:5:0:1::1/64] true [] []}]", "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			before := slices.Clone(c.known)
			now, fixes := next(c.known, []string{"cali9"}, c.have, both)
			if got := fmt.Sprint(now); got != c.now {
				t.Errorf("known bridges:\ngot  %s\nwant %s", got, c.now)
			}
			if got := fmt.Sprint(fixes); got != c.fixes {
				t.Errorf("fixes:\ngot  %s\nwant %s", got, c.fixes)
			}
			if diff := gocmp.Diff(before, c.known, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
				t.Errorf("it changed its argument (-before +after):\n%s", diff)
			}
		})
	}
}
