package channel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// listen listens on the socket at a path. It replaces the socket of an earlier podlaned. No other user can connect at any time:
// the kernel copies the mode of the unbound socket to the new file.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // every user may read the node file in it
		return nil, fmt.Errorf("make the run folder: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old socket of the channel: %w", err)
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return control(c, func(fd int) error { return unix.Fchmod(fd, 0o600) })
	}}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on the socket of the channel: %w", err)
	}
	return l, nil
}

// credentials returns the process at the other end of a connection, as it was when it connected (SO_PEERCRED, unix(7)).
func credentials(conn net.Conn) (c unix.Ucred, err error) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return c, fmt.Errorf("read the credentials of the peer: %T is not a socket", conn)
	}
	raw, err := socket.SyscallConn()
	if err == nil {
		err = control(raw, func(fd int) error {
			got, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
			if err == nil {
				c = *got
			}
			return err
		})
	}
	if err != nil {
		return c, fmt.Errorf("read the credentials of the peer: %w", err)
	}
	return c, nil
}

// control calls f with the socket's descriptor.
func control(c syscall.RawConn, f func(fd int) error) error {
	var inner error
	if err := c.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}
