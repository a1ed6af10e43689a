package underlay

import (
	"strings"
	"testing"

	"github.com/podlane/podlane/subnet"
)

func TestOverlap(t *testing.T) {
	const (
		dual = `{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`
		gce  = `{"Network":"10.0.0.0/8","SubnetMin":"10.10.0.0","SubnetMax":"10.99.0.0"}` // as in flannel's documentation
		v6   = `{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00::/16","IPv6SubnetMin":"fd00:5::","IPv6SubnetMax":"fd00:6::"}`
	)
	for name, c := range map[string]struct{ config, addr, err string }{
		"beside":                 {dual, "10.6.0.1/16", ""},
		"address inside":         {dual, "10.5.1.7/24", "pod network 10.5.0.0/16 overlaps 10.5.1.7/24 of underlay interface eth0: give the pod network other addresses, or set SubnetMin and SubnetMax so that the pod subnets, now 10.5.1.0 to 10.5.255.255, do not overlap the underlay, 10.5.1.0 to 10.5.1.255"},
		"same":                   {dual, "10.5.0.1/16", "pod network 10.5.0.0/16 overlaps 10.5.0.1/16 of underlay interface eth0"},
		"underlay around":        {dual, "10.0.0.1/8", "pod network 10.5.0.0/16 overlaps 10.0.0.1/8 of underlay interface eth0"},
		"IPv6 beside":            {dual, "fd00:6::1/64", ""},
		"IPv6 inside":            {dual, "fd00:5:0:1::1/64", "pod network fd00:5::/48 overlaps fd00:5:0:1::1/64 of underlay interface eth0: give the pod network other addresses, or set IPv6SubnetMin and IPv6SubnetMax"},
		"IPv6 link-local":        {dual, "fe80::1/64", ""},
		"single address next":    {dual, "10.4.255.255/32", ""},
		"first subnet":           {dual, "10.5.0.7/24", ""}, // it is not a pod subnet of the range
		"below SubnetMin":        {gce, "10.9.255.1/16", ""},
		"above SubnetMax":        {gce, "10.240.0.2/16", ""},
		"single address":         {gce, "10.240.0.2/32", ""},
		"right after the last":   {gce, "10.99.1.7/24", ""},
		"in the last subnet":     {gce, "10.99.0.129/25", "the pod subnets, now 10.10.0.0 to 10.99.0.255, do not overlap the underlay, 10.99.0.128 to 10.99.0.255"},
		"in the first subnet":    {gce, "10.10.0.3/30", "overlaps 10.10.0.3/30"},
		"in the middle":          {gce, "10.50.0.1/16", "overlaps 10.50.0.1/16"},
		"around it all":          {gce, "10.64.0.1/9", "the underlay, 10.0.0.0 to 10.127.255.255"},
		"IPv6 beyond the range":  {v6, "fd00:7::1/64", ""},
		"IPv6 in the last":       {v6, "fd00:6::1/64", "now fd00:5:: to fd00:6::ffff:ffff:ffff:ffff"},
		"a family that is off":   {gce, "fd00:5::1/64", ""},
		"IPv4 beside IPv6 alone": {v6, "10.50.0.1/16", ""},
	} {
		t.Run(name, func(t *testing.T) {
			network, _, err := subnet.ParseNetwork([]byte(c.config))
			if err != nil {
				t.Fatal(err)
			}
			err = Overlap(Interface{Name: "eth0", Addrs: addrs(c.addr)}, network)
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}
