package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// After a crash of the node, the content of reservation files may be lost: they are empty, or all zero bytes. host-local
// never allocates such an address again. No DEL frees it, because the file names no container. host-local creates and
// writes a reservation under its lock. So if we hold the lock, a file that names no container has no owner.

// freeUnowned removes reservations that name no container from host-local's folder.
func freeUnowned(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was ever attached
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open host-local's lock: %w", err)
	}
	defer lock.Close() // releases the lock
	for {
		if err = unix.Flock(int(lock.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	var errs []error
	errs = append(errs, eachReservation(dir, func(name string, _ int64) {
		path := filepath.Join(dir, name)
		if data, err := os.ReadFile(path); err == nil && namesNoContainer(data) {
			errs = append(errs, os.Remove(path))
		}
	}))
	return errors.Join(errs...)
}

// namesNoContainer reports whether a reservation has only white space and zero bytes. No container's ID has these.
func namesNoContainer(data []byte) bool { return len(bytes.Trim(data, "\x00 \t\r\n")) == 0 }

// hasEmpty reports whether a reservation in host-local's folder is empty. host-local may be about to write it. To keep an
// ADD fast, hasEmpty reads no file and does not lock.
func hasEmpty(dir string) (empty bool) {
	_ = eachReservation(dir, func(_ string, size int64) { empty = empty || size == 0 }) // the delegate reads the folder too
	return empty
}

// eachReservation calls do for each file whose name is an address, with its size.
func eachReservation(dir string, do func(name string, size int64)) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	fd := int(folder.Fd())
	for _, name := range names {
		if _, err := netip.ParseAddr(name); err != nil {
			continue // the lock, or the file of the last address
		}
		var info unix.Stat_t
		if unix.Fstatat(fd, name, &info, unix.AT_SYMLINK_NOFOLLOW) == nil && info.Mode&unix.S_IFMT == unix.S_IFREG {
			do(name, info.Size)
		}
	}
	return err
}
