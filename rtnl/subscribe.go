package rtnl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Size of the receive buffer in bytes as the kernel accounts them. A notification needs about 1 KB. If it is full,
// the kernel drops notifications and returns ENOBUFS.
const subscriptionSize = 8 << 20

// Subscription is a netlink socket that receives notifications. Like Conn, it belongs to the network namespace of the
// thread that opened it.
type Subscription struct {
	file *os.File // in the runtime's poller, so that a read can be interrupted
	buf  []byte
}

// Subscribe opens a subscription to groups (unix.RTNLGRP_...). It receives every later notification.
func Subscribe(groups ...int) (*Subscription, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	s := &Subscription{file: os.NewFile(uintptr(fd), "rtnetlink"), buf: make([]byte, readSize)}
	_, err = grow(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, subscriptionSize)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}
	for _, g := range groups {
		if err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g)
		}
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("subscribe to the kernel's changes: %w", err)
	}
	return s, nil
}

// Close ends the subscription and discards unread notifications.
func (s *Subscription) Close() { _ = s.file.Close() } // nothing is buffered, so no error matters

// Await reads until matters returns true for a notification. It also returns nil if the kernel dropped notifications
// that were not read in time. Any of them may have mattered. It returns ctx's error when ctx ends.
func (s *Subscription) Await(ctx context.Context, matters func(Message) bool) error {
	stop := context.AfterFunc(ctx, func() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) }) // it fails only on a closed file
	defer stop()
	for {
		n, err := s.file.Read(s.buf)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.ENOBUFS):
			return nil
		case err != nil:
			return fmt.Errorf("read the kernel's changes: %w", err)
		}
		for m, rest, ok := Next(s.buf[:n]); ok; m, rest, ok = Next(rest) {
			if matters(m) {
				return nil
			}
		}
	}
}
