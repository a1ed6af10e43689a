package underlay

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func addrs(list ...string) (ps []netip.Prefix) {
	for _, s := range list {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

var node = []Interface{
	{Name: "lo", Index: 1, Up: true, Loopback: true, Addrs: addrs("127.0.0.1/8", "192.0.2.7/32", "::1/128")},
	{Name: "eth0", Index: 2, MTU: 1500, Up: true, Addrs: addrs("198.18.0.1/16", "fe80::1/64", "2001:db8::1/64")},
	{Name: "eth1", AltNames: []string{"enp0s3", "storage"}, Index: 3, MTU: 9000, Up: true, Addrs: addrs("198.19.0.1/24", "198.19.1.1/24")},
	{Name: "eth2", Index: 4, Up: false, Addrs: addrs("203.0.113.1/24")},
	{Name: "eth3", Index: 5, Up: true, Addrs: addrs("fe80::3/64", "169.254.0.3/16")},
	{Name: "podlane.1", Index: 6, Up: true, Addrs: addrs("10.5.34.0/32")},
	{Name: "cni0", Index: 7, Up: true, Addrs: addrs("10.5.34.1/24")},
	{Name: "vethab12", Index: 8, Up: true},
}

func kept(list ...string) (as []netip.Addr) {
	for _, s := range list {
		as = append(as, netip.MustParseAddr(s))
	}
	return as
}

// routes returns a routing table that is indexed by the text of the destination.
func routes(table map[string]int) func(netip.Addr) (int, error) {
	return func(a netip.Addr) (int, error) {
		if index, ok := table[a.String()]; ok {
			return index, nil
		}
		return 0, ErrNoRoute
	}
}

const all = ": there are lo (127.0.0.1/8, 192.0.2.7/32, ::1/128), eth0 (198.18.0.1/16, 2001:db8::1/64), " +
	"eth1 (198.19.0.1/24, 198.19.1.1/24), eth2 (down, 203.0.113.1/24), eth3 (no address)"

func TestChoose(t *testing.T) {
	addr := netip.MustParseAddr
	everywhere := map[string]int{"0.0.0.0": 2, "::": 2, "9.9.9.9": 3, "198.18.0.1": 1, "10.5.1.1": 6, "8.8.8.8": 99}
	for name, c := range map[string]struct {
		want   Want
		routes map[string]int
		name   string // of the interface chosen
		err    string
	}{
		"default":                  {Want{}, everywhere, "eth0", ""},
		"default IPv6":             {Want{}, map[string]int{"::": 3}, "eth1", ""},
		"default IPv6 beside lo":   {Want{}, map[string]int{"0.0.0.0": 1, "::": 3}, "eth1", ""},
		"default through pods":     {Want{}, map[string]int{"0.0.0.0": 7}, "", "the route goes through the overlay itself, interface cni0, and there is no route; name the interface with --iface"},
		"no default":               {Want{}, nil, "", "there is no route, and there is no route; name the interface with --iface"},
		"name":                     {Want{Ifaces: []string{"eth1"}}, everywhere, "eth1", ""},
		"altname":                  {Want{Ifaces: []string{"enp0s3"}}, everywhere, "eth1", ""},
		"name with spaces":         {Want{Ifaces: []string{" eth1 "}}, everywhere, "eth1", ""},
		"name of loopback":         {Want{Ifaces: []string{"lo"}}, everywhere, "lo", ""},
		"name of ours":             {Want{Ifaces: []string{"cni0"}}, everywhere, "cni0", ""},
		"no such name":             {Want{Ifaces: []string{"eth7"}}, everywhere, "", "interface eth7 does not exist"},
		"name of one that is down": {Want{Ifaces: []string{"eth2"}}, everywhere, "", "interface eth2 is down"},
		"name without address":     {Want{Ifaces: []string{"eth3"}}, everywhere, "", "interface eth3 has no address that other nodes can use"},
		"second name":              {Want{Ifaces: []string{"eth7", "eth2", "eth1", "eth0"}}, everywhere, "eth1", ""},
		"no name":                  {Want{Ifaces: []string{"eth7", "eth2"}}, everywhere, "", "interface eth7 does not exist; interface eth2 is down"},
		"address":                  {Want{Ifaces: []string{"198.19.1.1"}}, everywhere, "eth1", ""},
		"IPv6 address":             {Want{Ifaces: []string{"2001:db8:0::1"}}, everywhere, "eth0", ""},
		"mapped address":           {Want{Ifaces: []string{"::ffff:198.19.0.1"}}, everywhere, "eth1", ""},
		"address on loopback":      {Want{Ifaces: []string{"192.0.2.7"}}, everywhere, "lo", ""},
		"address of another":       {Want{Ifaces: []string{"198.18.0.2"}}, everywhere, "", "no interface has address 198.18.0.2"},
		"address of the overlay":   {Want{Ifaces: []string{"10.5.34.1"}}, everywhere, "", "no interface has address 10.5.34.1"},
		"CIDR":                     {Want{Ifaces: []string{"198.16.0.0/12"}}, everywhere, "eth0", ""},
		"CIDR with host bits":      {Want{Ifaces: []string{"198.19.0.77/24"}}, everywhere, "eth1", ""},
		"CIDR that only one down":  {Want{Ifaces: []string{"203.0.113.0/24"}}, everywhere, "", "interface eth2 is down"},
		"CIDR of the overlay":      {Want{Ifaces: []string{"10.5.0.0/16"}}, everywhere, "", "no interface has an address in 10.5.0.0/16"},
		"regex on names":           {Want{Regex: "^eth[1-9]$"}, everywhere, "eth1", ""},
		"regex on addresses":       {Want{Regex: `^2001:db8:`}, everywhere, "eth0", ""},
		"regex on altnames":        {Want{Regex: "^(enp|ens)"}, everywhere, "eth1", ""},
		"regex on an altname last": {Want{Regex: "storage|198.18"}, everywhere, "eth0", ""},
		"regex on anything":        {Want{Regex: "."}, everywhere, "eth0", ""},
		"regex on nothing":         {Want{Regex: "^ens"}, everywhere, "", `no interface has a name or an address that matches "^ens"`},
		"regex on ours":            {Want{Regex: "podlane|cni"}, everywhere, "", `no interface has a name or an address that matches "podlane|cni"`},
		"regex on one down":        {Want{Regex: "^eth[2-9]"}, everywhere, "", `interface eth2 is down`},
		"regex malformed":          {Want{Regex: "eth("}, everywhere, "", "regular expression \"eth(\": error parsing regexp: missing closing ): `eth(`"},
		"name before regex":        {Want{Ifaces: []string{"eth7"}, Regex: "eth1"}, everywhere, "eth1", ""},
		"can reach":                {Want{CanReach: addr("9.9.9.9")}, everywhere, "eth1", ""},
		"cannot reach":             {Want{CanReach: addr("9.9.9.1")}, everywhere, "", "9.9.9.1 cannot be reached: there is no route"},
		"can reach itself":         {Want{CanReach: addr("198.18.0.1")}, everywhere, "", "198.18.0.1 is an address of this node itself"},
		"can reach a pod":          {Want{CanReach: addr("10.5.1.1")}, everywhere, "", "10.5.1.1 cannot be reached: the route goes through the overlay itself, interface podlane.1"},
		"can reach by nothing":     {Want{CanReach: addr("8.8.8.8")}, everywhere, "", "8.8.8.8 cannot be reached: the route goes through interface number 99, which does not exist"},
		"public address":           {Want{PublicIP: addr("198.19.1.1")}, everywhere, "eth1", ""},
		"public address of a NAT":  {Want{PublicIP: addr("192.0.2.1")}, everywhere, "eth0", ""},
		"kept":                     {Want{Kept: kept("198.19.0.1")}, everywhere, "eth1", ""},
		"kept, no default":         {Want{Kept: kept("198.19.0.1")}, nil, "eth1", ""},
		"kept, but only in part":   {Want{Kept: kept("198.19.0.1", "2001:db8::7")}, everywhere, "eth0", ""},
		"kept, another in place":   {Want{Kept: kept("198.19.0.1", "198.19.0.7")}, everywhere, "eth1", ""},
		"kept, and down":           {Want{Kept: kept("203.0.113.1")}, everywhere, "eth0", ""},
		"kept, down, no default":   {Want{Kept: kept("203.0.113.1")}, nil, "", "interface eth2 is down; there is no route, and there is no route; name the interface with --iface"},
		"kept, and lost":           {Want{Kept: kept("192.0.2.99")}, everywhere, "eth0", ""},
		"kept, lost, no default":   {Want{Kept: kept("192.0.2.99")}, nil, "", "no interface has the address by which the other nodes know this one, 192.0.2.99; there is no route, and there is no route; name the interface with --iface"},
		"kept of the overlay":      {Want{Kept: kept("10.5.34.1")}, everywhere, "eth0", ""},
		"kept, behind a NAT":       {Want{Kept: kept("198.19.0.1"), PublicIP: addr("192.0.2.1")}, everywhere, "eth1", ""},
		"kept and public address":  {Want{Kept: kept("198.19.0.1"), PublicIP: addr("198.18.0.1")}, everywhere, "eth0", ""},
		"kept and named":           {Want{Kept: kept("198.19.0.1"), Ifaces: []string{"eth0"}}, everywhere, "eth0", ""},
		"kept and regex":           {Want{Kept: kept("198.19.0.1"), Regex: "eth0"}, everywhere, "eth0", ""},
		"kept and can reach":       {Want{Kept: kept("198.18.0.1"), CanReach: addr("9.9.9.9")}, everywhere, "eth1", ""},
		"name and public address":  {Want{Ifaces: []string{"eth0"}, PublicIP: addr("198.19.1.1")}, everywhere, "eth0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Choose(node, c.want, routes(c.routes))
			if c.err == "" {
				if err != nil || got.Name != c.name {
					t.Errorf("chose %q, %v; want %s", got.Name, err, c.name)
				}
				return
			}
			if want := "choose the underlay interface: " + c.err + all; err == nil || err.Error() != want {
				t.Errorf("error\n%v\nwant\n%s", err, want)
			}
		})
	}
}

func TestChooseOnANodeWithoutInterfaces(t *testing.T) {
	_, err := Choose(nil, Want{Ifaces: []string{"eth0"}}, routes(nil))
	if err == nil || !strings.HasSuffix(err.Error(), "interface eth0 does not exist: there are no interfaces") {
		t.Error(err)
	}
}

func TestChooseErrorHasKernelText(t *testing.T) {
	refused := errors.New("operation not permitted")
	_, err := Choose(node, Want{}, func(netip.Addr) (int, error) { return 0, refused })
	if err == nil || !strings.Contains(err.Error(), refused.Error()) {
		t.Error(err)
	}
}
