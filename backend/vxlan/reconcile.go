package vxlan

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// maxRounds is how often one pass reads and writes before it gives up, because somebody changes the kernel against it.
// A start from nothing takes four: make the device, set it up, write the entries, find all as it should be.
const maxRounds = 8

// reconciler makes one family's state what it should be.
type reconciler struct {
	family   subnet.Family
	name     string            // of the wanted device; empty if the family is off
	index    int               // of that device
	network  netip.Prefix      // of the family's pods
	pods     []subnet.Interval // the addresses of all pods, of both families
	subnet   netip.Prefix      // our own
	underlay underlay.Interface
	w        writer
	have     *state
	want     state
	before   state       // what the last pass left; for labels only
	verified bool        // there was a last pass, and it found all as it should be
	created  bool        // this pass made the device
	others   []otherAddr // addresses of all other interfaces, of both families
	links    map[int]string
}

// run reads, and writes what differs, until a round finds nothing to write. What the kernel refused is then gone from
// want, so that want is what stands.
func (rec *reconciler) run(ctx context.Context) error {
	for range maxRounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		settled, err := rec.round()
		switch {
		case errors.Is(err, unix.ENODEV): // the device has gone meanwhile: the next round makes it again
		case settled || err != nil:
			return err
		}
	}
	if n := len(rec.w.done); n > 0 {
		return fmt.Errorf("%w; the last write was: %s", errNotConverged, rec.w.done[n-1])
	}
	return errNotConverged
}

var errNotConverged = fmt.Errorf("the kernel differs after %d rounds of writing: somebody else changes it back", maxRounds)

// round reads the kernel and writes one layer of what differs: the device, what belongs to it, the entries.
func (rec *reconciler) round() (settled bool, err error) {
	links, err := readLinks(rec.w.conn)
	if err != nil {
		return false, err
	}
	rec.recordLinks(links)
	changed := rec.writeDevices(links)
	if !changed && rec.name != "" {
		changed, err = rec.setDevice(links)
	}
	if err != nil {
		return false, err
	}
	if changed {
		rec.w.clearRefused() // what was refused while the device was not right may now be taken
		return false, rec.sendDevice(links)
	}
	blocked, err := rec.readEntries()
	if err != nil {
		return false, err
	}
	rec.writeEntries(blocked)
	if len(rec.w.ops) == 0 {
		return true, nil
	}
	return false, rec.w.send()
}

func (rec *reconciler) readEntries() (blocked conflicts, err error) {
	if rec.name != "" {
		if err = rec.have.readNeighbours(rec.w.conn, rec.family, rec.index); err != nil {
			return blocked, err
		}
		if blocked.fdb, err = rec.have.readFDB(rec.w.conn, rec.index, rec.want.device.learning); err != nil {
			return blocked, err
		}
	}
	blocked.routes, err = rec.have.readRoutes(rec.w.conn, rec.family, rec.index)
	return blocked, err
}

func (rec *reconciler) recordLinks(links []link) {
	rec.index = 0
	rec.links = map[int]string{rec.underlay.Index: rec.underlay.Name}
	for _, l := range links {
		rec.links[l.index] = l.device.name
		if rec.name != "" && l.device.name == rec.name {
			rec.index = l.index
		}
	}
}

// linkName is the name of an interface by its index, for words.
func (rec *reconciler) linkName(index int) string {
	if index == ownDevice {
		return rec.name
	}
	name, known := rec.links[index]
	if !known {
		l, err := readLink(rec.w.conn, "", index)
		name = l.device.name
		if err != nil {
			name = "if" + strconv.Itoa(index) // gone meanwhile: as ip writes it
		}
		rec.links[index] = name
	}
	return name
}

func (rec *reconciler) linkIndex(index int) int {
	if index == ownDevice {
		return rec.index
	}
	return index
}
