package firewall

import "testing"

func TestWatchLegacyKicksForForward(t *testing.T) {
	n := newNode(t, "node")
	n.sh("iptables-legacy -L")
	kicks, stop := n.watch(WatchLegacy)
	n.wantKick(kicks, "at the start")
	for _, edit := range []string{
		"iptables-legacy -P FORWARD DROP",
		"iptables-legacy -A FORWARD -p tcp -j ACCEPT",
		"iptables-legacy -F FORWARD",
		"ip6tables-legacy -P FORWARD DROP",
	} {
		n.sh(edit)
		n.wantKick(kicks, edit)
	}
	n.sh("iptables-legacy -A INPUT -p tcp -j ACCEPT")
	n.sh("iptables-legacy -P FORWARD ACCEPT")
	n.wantKick(kicks, "FORWARD after INPUT")
	if err := stop(); err != nil {
		t.Error(err)
	}
	if len(kicks) > 0 {
		t.Error("a kick for a change of INPUT")
	}
}
