package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
)

// defaultDataDir is the folder of host-local's reservations: DATADIR/NETWORK/ADDRESS.
const defaultDataDir = "/var/lib/cni/networks"

// reservationDir returns the folder of this network's reservations.
func (c config) reservationDir() (string, error) {
	dir, name := defaultDataDir, ""
	if raw, ok := c.ipam["dataDir"]; ok && json.Unmarshal(raw, &dir) != nil {
		return "", invalid("%q is %.60s, not a path", "ipam.dataDir", raw)
	}
	if err := json.Unmarshal(c.keys["name"], &name); err != nil {
		return "", invalid("%q is %.60s, not a name", "name", c.keys["name"])
	}
	if dir == "" {
		dir = defaultDataDir // like host-local
	}
	return filepath.Join(dir, name), nil
}

// readReservations returns the attachments that have a reservation, one for each address. If some files cannot be read,
// it returns the others and an error. It ignores a file that names no container. An ADD is about to write it: gc has
// already freed those that a crash left.
func readReservations(dir string) (all []types.GCAttachment, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nothing was ever attached
	}
	errs := []error{err}
	for _, e := range entries {
		if _, err := netip.ParseAddr(e.Name()); err != nil {
			continue // the lock, or the file of the last address
		}
		path := filepath.Join(dir, e.Name())
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if a, ok := parseReservation(data); ok {
			all = append(all, a)
		}
	}
	return all, errors.Join(errs...)
}

// parseReservation parses host-local's file for an address: "CONTAINER\r\nINTERFACE". An old host-local wrote only the
// container.
func parseReservation(data []byte) (a types.GCAttachment, ok bool) {
	a.ContainerID, a.IfName, _ = strings.Cut(strings.TrimSpace(string(data)), "\r\n")
	return a, a.ContainerID != ""
}
