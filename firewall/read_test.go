package firewall

import (
	"strings"
	"testing"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/nft"
)

func TestSetsAreKnownAfterOwnTransactions(t *testing.T) {
	have := snapshot{generation: 7, own: nft.Installed{Sets: []nft.KernelSet{{Name: "peers4"}}}}
	for name, c := range map[string]struct {
		kinds []string
		want  uint32 // the generation at which the sets are known; 0: none
	}{
		"rules":              {[]string{"rule", "rule"}, 9},
		"rules and elements": {[]string{"rule", "element"}, 0},
		"the table":          {[]string{"table", "chain", "set", "rule"}, 0},
	} {
		var ops []kernel.Op
		for _, k := range c.kinds {
			ops = append(ops, kernel.Op{Kind: k})
		}
		got := have.setsAfter(ops, 2)
		if got.generation != c.want || (got.sets != nil) != (c.want != 0) {
			t.Errorf("%s: got generation %d with %d sets, want generation %d", name, got.generation, len(got.sets), c.want)
		}
	}
}

// Elements that another program changes are seen at once, although the sets of the last verified table are remembered.
func TestKnownSetsAreReadAgainAfterAChange(t *testing.T) {
	n := newNode(t, "node")
	n.apply(dual)
	n.quiet(dual)
	if known := n.sets.at(n.generation()); len(known) == 0 {
		t.Error("after an Apply without a change, no sets are known")
	}
	for range 3 {
		n.sh("nft flush set inet podlane peers4; nft add element inet podlane peers4 '{ 198.18.0.66 }'")
		ops := words(n.apply(dual))
		for _, want := range []string{"add element inet podlane peers4 198.18.0.2 (drift)", "delete element inet podlane peers4 198.18.0.66 (drift)"} {
			if !strings.Contains(ops, want) {
				t.Errorf("got ops\n%s\nwant one of them to be %q", ops, want)
			}
		}
		n.quiet(dual)
	}
}
