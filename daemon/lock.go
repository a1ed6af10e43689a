package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// nodeLock is an abstract socket (unix(7)). The kernel allows one of each name in a network namespace. Two podlaned in one
// namespace would write the same routes, whatever their folders and containers are. The kernel removes the socket when
// the process ends.
const nodeLock = "@podlaned"

// lock makes this the only podlaned of its network namespace.
func lock(ctx context.Context, name string) (unlock func(), err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "unix", name)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return nil, fmt.Errorf("another podlaned runs on this node: %s", holder(ctx, name))
	case err != nil:
		return nil, fmt.Errorf("lock the node: %w", err)
	}
	return func() { l.Close() }, nil
}

// holder names the process that listens on a socket.
func holder(ctx context.Context, name string) string {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", name)
	if err != nil {
		return "its process does not answer: " + err.Error()
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err.Error()
	}
	var peer *unix.Ucred
	control := raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(control, err); err != nil {
		return err.Error()
	}
	if peer.Pid == 0 {
		return "its process is in another container"
	}
	if peer.Uid != 0 { // any user can listen on this name
		return fmt.Sprintf("process %d of user %d uses its socket, and is not a podlaned of root", peer.Pid, peer.Uid)
	}
	return fmt.Sprintf("its process is %d", peer.Pid)
}
