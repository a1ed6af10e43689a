package nft

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Event is a change of the rule set by any process, this one included.
type Event struct {
	Table     ID
	Kind      int  // unix.NFT_MSG_NEWRULE and so on
	BaseChain bool // Kind is unix.NFT_MSG_NEWCHAIN, and the chain is a base chain
}

// Await listens to changes of the rule set, by any process, in the calling thread's network namespace. It calls began when it
// listens, and then matters for each change. It returns nil in three cases:
//
//   - matters returned true.
//   - The kernel dropped events, because Await did not read them in time.
//   - ctx has ended.
//
// Then unread events are lost. So the caller must assume that anything has changed.
func Await(ctx context.Context, began func(), matters func([]Event) bool) error {
	c, err := Dial()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.conn.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		return fmt.Errorf("listen to nftables: %w", explain(err))
	}
	stop := context.AfterFunc(ctx, func() {
		_ = c.conn.SetReadDeadline(time.Unix(1, 0)) // in the past: it ends Receive
	})
	defer stop()
	began()
	for {
		messages, err := c.conn.Receive()
		switch {
		case ctx.Err() != nil, errors.Is(err, unix.ENOBUFS):
			return nil
		case err != nil:
			return fmt.Errorf("listen to nftables: %w", err)
		}
		if events := parseEvents(messages); len(events) > 0 && matters(events) {
			return nil
		}
	}
}

// parseEvents returns the changes. In each message, the attribute of type 1 is the name of the table. The message that ends a
// transaction is not a change.
func parseEvents(messages []netlink.Message) (events []Event) {
	for _, m := range messages {
		if len(m.Data) < 4 || m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN {
			continue
		}
		attrs := Attrs(m.Data[4:])
		e := Event{Table: ID{nftables.TableFamily(m.Data[0]), attrs.Text(unix.NFTA_TABLE_NAME)}, Kind: int(m.Header.Type & 0xff)}
		if e.Kind == unix.NFT_MSG_NEWCHAIN {
			_, e.BaseChain = attrs.Find(unix.NFTA_CHAIN_HOOK)
		}
		events = append(events, e)
	}
	return events
}
