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

// defaultDataDir is where host-local keeps its reservations: DATADIR/NETWORK/ADDRESS.
const defaultDataDir = "/var/lib/cni/networks"

// reservationDir returns the folder in which host-local keeps this network's reservations.
func (c config) reservationDir() (string, error) {
	dir, name := defaultDataDir, ""
	if raw, ok := c.ipam["dataDir"]; ok && json.Unmarshal(raw, &dir) != nil {
		return "", invalid("%q is %.60s, not a path", "ipam.dataDir", raw)
	}
	if err := json.Unmarshal(c.keys["name"], &name); err != nil {
		return "", invalid("%q is %.60s, not a name", "name", c.keys["name"])
	}
	if dir == "" {
		dir = defaultDataDir // as host-local has it
	}
	return filepath.Join(dir, name), nil
}

// readReservations returns the attachments that host-local holds an address for, one for each address. What can be read
// is returned along with an error about what cannot. One that names no container is that of an ADD which is about to write
// it: those that a crash left were freed before.
func readReservations(dir string) (all []types.GCAttachment, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nothing was ever attached
	}
	errs := []error{err}
	for _, e := range entries {
		if _, err := netip.ParseAddr(e.Name()); err != nil {
			continue // host-local's lock, or the last address it gave out
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

// parseReservation reads the file that host-local keeps for an address: "CONTAINER\r\nINTERFACE", or, as an old
// host-local wrote it, the container alone.
func parseReservation(data []byte) (a types.GCAttachment, ok bool) {
	a.ContainerID, a.IfName, _ = strings.Cut(strings.TrimSpace(string(data)), "\r\n")
	return a, a.ContainerID != ""
}
