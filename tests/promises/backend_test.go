package promises

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

func TestDirectRoutingEncapsulatesNothing(t *testing.T) {
	l := cluster.Start(t, lab.Options{Config: `{"Network": "10.5.0.0/16", "Backend": {"Type": "vxlan", "DirectRouting": true}}`}, 2)
	cluster.AwaitPeers(t, l, within5, 2)
	counts := countTunnelled(t, l, 8472)
	expectFlat(t, l, cluster.UnderlayAddr) // the route leads to the underlay interface, so the source is its address
	expectMasquerade(t, l)
	if sent := counts(); sent != 0 {
		t.Errorf("%d packets between nodes on one link were encapsulated, want none", sent)
	}
	for _, n := range l.Nodes {
		for line := range strings.Lines(cluster.Run(t, n.Place, "ip route show proto 112")) {
			if !strings.Contains(line, " dev eth0 ") {
				t.Errorf("%s: the route to a peer is not direct: %s", n.Name, line)
			}
		}
	}
}

func TestOtherVNIAndPort(t *testing.T) {
	l := cluster.Start(t, lab.Options{Config: `{"Network": "10.5.0.0/16", "Backend": {"Type": "vxlan", "VNI": 4711, "Port": 4789}}`}, 2)
	cluster.AwaitPeers(t, l, within5, 2)
	standard, usual := countTunnelled(t, l, 4789), countTunnelled(t, l, 8472)
	expectFlat(t, l, cluster.OverlayAddr)
	if sent := standard(); sent == 0 {
		t.Error("no encapsulated packet went to port 4789")
	}
	if wrong := usual(); wrong != 0 {
		t.Errorf("%d encapsulated packets went to port 8472, want none", wrong)
	}
	out := cluster.Run(t, l.Nodes[0].Place, "ip -d link show podlane.4711")
	for _, want := range []string{"vxlan id 4711 ", " dstport 4789 "} {
		if !strings.Contains(out, want) {
			t.Errorf("the device has no %q: %s", want, out)
		}
	}
}

var counter = regexp.MustCompile(`counter packets (\d+)`)

// countTunnelled starts to count the packets that the nodes send to a UDP port.
func countTunnelled(t *testing.T, l *lab.Lab, port int) (count func() int) {
	t.Helper()
	table := fmt.Sprintf("inet count%d", port)
	for _, n := range l.Nodes {
		cluster.Run(t, n.Place, "nft add table "+table)
		cluster.Run(t, n.Place, "nft add chain "+table+" output { type filter hook output priority 0 ; }")
		cluster.Run(t, n.Place, fmt.Sprintf("nft add rule %s output udp dport %d counter", table, port))
	}
	return func() (sum int) {
		for _, n := range l.Nodes {
			out := cluster.Run(t, n.Place, "nft list table "+table)
			found := counter.FindStringSubmatch(out)
			if found == nil {
				t.Fatalf("no counter in %s", out)
			}
			packets, err := strconv.Atoi(found[1])
			cluster.Check(t, err)
			sum += packets
		}
		return sum
	}
}
