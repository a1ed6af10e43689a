package firewall

import (
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/podlane/podlane/subnet"
)

var reasons = []string{"http_from_a_pod", "pod_source_forged", "vxlan_from_a_pod", "vxlan_from_a_wrong_interface", "vxlan_not_from_a_peer"}

func TestDroppedHasEveryReason(t *testing.T) {
	n := newNode(t, "node")
	if len(n.Dropped()) != 0 {
		t.Errorf("before the first Apply: %v", n.Dropped())
	}
	n.apply(dual)
	if got := slices.Sorted(maps.Keys(n.Dropped())); !slices.Equal(got, reasons) {
		t.Errorf("reasons %v, want %v", got, reasons)
	}
}

// Repairs and changed Rules keep the counts of the other rules.
func TestChangesKeepCounts(t *testing.T) {
	w := newOverlayWires(t)
	w.node.apply(dual)
	f := subnet.IPv4
	passes(t, w.outside.sends(peerAt[f], to8472(nodeAt[f]), vxlan(1)), w.ours[f])
	w.node.drops(dual, "vxlan_not_from_a_peer", w.outside.sends(strangerAt[f], to8472(nodeAt[f]), vxlan(1)), w.ours[f])
	noHTTP := with(func(r *Rules) { r.HTTPPort = 0 })
	for name, change := range map[string]func(){
		"a rule deleted": func() { w.node.sh("nft insert rule inet podlane vxlan_to_node accept"); w.node.apply(dual) },
		"a chain deleted": func() {
			w.node.sh("nft flush chain inet podlane output; nft delete chain inet podlane output")
			w.node.apply(dual)
		},
		"a chain not wanted": func() { w.node.apply(noHTTP) },
	} {
		change()
		if got := w.node.Dropped()["vxlan_not_from_a_peer"]; got != few {
			t.Errorf("%s: counted %d, want %d", name, got, few)
		}
		w.node.apply(dual)
	}
	w.node.sh("nft flush ruleset")
	w.node.apply(dual)
	if got := w.node.Dropped()["vxlan_not_from_a_peer"]; got != 0 {
		t.Errorf("the table was deleted: counted %d, want 0", got)
	}
}

// Counts are no difference to repair. Both families share one counter.
func TestCountsAreNotDrift(t *testing.T) {
	w := newOverlayWires(t)
	w.node.apply(dual)
	for f := range subnet.Families {
		at := w.node.socket(net.JoinHostPort(nodeAt[f], port4567))
		passes(t, w.outside.sends(peerAt[f], net.JoinHostPort(nodeAt[f], port4567), []byte("hello")), at)
		w.node.drops(dual, "pod_source_forged", w.outside.sends(siblingAt[f], net.JoinHostPort(nodeAt[f], port4567), []byte("hello")), at)
	}
	w.node.quiet(dual)
	if !strings.Contains(w.node.sh("nft list table inet podlane"), "counter packets 20 ") {
		t.Error("nft does not show what was counted")
	}
}
