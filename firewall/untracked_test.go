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

// forget deletes all tracked connections.
func (n *node) forget() {
	n.Helper()
	if err := n.ns.Do(func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) }); err != nil {
		n.Fatal(err)
	}
}

func TestVXLANIsNotTracked(t *testing.T) {
	w := newOverlayWires(t)
	w.inForms(t, w.vxlanIsNotTracked)
}

func (w overlayWires) vxlanIsNotTracked(t *testing.T, form tableForm) {
	rules := form.rules(w.node, dual)
	in := map[string]string{general.name: "vxlan_arrives", early.name: "from_underlay"}[form.name]
	for f, family := range subnet.Families {
		for _, c := range []struct {
			name     string
			from     *node
			as, to   string
			chain    string // without it the packets are tracked
			receiver arrivals
		}{
			{"in", w.outside, peerAt[f], nodeAt[f], in, w.ours[f]},
			{"out", w.node, nodeAt[f], peerAt[f], "output", w.peers[f]},
		} {
			t.Run(family.String()+" "+c.name, func(t *testing.T) {
				w.in(t)
				w.node.apply(rules)
				passes(t, c.from.sends(c.as, to8472(c.to), vxlan(1)), c.receiver)
				if got := w.node.tracked(c.as, c.to); got != 0 {
					t.Errorf("got %d tracked connections", got)
				}
				w.node.sh("nft flush chain inet podlane " + c.chain)
				passes(t, c.from.sends(c.as, to8472(c.to), vxlan(1)), c.receiver)
				if got := w.node.tracked(c.as, c.to); got != 1 {
					t.Errorf("without the rule: got %d tracked connections, want 1", got)
				}
				w.node.forget()
			})
		}
		t.Run(family.String()+" another VNI is tracked", func(t *testing.T) {
			w.in(t)
			w.node.apply(rules)
			passes(t, w.outside.sends(peerAt[f], to8472(nodeAt[f]), vxlan(2)), w.others[f])
			if got := w.node.tracked(peerAt[f], nodeAt[f]); got != 1 {
				t.Errorf("got %d tracked connections", got)
			}
		})
		t.Run(family.String()+" forwarded VXLAN is tracked", func(t *testing.T) {
			w.in(t)
			w.node.apply(rules)
			at := w.pod.socket(to8472(podAt[f]))
			passes(t, w.outside.sends(strangerAt[f], to8472(podAt[f]), vxlan(1)), at)
			if got := w.node.tracked(strangerAt[f], podAt[f]); got != 1 {
				t.Errorf("got %d tracked connections", got)
			}
		})
		w.node.forget()
	}
}
