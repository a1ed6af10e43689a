package firewall

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// othersDelay is how long Watch waits after a change of another program's rules, so that a series of changes is one kick.
const othersDelay = 500 * time.Millisecond

// Watch calls kick once when it begins to listen, and then whenever somebody, this process included, has changed the
// node's own table or iptables-nft's filter tables, until ctx ends; it then returns nil. After a change of a rule or a base
// chain elsewhere, which may drop what podlane needs, it waits for othersDelay first. It listens in the network
// namespace of the thread that calls it. kick must not block. iptables-legacy tells nobody of its changes: for that,
// Apply has to be called from time to time.
func Watch(ctx context.Context, kick func()) error {
	s, err := open(nil)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		return fmt.Errorf("listen to nftables: %w", explain(err))
	}
	stop := context.AfterFunc(ctx, func() {
		_ = s.SetReadDeadline(time.Unix(1, 0)) // in the past: it ends the Receive below
	})
	defer stop()
	kick() // for what changed before the kernel began to tell
	late := newLateKick(kick)
	defer late.stop()
	for {
		events, err := s.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // events were lost
			kick()
		case err != nil:
			return fmt.Errorf("listen to nftables: %w", err)
		}
		switch concern(events) {
		case atOnce:
			kick()
		case later:
			late.kick()
		case ignored:
		}
	}
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

// concern returns the highest urgency of the events: at once for a table that Apply edits, later for one that it evaluates.
// The first attribute of every event but the end of a transaction is the name of its table.
func concern(events []netlink.Message) (most urgency) {
	for _, e := range events {
		if len(e.Data) < 4 || e.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN {
			continue
		}
		name, _ := find(e.Data[4:], unix.NFTA_TABLE_NAME)
		if edited(nftables.TableFamily(e.Data[0]), text(name)) {
			return atOnce
		}
		switch e.Header.Type & 0xff {
		case unix.NFT_MSG_NEWRULE, unix.NFT_MSG_DELRULE, unix.NFT_MSG_DELCHAIN, unix.NFT_MSG_DELTABLE:
			most = later
		case unix.NFT_MSG_NEWCHAIN:
			if _, base := find(e.Data[4:], unix.NFTA_CHAIN_HOOK); base {
				most = later
			}
		}
	}
	return most
}

// edited reports whether Apply edits a table: the node's own or iptables-nft's filter.
func edited(f nftables.TableFamily, table string) bool {
	if f == nftables.TableFamilyINet {
		return table == Name
	}
	return isIptablesFilter(heldChain{family: f, table: table})
}
