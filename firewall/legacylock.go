package firewall

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// legacyLock is the file that iptables-legacy's programs lock while they work, containers that use them among the rest:
// these mount it.
const legacyLock = "/run/xtables.lock"

// lockWatch is told whenever a program closes the lock, and so lets it go. A nil one watches nothing.
type lockWatch struct{ file *os.File }

// watchLock begins to watch, where that is possible. Like the programs it makes the file where there is none yet.
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

// await returns when the lock was let go since the last call, after a time, or with ctx. It tells whether there still is
// a file to watch.
func (w *lockWatch) await(ctx context.Context, most time.Duration) bool {
	if w == nil {
		return false
	}
	_ = w.file.SetReadDeadline(time.Now().Add(most)) // it fails on a closed file alone
	stop := context.AfterFunc(ctx, func() { _ = w.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var b [unix.SizeofInotifyEvent * 256]byte // an event of a file has no name; as many as there can be are read at once
	n, err := w.file.Read(b[:])
	return errors.Is(err, os.ErrDeadlineExceeded) || err == nil && !gone(b[:n])
}

// gone tells whether the events say that the file is no more, or may be: while somebody holds it, all that changes is the
// number of its names.
func gone(events []byte) bool {
	for ; len(events) >= unix.SizeofInotifyEvent; events = events[unix.SizeofInotifyEvent:] {
		if mask := binary.NativeEndian.Uint32(events[4:]); mask&(unix.IN_IGNORED|unix.IN_ATTRIB) != 0 {
			return true
		}
	}
	return false
}
