package firewall

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Watch calls kick once when it begins to listen, and then whenever somebody, this process included, has changed the
// node's own table or iptables-nft's filter tables, until ctx ends; it then returns nil. It listens in the network
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
	for {
		events, err := s.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // events were lost
			kick()
		case err != nil:
			return fmt.Errorf("listen to nftables: %w", err)
		case concern(events):
			kick()
		}
	}
}

// concern tells whether one of the events is about a table that Apply reads. Of every kind of object but the end of a
// transaction, the first attribute is the name of its table.
func concern(events []netlink.Message) bool {
	for _, e := range events {
		if len(e.Data) < 4 || e.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN {
			continue
		}
		name, _ := find(e.Data[4:], unix.NFTA_TABLE_NAME)
		switch table := text(name); nftables.TableFamily(e.Data[0]) {
		case nftables.TableFamilyINet:
			if table == Name {
				return true
			}
		case nftables.TableFamilyIPv4, nftables.TableFamilyIPv6:
			if table == filter {
				return true
			}
		}
	}
	return false
}
