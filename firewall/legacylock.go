package firewall

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// legacyLock is the file that iptables-legacy's programs lock while they work. Containers that use them mount it.
const legacyLock = "/run/xtables.lock"

// lockWatch waits until a program closes the lock file, which releases the lock. A nil lockWatch watches nothing.
type lockWatch struct{ file *os.File }

// watchLock begins to watch; it returns nil if that is impossible. Like the programs, it creates a missing file.
func watchLock(path string) *lockWatch {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	w := &lockWatch{os.NewFile(uintptr(fd), path)}
	if f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600); err == nil {
		f.Close()
	}
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_CLOSE|unix.IN_ATTRIB); err != nil {
		w.close()
		return nil
	}
	return w
}

func (w *lockWatch) close() {
	if w != nil {
		w.file.Close()
	}
}

// await waits until a program releases the lock. It returns at once if one has done so since the last call. It also returns after
// the timeout, and when ctx ends. It reports whether the file can still be watched.
func (w *lockWatch) await(ctx context.Context, timeout time.Duration) bool {
	if w == nil {
		return false
	}
	_ = w.file.SetReadDeadline(time.Now().Add(timeout)) // it fails only on a closed file
	stop := context.AfterFunc(ctx, func() { _ = w.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var b [unix.SizeofInotifyEvent * 256]byte // several events at once; an event of a file has no name
	n, err := w.file.Read(b[:])
	return errors.Is(err, os.ErrDeadlineExceeded) || err == nil && !gone(b[:n])
}

// gone reports whether the file was deleted, or may have been. While a process has the file open, a deletion only changes its
// link count (IN_ATTRIB).
func gone(events []byte) bool {
	for ; len(events) >= unix.SizeofInotifyEvent; events = events[unix.SizeofInotifyEvent:] {
		if mask := binary.NativeEndian.Uint32(events[4:]); mask&(unix.IN_IGNORED|unix.IN_ATTRIB) != 0 {
			return true
		}
	}
	return false
}
