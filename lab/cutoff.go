package lab

import (
	"fmt"
	"net/netip"
	"strings"
)

// CutOff drops all packets between the node, including its pods, and some addresses. It uses a packet filter of its
// own in the node. heal removes the filter; calling it twice is fine.
func (n *Node) CutOff(addrs ...netip.Addr) (heal func() error, err error) {
	n.cuts++
	table := fmt.Sprintf("inet lab_cutoff_%d", n.cuts)
	if _, err := n.ns.Run("nft", cutOffRules(table, addrs)); err != nil {
		return nil, fmt.Errorf("cut %s off: %w", n.Name, err)
	}
	return func() error {
		// "add table" makes the deletion work even if the table does not exist.
		if _, err := n.ns.Run("nft", fmt.Sprintf("add table %s; delete table %s", table, table)); err != nil {
			return fmt.Errorf("heal %s: %w", n.Name, err)
		}
		return nil
	}, nil
}

// cutOffRules returns the nft commands that make the filter. It runs before every other table, and also for packets
// that the node forwards.
func cutOffRules(table string, addrs []netip.Addr) string {
	lines := []string{"add table " + table}
	for _, c := range []struct{ hook, end string }{{"prerouting", "saddr"}, {"postrouting", "daddr"}} {
		lines = append(lines, fmt.Sprintf("add chain %s %s { type filter hook %s priority raw; }", table, c.hook, c.hook))
		for _, a := range addrs {
			family := "ip"
			if a.Is6() {
				family = "ip6"
			}
			lines = append(lines, fmt.Sprintf("add rule %s %s %s %s %s drop", table, c.hook, family, c.end, a))
		}
	}
	return strings.Join(lines, "\n")
}
