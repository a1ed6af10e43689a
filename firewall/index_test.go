package firewall

import (
	"fmt"
	"strings"
	"testing"
)

// An interface that is deleted, created, or created again changes only the rules with its index. That is not a repair.
func TestIndexChangesOnlyItsRules(t *testing.T) {
	for name, c := range map[string]struct {
		interfaceOf func(r *Rules) *Interface
		chains      []string // with rules that name the index
	}{
		"bridge":      {func(r *Rules) *Interface { return &r.Bridge.Interface }, []string{"prerouting"}},
		"IPv4 device": {func(r *Rules) *Interface { return &r.Overlay[0] }, []string{"prerouting"}},
		"IPv6 device": {func(r *Rules) *Interface { return &r.Overlay[1] }, []string{"prerouting"}},
		"underlay":    {func(r *Rules) *Interface { return &r.Underlay }, []string{"prerouting", "vxlan_to_port"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "node")
			n.apply(complete)
			table := n.sh("nft -a list tables inet")
			for _, index := range []int{88, 0, 99, 0, 99} {
				r := complete
				i := c.interfaceOf(&r)
				i.Index = index
				for _, op := range n.apply(r) {
					if op.Kind != "rule" || op.Drift {
						t.Errorf("index %d: %s (drift: %v)", index, op, op.Drift)
					}
				}
				for _, chain := range c.chains {
					if has := strings.Contains(n.sh("nft list chain inet podlane "+chain), fmt.Sprintf("iif %d ", index)); has != (index != 0) {
						t.Errorf("index %d: chain %s has it: %v", index, chain, has)
					}
				}
				n.quiet(r)
			}
			if got := n.sh("nft -a list tables inet"); got != table {
				t.Errorf("the table was replaced: %s, was %s", got, table)
			}
		})
	}
}
