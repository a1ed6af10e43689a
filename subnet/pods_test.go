package subnet

import (
	"fmt"
	"net/netip"
	"testing"
)

// around is a network that contains the underlay, outside its pod subnets. flannel's documentation has such a network.
const around = `{"Network":"10.0.0.0/8","SubnetMin":"10.10.0.0","SubnetMax":"10.99.0.0",
	"EnableIPv6":true,"IPv6Network":"fd00::/16","IPv6SubnetMin":"fd00:5::","IPv6SubnetMax":"fd00:6::"}`

func links(list ...string) (ps []netip.Prefix) {
	for _, s := range list {
		ps = append(ps, prefix(s))
	}
	return ps
}

func TestAddressesOfPods(t *testing.T) {
	own := record(1, pair("10.10.1.0/24", "fd00:5:0:1::/64")).Lease
	inside, outside := record(2, pair("10.11.2.0/24", "fd00:5:0:2::/64")).Lease, record(3, pair("10.200.3.0/24", "fd00:9:0:3::/64")).Lease
	inNetwork := with(Record{Lease: inside}, IPv4, func(e *Endpoint) { e.PublicIP = addr("10.240.0.9") }).Lease
	ownInNetwork := with(Record{Lease: own}, IPv6, func(e *Endpoint) { e.PublicIP = addr("fd00:99::1") }).Lease
	const (
		whole4, whole6 = "10.0.0.0/8", "fd00::/16"
		pods4, pods6   = "10.10.0.0-10.99.0.255", "fd00:5::-fd00:6::ffff:ffff:ffff:ffff"
	)
	for name, c := range map[string]struct {
		config string
		links  []netip.Prefix
		self   Lease
		peers  []Lease
		want   string
	}{
		"underlay elsewhere":               {around, links("198.18.1.1/16", "2001:db8::1/64"), own, []Lease{inside, outside}, "[" + whole4 + " " + whole6 + "]"},
		"IPv4 underlay in it":              {around, links("10.240.0.2/16", "2001:db8::1/64"), own, []Lease{inside}, "[" + pods4 + " " + whole6 + "]"},
		"a single address in it":           {around, links("10.240.0.2/32"), own, []Lease{inside}, "[" + pods4 + " " + whole6 + "]"},
		"both":                             {around, links("10.240.0.2/16", "fd00:99::1/64"), own, []Lease{inside}, "[" + pods4 + " " + pods6 + "]"},
		"a peer of an earlier range":       {around, links("10.240.0.2/16", "fd00:99::1/64"), own, []Lease{inside, outside}, "[" + pods4 + " 10.200.3.0/24 " + pods6 + " fd00:9:0:3::/64]"},
		"our own of an earlier range":      {around, links("10.240.0.2/16"), outside, nil, "[" + pods4 + " 10.200.3.0/24 " + whole6 + "]"},
		"a peer's public address in it":    {around, links("198.18.1.1/16"), own, []Lease{inNetwork}, "[" + pods4 + " " + whole6 + "]"},
		"our public address in it":         {around, links("198.18.1.1/16"), ownInNetwork, nil, "[" + whole4 + " " + pods6 + "]"},
		"in the first, which no node gets": {`{"Network":"10.5.0.0/16"}`, links("10.5.0.9/24"), own, nil, "[10.5.1.0-10.5.255.255 10.10.1.0/24]"},
		"underlay elsewhere, no range":     {`{"Network":"10.5.0.0/16"}`, links("10.6.0.9/24"), own, nil, "[10.5.0.0/16]"},
		"link-local addresses of theirs":   {around, links("198.18.1.1/16", "fe80::1/64"), own, nil, "[" + whole4 + " " + whole6 + "]"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fmt.Sprint(network(t, c.config).Pods(c.links, c.self, c.peers)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestImpossiblePublicAddresses(t *testing.T) {
	underlay := links("198.18.1.1/16", "192.0.2.4/31", "192.0.2.9/32", "2001:db8::1/64", "fe80::1/64")
	for a, want := range map[string]string{
		"198.18.1.2":         "",
		"198.18.0.255":       "", // the broadcast address of no link of ours
		"198.18.255.255":     "public address 198.18.255.255 is the broadcast address of the underlay 198.18.0.0/16",
		"198.18.0.0":         "public address 198.18.0.0 is the network address of the underlay 198.18.0.0/16",
		"192.0.2.4":          "",
		"192.0.2.5":          "",
		"192.0.2.9":          "",
		"100.64.3.4":         "",
		"169.254.3.4":        "",
		"10.240.0.9":         "",
		"10.9.255.255":       "",
		"10.10.0.1":          "public address 10.10.0.1 is in the pod network: pods have 10.10.0.0-10.99.0.255",
		"10.99.0.255":        "public address 10.99.0.255 is in the pod network",
		"10.99.1.0":          "",
		"240.0.0.1":          "public address 240.0.0.1 cannot be the address of a node",
		"255.255.255.255":    "cannot be the address of a node",
		"0.0.0.0":            "cannot be the address of a node",
		"0.1.2.3":            "cannot be the address of a node",
		"127.0.0.1":          "cannot be the address of a node",
		"224.0.0.1":          "cannot be the address of a node",
		"2001:db8::2":        "",
		"2001:db8::":         "public address 2001:db8:: is the anycast address of all routers of the underlay 2001:db8::/64",
		"2001:db8::ffff":     "",
		"fd00:99::1":         "",
		"fd00:5:0:1::1":      "is in the pod network: pods have fd00:5::-fd00:6::ffff:ffff:ffff:ffff",
		"::":                 "cannot be the address of a node",
		"::1":                "cannot be the address of a node",
		"::198.18.1.2":       "cannot be the address of a node",
		"ff02::1":            "cannot be the address of a node",
		"fe80::2":            "cannot be the address of a node",
		"::ffff:240.0.0.1":   "cannot be the address of a node",
		"::ffff:198.18.1.2":  "cannot be the address of a node",
		"::ffff:198.18.1.77": "cannot be the address of a node",
	} {
		wantError(t, network(t, around).CheckPublicIP(underlay, addr(a)), want)
	}
}
