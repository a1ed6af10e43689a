package firewall

import (
	"context"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/nft"
)

// watch runs Watch or WatchLegacy in the namespace until the returned function is called. That returns its error.
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

func TestWatchKicksForTablesThatApplyWrites(t *testing.T) {
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

func TestManyChangesCauseFewKicks(t *testing.T) {
	n := newNode(t, "node")
	n.apply(dual)
	kicks, stop := n.watch(Watch)
	n.wantKick(kicks, "at the start")
	began := time.Now()
	n.sh("nft add set inet podlane s '{ type ipv4_addr; }'; for i in $(seq 100); do nft add element inet podlane s \"{ 198.18.0.$i }\"; done")
	n.wantKick(kicks, "elements were added")
	if err := stop(); err != nil {
		t.Error(err)
	}
	if most := int(time.Since(began)/coalesce) + 1; len(kicks) > most {
		t.Errorf("got %d kicks after the first, want at most %d", len(kicks), most)
	}
}

func TestWatchIgnoresOtherTables(t *testing.T) {
	n := newNode(t, "node")
	kicks, stop := n.watch(Watch)
	n.wantKick(kicks, "at the start")
	n.sh("nft add table inet kube-proxy; nft add chain inet kube-proxy c; nft add table ip podlane; nft add table inet filter")
	n.sh("nft add table inet podlane") // events are in order: none of the others can follow
	n.wantKick(kicks, "podlane's table")
	select {
	case <-kicks:
		t.Error("a kick for a table of another program")
	default:
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A change of another program that may drop pods' packets is evaluated soon.
func TestWatchKicksForRulesOfOtherPrograms(t *testing.T) {
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

func TestUrgencyOfEvents(t *testing.T) {
	site, filterTable := nft.ID{Family: nftables.TableFamilyINet, Name: "site"}, nft.ID{Family: nftables.TableFamilyIPv4, Name: "filter"}
	event := func(table nft.ID, kind int) nft.Event { return nft.Event{Table: table, Kind: kind} }
	for name, c := range map[string]struct {
		events []nft.Event
		want   urgency
	}{
		"podlane's table":               {[]nft.Event{event(ownID, unix.NFT_MSG_NEWSETELEM)}, atOnce},
		"a table of podlane's name":     {[]nft.Event{event(nft.ID{Family: nftables.TableFamilyIPv4, Name: Name}, unix.NFT_MSG_NEWTABLE)}, ignored},
		"iptables-nft's filter":         {[]nft.Event{event(filterTable, unix.NFT_MSG_NEWRULE)}, atOnce},
		"inet filter":                   {[]nft.Event{event(nft.ID{Family: nftables.TableFamilyINet, Name: "filter"}, unix.NFT_MSG_NEWRULE)}, later},
		"another rule":                  {[]nft.Event{event(site, unix.NFT_MSG_NEWRULE)}, later},
		"another rule deleted":          {[]nft.Event{event(site, unix.NFT_MSG_DELRULE)}, later},
		"another table deleted":         {[]nft.Event{event(site, unix.NFT_MSG_DELTABLE)}, later},
		"another base chain":            {[]nft.Event{{Table: site, Kind: unix.NFT_MSG_NEWCHAIN, BaseChain: true}}, later},
		"another chain":                 {[]nft.Event{event(site, unix.NFT_MSG_NEWCHAIN)}, ignored},
		"another set":                   {[]nft.Event{event(site, unix.NFT_MSG_NEWSETELEM)}, ignored},
		"another rule, then podlane's":  {[]nft.Event{event(site, unix.NFT_MSG_NEWRULE), event(ownID, unix.NFT_MSG_DELRULE)}, atOnce},
		"another rule, then an element": {[]nft.Event{event(site, unix.NFT_MSG_NEWRULE), event(site, unix.NFT_MSG_NEWSETELEM)}, later},
	} {
		if got := mostUrgent(c.events); got != c.want {
			t.Errorf("%s: got urgency %d, want %d", name, got, c.want)
		}
	}
}
