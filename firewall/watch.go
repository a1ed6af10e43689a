package firewall

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/pause"
)

const (
	// coalesce is how long Watch waits after a kick. All changes within that time cause one kick. A table with thousands of elements
	// causes as many events.
	coalesce = 50 * time.Millisecond
	// othersDelay is how long Watch waits after a change of other rules. So many changes within that time cause one kick.
	othersDelay = 500 * time.Millisecond
)

// Watch calls kick when it begins to listen, and after every change of
//
//   - podlane's table and the filter tables of iptables-nft, also by this process
//   - rules and base chains elsewhere, after othersDelay, because they may drop what podlane needs
//
// Watch returns nil when ctx ends. It works in the calling thread's network namespace. kick must not block. The kernel does
// not announce changes of iptables-legacy: see WatchLegacy.
//
// After each kick Watch begins to listen again. It discards older events, because the receiver of the kick reads everything.
func Watch(ctx context.Context, kick func()) error {
	late := newLateKick(kick)
	defer late.stop()
	began := func() {
		kick()
		pause.For(ctx, coalesce)
	}
	for ctx.Err() == nil {
		err := nft.Await(ctx, began, func(events []nft.Event) bool {
			most := mostUrgent(events)
			if most == later {
				late.kick()
			}
			return most == atOnce
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lateKick calls kick after othersDelay, once for all requests in between.
type lateKick struct {
	timer   *time.Timer
	pending atomic.Bool
}

func newLateKick(kick func()) *lateKick {
	l := &lateKick{}
	l.timer = time.AfterFunc(time.Hour, func() {
		l.pending.Store(false)
		kick()
	})
	l.timer.Stop()
	return l
}

func (l *lateKick) kick() {
	if l.pending.CompareAndSwap(false, true) {
		l.timer.Reset(othersDelay)
	}
}

func (l *lateKick) stop() { l.timer.Stop() }

// urgency is how soon an event needs an Apply.
type urgency int

const (
	ignored urgency = iota
	later
	atOnce
)

// mostUrgent returns the highest urgency of events. Apply follows at once for a table that it changes, and later for one that
// it evaluates.
func mostUrgent(events []nft.Event) (most urgency) {
	for _, e := range events {
		if isWritten(e.Table) {
			return atOnce
		}
		switch e.Kind {
		case unix.NFT_MSG_NEWRULE, unix.NFT_MSG_DELRULE, unix.NFT_MSG_DELCHAIN, unix.NFT_MSG_DELTABLE:
			most = later
		case unix.NFT_MSG_NEWCHAIN:
			if e.BaseChain {
				most = later
			}
		}
	}
	return most
}

// isWritten reports whether Apply changes a table: podlane's own, or iptables-nft's filter.
func isWritten(table nft.ID) bool {
	if table.Family == nftables.TableFamilyINet {
		return table == ownID
	}
	return isIptablesFilter(nft.KernelChain{Table: table})
}
