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

// A crash of the node can leave reservation files whose content did not reach the disk: empty, or all zero bytes.
// host-local never allocates such an address again, and no DEL frees it, because the file names no container. host-local
// creates and writes a reservation under its lock. So a file that names no container while we hold the lock has no owner.

// freeUnowned removes the reservations that name no container from host-local's folder.
func freeUnowned(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was ever attached
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open host-local's lock: %w", err)
	}
	defer lock.Close() // it unlocks
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
		if data, err := os.ReadFile(path); err == nil && namesNobody(data) {
			errs = append(errs, os.Remove(path))
		}
	}))
	return errors.Join(errs...)
}

// namesNobody reports whether a reservation has only white space and zero bytes, which no container's ID has.
func namesNobody(data []byte) bool { return len(bytes.Trim(data, "\x00 \t\r\n")) == 0 }

// hasEmpty reports whether a reservation in host-local's folder is empty. It reads no file and takes no lock, so that it
// costs an ADD little. host-local may be about to write the file.
func hasEmpty(dir string) (empty bool) {
	_ = eachReservation(dir, func(_ string, size int64) { empty = empty || size == 0 }) // the delegate reads the folder too
	return empty
}

// eachReservation calls do with each file of the folder that is named after an address, and with its size.
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
			continue // the lock, or the file with the last allocated address
		}
		var info unix.Stat_t
		if unix.Fstatat(fd, name, &info, unix.AT_SYMLINK_NOFOLLOW) == nil && info.Mode&unix.S_IFMT == unix.S_IFREG {
			do(name, info.Size)
		}
	}
	return err
}
