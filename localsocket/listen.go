// Package localsocket listens on the local sockets of podlaned.
package localsocket

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

// Listen listens on the socket at a path, and makes its folder. It replaces the socket of an earlier podlaned, so the caller must
// hold podlaned's lock. At no time can more users connect than the mode permits. The kernel copies the mode of the unbound socket
// to the new file, without the bits of the umask.
func Listen(ctx context.Context, path string, mode os.FileMode) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // every user may read the node file in it
		return nil, fmt.Errorf("make the run folder: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old socket: %w", err)
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if failed := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), uint32(mode)) }); failed != nil {
			return failed
		}
		return err
	}}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on the local socket: %w", err)
	}
	if err := os.Chmod(path, mode); err != nil { // adds what the umask has removed
		l.Close()
		return nil, fmt.Errorf("protect the local socket: %w", err)
	}
	return l, nil
}
