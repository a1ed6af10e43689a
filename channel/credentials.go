package channel

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// credentials returns the process at the other end of a connection, as it was when it connected (SO_PEERCRED, unix(7)).
func credentials(conn net.Conn) (c unix.Ucred, err error) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return c, fmt.Errorf("read the credentials of the peer: %T is not a socket", conn)
	}
	raw, err := socket.SyscallConn()
	if err == nil {
		var got *unix.Ucred
		failed := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
		if err = errors.Join(failed, err); err == nil {
			return *got, nil
		}
	}
	return c, fmt.Errorf("read the credentials of the peer: %w", err)
}
