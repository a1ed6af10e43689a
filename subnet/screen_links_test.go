package subnet

import (
	"testing"
)

func publicIP4(r Record, a string) Record {
	return with(r, IPv4, func(e *Endpoint) { e.PublicIP = addr(a) })
}

func TestLeasesThatDoNotFitTheUnderlayAreSkipped(t *testing.T) {
	n := network(t, around)
	underlay := links("10.240.1.1/16", "10.240.7.7/32", "fd00:99::1/64")
	self := record(1, pair("10.10.1.0/24", "fd00:5:0:1::/64")).Lease
	self.IPv4.PublicIP = addr("10.240.1.1")
	dual := func() Record { return record(2, pair("10.10.2.0/24", "fd00:5:0:2::/64")) }
	for name, c := range map[string]struct {
		other  Record
		reason string
	}{
		"good":                          {publicIP4(dual(), "10.240.1.2"), ""},
		"of an earlier range":           {record(2, pair("10.200.2.0/24", "fd00:9:0:2::/64")), ""},
		"pods on the underlay":          {record(2, pair("10.240.2.0/24")), "pod subnet 10.240.2.0/24 overlaps the underlay, 10.240.0.0/16"},
		"pods around the underlay":      {record(2, pair("10.192.0.0/10")), "pod subnet 10.192.0.0/10 overlaps the underlay, 10.240.0.0/16"},
		"IPv6 pods on the underlay":     {record(2, pair("10.10.2.0/24", "fd00:99::/80")), "pod subnet fd00:99::/80 overlaps the underlay, fd00:99::/64"},
		"broadcast address":             {publicIP4(dual(), "10.240.255.255"), "public address 10.240.255.255 is the broadcast address of the underlay 10.240.0.0/16"},
		"network address":               {publicIP4(dual(), "10.240.0.0"), "public address 10.240.0.0 is the network address of the underlay 10.240.0.0/16"},
		"another address of ours":       {publicIP4(dual(), "10.240.7.7"), "public address 10.240.7.7 is ours"},
		"address of a pod of ours":      {publicIP4(dual(), "10.10.1.9"), "public address 10.10.1.9 is in the pod network: pods have 10.10.0.0-10.99.0.255"},
		"address of a pod of its own":   {publicIP4(dual(), "10.10.2.9"), "public address 10.10.2.9 is in the pod network: pods have 10.10.0.0-10.99.0.255"},
		"IPv6 address of a pod":         {with(dual(), IPv6, func(e *Endpoint) { e.PublicIP = addr("fd00:5:0:9::9") }), "public address fd00:5:0:9::9 is in the pod network: pods have fd00:5::-fd00:6::ffff:ffff:ffff:ffff"},
		"address that no node can have": {publicIP4(dual(), "240.0.0.1"), "public address 240.0.0.1 cannot be the address of a node"},
	} {
		t.Run(name, func(t *testing.T) {
			peers, skipped := Screen(n, underlay, self, []Record{c.other})
			var want []Skip
			if c.reason != "" {
				want = []Skip{{c.other.Pair().Key(), c.reason}}
			}
			if d := diff(want, skipped); d != "" {
				t.Errorf("skipped (-want +got):\n%s", d)
			}
			if len(peers)+len(skipped) != 1 {
				t.Errorf("%d peers and %d skipped leases, want 1 in total", len(peers), len(skipped))
			}
		})
	}
	// Our own pod subnet may also be of an earlier range.
	self.IPv4.Subnet = prefix("10.200.1.0/24")
	other := publicIP4(dual(), "10.200.1.7")
	if _, skipped := Screen(n, underlay, self, []Record{other}); len(skipped) != 1 || skipped[0].Reason != "public address 10.200.1.7 is in our pod subnet, 10.200.1.0/24" {
		t.Errorf("%q", skipped)
	}
}

// A lease that is skipped because of its address does not block a newer valid one.
func TestSkippedLeaseWithAnInvalidAddressBlocksNoOther(t *testing.T) {
	n := dualStack(t)
	bad := publicIP4(record(2, pair("10.5.2.0/23")), "198.18.255.255")
	good := record(3, pair("10.5.3.0/24"))
	peers, skipped := Screen(n, links("198.18.1.1/16"), Lease{}, []Record{bad, good})
	if len(peers) != 1 || peers[0] != good.Lease || len(skipped) != 1 {
		t.Errorf("peers %v, skipped %q", peers, skipped)
	}
}

func TestLeaseWithAnImpossibleAddressIsMalformed(t *testing.T) {
	for _, a := range []string{"240.0.0.1", "255.255.255.255", "0.0.0.1", "127.0.0.1", "224.0.0.5"} {
		_, err := ParseLease("10.5.2.0-24", []byte(`{"PublicIP":"`+a+`","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:01"}}`))
		wantError(t, err, "PublicIP "+a+" cannot be the address of a node")
	}
}
