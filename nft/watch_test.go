package nft

import (
	"context"
	"runtime"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// await runs Await in the namespace until the returned function is called, which returns its error. The first value of changes is
// nil, when Await has begun.
func (n *node) await() (changes <-chan []Event, stop func() error) {
	n.Helper()
	ctx, cancel := context.WithCancel(n.Context())
	c, done := make(chan []Event, 100), make(chan error, 1)
	go func() {
		done <- n.ns.Do(func() error {
			return Await(ctx, func() { c <- nil }, func(events []Event) bool {
				c <- events
				return false
			})
		})
	}()
	return c, func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(5 * time.Second):
			n.Fatal("Await does not end with its context")
			return nil
		}
	}
}

// wantEvents receives events until there are as many as wanted, and compares them.
func (n *node) wantEvents(what string, changes <-chan []Event, want ...Event) {
	n.Helper()
	var got []Event
	for timeout := time.After(5 * time.Second); len(got) < len(want); {
		select {
		case events := <-changes:
			got = append(got, events...)
		case <-timeout:
			n.Fatalf("%s: got only %v, want %v", what, got, want)
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		n.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestAwaitReportsChangesByTable(t *testing.T) {
	n := newNode(t)
	changes, stop := n.await()
	if events := <-changes; events != nil {
		t.Errorf("at the start: got %v, want no events", events)
	}
	other := ID{nftables.TableFamilyBridge, "other"}
	for _, c := range []struct {
		edit string
		want []Event
	}{
		{"nft add table inet site", []Event{{Table: siteID, Kind: unix.NFT_MSG_NEWTABLE}}},
		{"nft add table bridge other", []Event{{Table: other, Kind: unix.NFT_MSG_NEWTABLE}}},
		{"nft add chain inet site c", []Event{{Table: siteID, Kind: unix.NFT_MSG_NEWCHAIN}}},
		{"nft add chain bridge other c '{ type filter hook forward priority 0; }'", []Event{{Table: other, Kind: unix.NFT_MSG_NEWCHAIN, BaseChain: true}}},
		{"nft add rule inet site c accept", []Event{{Table: siteID, Kind: unix.NFT_MSG_NEWRULE}}},
		{"nft rename chain inet site c d", []Event{{Table: siteID, Kind: unix.NFT_MSG_NEWCHAIN}}},
		{"nft add set inet site s '{ type ipv4_addr; }'", []Event{{Table: siteID, Kind: unix.NFT_MSG_NEWSET}}},
		{"nft add element inet site s '{ 198.18.0.1 }'", []Event{{Table: siteID, Kind: unix.NFT_MSG_NEWSETELEM}}},
		{"nft delete table bridge other", []Event{{Table: other, Kind: unix.NFT_MSG_DELCHAIN}, {Table: other, Kind: unix.NFT_MSG_DELTABLE}}},
	} {
		n.sh(c.edit)
		n.wantEvents(c.edit, changes, c.want...)
	}
	if err := stop(); err != nil {
		t.Errorf("Await ended with %v", err)
	}
}

func TestAwaitEndsWithAnEventThatMatters(t *testing.T) {
	n := newNode(t)
	began, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- n.ns.Do(func() error {
			return Await(t.Context(), func() { close(began) }, func(events []Event) bool { return events[0].Table == siteID })
		})
	}()
	<-began
	n.sh("nft add table inet other")
	select {
	case err := <-done:
		t.Fatalf("it ended with an event that does not matter: %v", err)
	default:
	}
	n.sh("nft add table inet site")
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it does not end with an event that matters")
	}
}

func TestAwaitEndsAfterLostEvents(t *testing.T) {
	n := newNode(t)
	began, resume, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- n.ns.Do(func() error {
			return Await(t.Context(), func() {
				close(began)
				<-resume // Await does not read while it waits here
			}, func([]Event) bool { return false })
		})
	}()
	<-began
	n.sh(`nft -f - <<X
table inet site {
	set s { type ipv4_addr; }
}
X
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
  { echo "flush set inet site s"; for j in $(seq 0 255); do echo "add element inet site s { 10.$i.0.$j, 10.$i.1.$j, 10.$i.2.$j, 10.$i.3.$j, 10.$i.4.$j, 10.$i.5.$j }"; done; } | nft -f -
done`)
	close(resume)
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("Await does not end although events were lost")
	}
}

func TestAwaitLeavesNothingBehind(t *testing.T) {
	n := newNode(t)
	before := runtime.NumGoroutine()
	for range 10 {
		changes, stop := n.await()
		<-changes
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
