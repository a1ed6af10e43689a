package firewall

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

// tracked returns how many VXLAN connections between two addresses conntrack has, in either direction.
func (n *node) tracked(a, b string) (count int) {
	n.Helper()
	family := netlink.InetFamily(unix.AF_INET)
	if netip.MustParseAddr(a).Is6() {
		family = unix.AF_INET6
	}
	flows, err := here(n.ns, func() ([]*netlink.ConntrackFlow, error) {
		return netlink.ConntrackTableList(netlink.ConntrackTable, family)
	})
	if err != nil {
		n.Fatal(err)
	}
	for _, flow := range flows {
		from, to := flow.Forward.SrcIP.String(), flow.Forward.DstIP.String()
		if flow.Forward.Protocol == unix.IPPROTO_UDP && flow.Forward.DstPort == 8472 && (from == a && to == b || from == b && to == a) {
			count++
		}
	}
	return count
}

func TestVXLANIsNotTracked(t *testing.T) {
	w := newOverlayWires(t)
	for f, family := range subnet.Families {
		for _, c := range []struct {
			name     string
			from     *node
			as, to   string
			chain    string // without it the packets are tracked
			receiver arrivals
		}{
			{"in", w.outside, peerAt[f], nodeAt[f], "untracked_in", w.ours[f]},
			{"out", w.node, nodeAt[f], peerAt[f], "untracked_out", w.peers[f]},
		} {
			t.Run(family.String()+" "+c.name, func(t *testing.T) {
				w.in(t)
				w.node.apply(dual)
				passes(t, c.from.sends(c.as, to8472(c.to), vxlan(1)), c.receiver)
				if got := w.node.tracked(c.as, c.to); got != 0 {
					t.Errorf("got %d tracked connections", got)
				}
				w.node.sh("nft flush chain inet podlane " + c.chain)
				passes(t, c.from.sends(c.as, to8472(c.to), vxlan(1)), c.receiver)
				if got := w.node.tracked(c.as, c.to); got != 1 {
					t.Errorf("without the rule: got %d tracked connections, want 1", got)
				}
				if err := w.node.ns.Do(func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) }); err != nil {
					t.Fatal(err)
				}
			})
		}
		t.Run(family.String()+" another VNI is tracked", func(t *testing.T) {
			w.in(t)
			w.node.apply(dual)
			passes(t, w.outside.sends(peerAt[f], to8472(nodeAt[f]), vxlan(2)), w.others[f])
			if got := w.node.tracked(peerAt[f], nodeAt[f]); got != 1 {
				t.Errorf("got %d tracked connections", got)
			}
		})
		t.Run(family.String()+" forwarded VXLAN is tracked", func(t *testing.T) {
			w.in(t)
			w.node.apply(dual)
			at := w.pod.socket(to8472(podAt[f]))
			passes(t, w.outside.sends(strangerAt[f], to8472(podAt[f]), vxlan(1)), at)
			if got := w.node.tracked(strangerAt[f], podAt[f]); got != 1 {
				t.Errorf("got %d tracked connections", got)
			}
		})
	}
}
