package underlay

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNotes(t *testing.T) {
	at := kept("198.18.0.1", "2001:db8::1")
	const stays = "the underlay stays eth0 (198.18.0.1, 2001:db8::1), whose address the other nodes know"
	deprecated := node[1]
	deprecated.Deprecated = kept("2001:db8::1", "2001:db8::9")
	for name, c := range map[string]struct {
		want   Want
		inUse  Interface
		routes map[string]int
		notes  []string
	}{
		"default route here":            {Want{Kept: at}, node[1], map[string]int{"0.0.0.0": 2, "::": 3}, nil},
		"IPv6's default elsewhere":      {Want{Kept: at}, node[1], map[string]int{"0.0.0.0": 2, "::": 3}, nil},
		"IPv6's default route only":     {Want{Kept: at}, node[1], map[string]int{"::": 2}, nil},
		"default route elsewhere":       {Want{Kept: at}, node[1], map[string]int{"0.0.0.0": 3, "::": 2}, []string{"the default route leads to eth1: " + stays + "; to move it, start podlaned with --iface=eth1: a restart alone does not move it"}},
		"elsewhere, behind NAT":         {Want{Kept: at, PublicIP: netip.MustParseAddr("192.0.2.1")}, node[1], map[string]int{"0.0.0.0": 3}, []string{"the default route leads to eth1: " + stays + "; to move it, start podlaned with --iface=eth1: a restart alone does not move it"}},
		"elsewhere, by public address":  {Want{Kept: at, PublicIP: at[0]}, node[1], map[string]int{"0.0.0.0": 3}, nil},
		"elsewhere, named":              {Want{Kept: at, Ifaces: []string{"eth0"}}, node[1], map[string]int{"0.0.0.0": 3}, nil},
		"elsewhere, by what it reaches": {Want{Kept: at, CanReach: at[0]}, node[1], map[string]int{"0.0.0.0": 3}, nil},
		"none":                          {Want{Kept: at}, node[1], nil, []string{"no default route leads to a usable interface: " + stays}},
		"to one that is down":           {Want{Kept: at}, node[1], map[string]int{"0.0.0.0": 4}, []string{"no default route leads to a usable interface: " + stays}},
		"deprecated":                    {Want{Kept: at}, deprecated, map[string]int{"0.0.0.0": 2}, []string{"the address 2001:db8::1 of underlay eth0 is deprecated: when it is removed, the node is cut off until its peers know another"}},
		"deprecated, of no family used": {Want{Kept: at[:1]}, deprecated, map[string]int{"0.0.0.0": 2}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.notes, Notes(node, c.want, c.inUse, routes(c.routes))); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}
