package firewall

import (
	"maps"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
)

// formerTable returns dual's table of a former version, without early rules, as nft prints it.
func formerTable(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/former_table.nft")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// load replaces podlane's table with a text of nft, in one transaction.
func (n *node) load(table string) {
	n.Helper()
	n.sh("nft -f - <<X\ntable inet podlane\ndelete table inet podlane\n" + table + "X\n")
}

// The table of a former version is replaced in one transaction. The counts of dropped packets are kept.
func TestTableWithoutEarlyRulesIsUpgraded(t *testing.T) {
	for name, c := range map[string]struct {
		rules Rules
		want  string
	}{"general rules": {dual, golden}, "early rules": {complete, completeGolden}} {
		t.Run(name, func(t *testing.T) {
			n := newCompleteNode(t)
			n.load(formerTable(t))
			if got := n.sh(list); !strings.Contains(got, "chain vxlan_prerouting") || !strings.Contains(got, "chain antispoof") {
				t.Fatalf("this is not the former table:\n%s", got)
			}
			before := n.generation()
			if ops := words(n.apply(c.rules)); strings.Contains(ops, "drift") {
				t.Errorf("an upgrade is reported as drift:\n%s", ops)
			}
			if got := n.generation(); got != before+1 {
				t.Errorf("the generation went from %d to %d, want one transaction", before, got)
			}
			equal(t, "table", n.sh(list), c.want)
			want := map[string]uint64{
				"pod_source_forged": 1, "vxlan_from_a_wrong_interface": 2, "vxlan_not_from_a_peer": 3, "vxlan_from_a_pod": 4 + 5 + 6, "http_from_a_pod": 7 + 8 + 9,
			}
			if got := n.Dropped(); !maps.Equal(got, want) {
				t.Errorf("counts %v, want %v", got, want)
			}
			n.quiet(c.rules)
		})
	}
}

// While packets arrive, the table is upgraded again and again. Every valid packet arrives, and no forged one.
func TestUpgradeLosesNoPacket(t *testing.T) {
	const upgrades = 20
	w := newTunnelWires(t)
	f := int(subnet.IPv4)
	rules := early.rules(w.node, dual)
	valid := w.fromTunnel(f, tunnelledAt[f], port(podAt[f]))
	forged := []sender{
		w.fromTunnel(f, siblingAt[f], port(podAt[f])), w.fromTunnel(f, unleasedAt[f], port(podAt[f])),
		w.outside.sends(siblingAt[f], port(podAt[f]), []byte("hello")), w.outside.sends(strangerAt[f], to8472(nodeAt[f]), vxlan(1)),
	}
	for _, send := range append(forged[:3:3], valid) {
		passes(t, send, w.atPod[f]) // without a table
	}
	passes(t, forged[3], w.ours[f])
	w.node.load(formerTable(t))
	before, beforeDevice := w.atPod[f](), w.ours[f]()
	sent, stop := uint64(0), make(chan struct{})
	await := func(condition func() bool) bool {
		for deadline := time.Now().Add(5 * time.Second); !condition(); {
			if time.Now().After(deadline) {
				return false
			}
			runtime.Gosched()
		}
		return true
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		for {
			for _, send := range forged {
				send(1)
			}
			valid(1)
			sent++
			if !await(func() bool { return w.atPod[f]() >= before+sent }) {
				t.Error("a valid packet is lost")
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for range upgrades {
		w.node.apply(rules)
		w.node.load(formerTable(t))
	}
	close(stop)
	sending.Wait()
	w.node.apply(rules)
	t.Logf("%d valid packets during %d upgrades", sent, upgrades)
	if got := w.atPod[f]() - before; got != sent {
		t.Errorf("%d packets arrived at the pod, want the %d valid ones", got, sent)
	}
	if got := w.ours[f]() - beforeDevice; got != 3*sent { // the device checks no inner source
		t.Errorf("%d packets arrived at the tunnel, want %d", got, 3*sent)
	}
}
