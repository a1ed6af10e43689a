package promises

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// overhead is what VXLAN over IPv4 adds to a packet. IPv4 has 20 bytes, UDP 8, VXLAN 8 and the inner Ethernet header
// 14.
const overhead = 50

func TestFullSizedPacketsPassUnfragmented(t *testing.T) {
	for _, underlay := range []int{1500, 9000} {
		t.Run(fmt.Sprint(underlay), func(t *testing.T) {
			l := cluster.Start(t, lab.Options{MTU: underlay, Nodes: 2}, 2)
			mtu := underlay - overhead
			for _, n := range l.Nodes {
				if got := cluster.NodeFile(t, n)["PODLANE_MTU"]; got != strconv.Itoa(mtu) {
					t.Errorf("node file of %s: MTU %s, want %d", n.Name, got, mtu)
				}
				for _, device := range []string{"podlane.1", "cni0"} {
					expectMTU(t, n.Place, device, mtu)
				}
			}
			for _, from := range l.Pods() {
				expectMTU(t, from.Place, "eth0", mtu)
				for _, to := range l.Pods() {
					if from != to {
						expectFits(t, from.Place, to.Addrs[0], mtu)
					}
				}
			}
			expectFits(t, l.Nodes[0].Place, l.Pods()[3].Addrs[0], mtu)
		})
	}
}

func expectMTU(t *testing.T, p *lab.Place, device string, mtu int) {
	t.Helper()
	if out := cluster.Run(t, p, "ip -o link show "+device); !strings.Contains(out, fmt.Sprintf(" mtu %d ", mtu)) {
		t.Errorf("%s of %s: want MTU %d: %s", device, p.Name, mtu, out)
	}
}

// expectFits sends a packet with exactly the MTU that must not be fragmented. A packet that is a byte longer must be
// refused by the sender's kernel.
func expectFits(t *testing.T, from *lab.Place, to netip.Addr, mtu int) {
	t.Helper()
	headers := 20 + 8 // IPv4 and ICMP
	if to.Is6() {
		headers = 40 + 8
	}
	cluster.Run(t, from, fmt.Sprintf("ping -n -q -c 1 -W 2 -M do -s %d %s", mtu-headers, to))
	out := cluster.RunFails(t, from, fmt.Sprintf("ping -n -c 1 -W 0.1 -M do -s %d %s", mtu-headers+1, to))
	if !regexp.MustCompile(fmt.Sprintf(`message too long, mtu[=:] ?%d\b`, mtu)).MatchString(out) {
		t.Errorf("%s: a packet a byte longer than the MTU %d: want it refused: %s", from.Name, mtu, out)
	}
}

// The largest datagrams, 65,507 bytes by IPv4 and 65,527 by IPv6, have some 46 fragments in the tunnel.
func TestLargestDatagramsArriveWhole(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 2, IPv6: true, Config: cluster.DualStack}, 2)
	cluster.AwaitPeers(t, l, within5, 1)
	for _, from := range l.Pods() {
		for _, to := range l.Pods() {
			for i, size := range []int{65507, 65527} {
				if from != to {
					expectWhole(t, from, to, i, size)
				}
			}
		}
	}
}

// expectWhole sends some datagrams of a size there and back. address is the index of the pods' addresses.
func expectWhole(t *testing.T, from, to *lab.Pod, address, size int) {
	t.Helper()
	echo, u := newEcho(t, to.Place, to.Addrs[address]), listenUDP(t, from.Place, from.Addrs[address])
	defer func() { _ = u.Close() }() // nothing is on its way
	random := rand.NewChaCha8([32]byte{1})
	for i := range 5 {
		datagram := make([]byte, size)
		_, _ = random.Read(datagram) // it never fails
		if err := checkEcho(u, echo, datagram); err != nil {
			t.Errorf("%s to %s and back, number %d of %d bytes: %v", from.Name, to.Name, i+1, size, err)
		}
	}
}
