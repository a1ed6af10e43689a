package firewall

import (
	"context"
	"runtime"
	"testing"
	"time"
)

// watch runs Watch, or WatchLegacy, in the namespace until the returned function is called, which gives its error.
func (n *node) watch(run func(ctx context.Context, kick func()) error) (kicks <-chan struct{}, stop func() error) {
	n.Helper()
	ctx, cancel := context.WithCancel(n.Context())
	c, done := make(chan struct{}, 100), make(chan error, 1)
	go func() {
		done <- n.ns.Do(func() error {
			return run(ctx, func() {
				select {
				case c <- struct{}{}:
				default:
				}
			})
		})
	}()
	stop = func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(5 * time.Second):
			n.Fatal("Watch does not end with its context")
			return nil
		}
	}
	return c, stop
}

func (n *node) wantKick(kicks <-chan struct{}, why string) {
	n.Helper()
	select {
	case <-kicks:
	case <-time.After(5 * time.Second):
		n.Fatalf("no kick: %s", why)
	}
}

func TestWatchKicks(t *testing.T) {
	n := newNode(t, "node")
	n.apply(dual)
	n.sh("iptables-nft -P FORWARD DROP; ip6tables-nft -L")
	kicks, stop := n.watch(Watch)
	n.wantKick(kicks, "at the start")
	for _, edit := range []string{
		"nft flush ruleset",
		"nft add table inet podlane",
		"nft add chain inet podlane mine",
		"nft add rule inet podlane mine accept",
		"nft add set inet podlane s '{ type ipv4_addr; }'",
		"nft add element inet podlane s '{ 198.18.0.1 }'",
		"nft delete table inet podlane",
		"iptables-nft -P FORWARD DROP",
		"ip6tables-nft -P FORWARD DROP",
		"iptables-nft -A FORWARD -p tcp -j ACCEPT",
		"iptables-nft -F FORWARD",
	} {
		n.sh(edit)
		n.wantKick(kicks, edit)
		for len(kicks) > 0 { // one edit may be several events
			<-kicks
		}
	}
	if err := stop(); err != nil {
		t.Errorf("Watch ended with %v", err)
	}
}

func TestWatchLeavesOthersTablesAlone(t *testing.T) {
	n := newNode(t, "node")
	kicks, stop := n.watch(Watch)
	n.wantKick(kicks, "at the start")
	n.sh("nft add table inet kube-proxy; nft add chain inet kube-proxy c; nft add table ip podlane; nft add table inet filter")
	n.sh("nft add table inet podlane") // events come in order: after this one's the others' are over
	n.wantKick(kicks, "our own table")
	select {
	case <-kicks:
		t.Error("a kick for the tables of others")
	default:
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A change that may drop pods' packets is evaluated soon.
func TestWatchSeesOthersRules(t *testing.T) {
	n := newNode(t, "node")
	n.sh("nft add table inet site; nft add chain inet site more; nft add table bridge site")
	kicks, stop := n.watch(Watch)
	n.wantKick(kicks, "at the start")
	for _, edit := range []string{
		"nft add chain inet site c '{ type filter hook forward priority 0; policy drop; }'",
		"nft add rule inet site more drop; nft add rule inet site c jump more",
		"nft flush chain inet site c",
		"nft add chain bridge site c '{ type filter hook forward priority 0; policy drop; }'",
		"nft delete table bridge site",
		"iptables-nft -t mangle -A FORWARD -j DROP",
	} {
		n.sh(edit)
		n.wantKick(kicks, edit)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestWatchSurvivesLostEvents(t *testing.T) {
	n := newNode(t, "node")
	ctx, cancel := context.WithCancel(t.Context())
	kicked, resume, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- n.ns.Do(func() error {
			return Watch(ctx, func() {
				select {
				case kicked <- struct{}{}:
					<-resume
				case <-ctx.Done():
				}
			})
		})
	}()
	<-kicked // Watch does not read while it waits here
	n.sh(`nft -f - <<X
table inet podlane {
	set s { type ipv4_addr; }
}
X
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
  { echo "flush set inet podlane s"; for j in $(seq 0 255); do echo "add element inet podlane s { 10.$i.0.$j, 10.$i.1.$j, 10.$i.2.$j, 10.$i.3.$j, 10.$i.4.$j, 10.$i.5.$j }"; done; } | nft -f -
done`)
	close(resume)
	<-kicked
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Watch ended with %v", err)
	}
}

func TestWatchLeavesNothingBehind(t *testing.T) {
	n := newNode(t, "node")
	before := runtime.NumGoroutine()
	for range 10 {
		kicks, stop := n.watch(Watch)
		n.wantKick(kicks, "at the start")
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}
