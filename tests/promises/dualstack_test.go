package promises

import (
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// The IPv6 tunnel's outer packets are IPv6. That is 20 bytes more, for pods of both families.
const overhead6 = overhead + 20

func TestDualStack(t *testing.T) {
	expectFamilies(t, cluster.DualStack, 2)
}

func TestIPv6Only(t *testing.T) {
	expectFamilies(t, `{"EnableIPv4": false, "EnableIPv6": true, "IPv6Network": "fd00:5::/48", "Backend": {"Type": "vxlan"}}`, 1)
}

// expectFamilies starts a network whose pods have this number of addresses. It tests all of them.
func expectFamilies(t *testing.T, config string, families int) {
	t.Helper()
	l := cluster.Start(t, lab.Options{IPv6: true, Config: config}, 2)
	cluster.AwaitPeers(t, l, within5, 2)
	for _, p := range l.Pods() {
		if len(p.Addrs) != families {
			t.Fatalf("%s has the addresses %v, want %d", p.Name, p.Addrs, families)
		}
	}
	expectFlat(t, l, cluster.OverlayAddr)
	expectMasquerade(t, l)
	expectNextPodReached(t, l)
	from, to := l.Pods()[0], l.Pods()[2]
	expectMTU(t, from.Place, "eth0", 1500-overhead6)
	for _, a := range to.Addrs {
		expectFits(t, from.Place, a, 1500-overhead6)
	}
}
