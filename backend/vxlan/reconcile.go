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

// maxRounds bounds the rounds of one run: another program may keep undoing our writes. A start from nothing takes
// four rounds: create the device, set it up, write the entries, find everything in sync.
const maxRounds = 8

// reconciler makes the kernel's state of one family match the wanted one. Each Apply has one run for each family.
type reconciler struct {
	family     subnet.Family
	name       string            // of the wanted device; empty if the family is off
	index      int               // of that device; 0 if it does not exist
	network    netip.Prefix      // of the family's pods
	pods       []subnet.Interval // the addresses of all pods, of both families
	subnet     netip.Prefix      // our own
	underlay   underlay.Interface
	w          writer
	have       *state
	want       state
	before     state          // state at the end of the last Apply; only to mark drift
	verified   bool           // the last Apply ended with everything in sync
	created    bool           // this run has created the device
	otherAddrs []otherAddr    // addresses of all other interfaces, of both families
	links      map[int]string // names of interfaces by index, for texts
}

// run reads the kernel and writes the differences, until a round finds none. Then the kernel has want, from which the
// refused entries were deleted.
func (rec *reconciler) run(ctx context.Context) error {
	for range maxRounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		inSync, err := rec.round()
		switch {
		case errors.Is(err, unix.ENODEV): // the device was deleted meanwhile: the next round creates it again
		case inSync || err != nil:
			return err
		}
	}
	if n := len(rec.w.done); n > 0 {
		return fmt.Errorf("%w; the last write was: %s", errNotConverged, rec.w.done[n-1])
	}
	return errNotConverged
}

var errNotConverged = fmt.Errorf("the kernel differs after %d rounds of writing: another program keeps changing it", maxRounds)

// round reads the kernel and writes one layer. The layers are the device, its settings and addresses, and the
// entries.
func (rec *reconciler) round() (inSync bool, err error) {
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
		rec.w.clearRefused() // with the device changed, the kernel may accept what it refused
		return false, rec.sendDevice(links)
	}
	conflicting, err := rec.readEntries()
	if err != nil {
		return false, err
	}
	rec.writeEntries(conflicting)
	if len(rec.w.ops) == 0 {
		return true, nil
	}
	return false, rec.w.send()
}

func (rec *reconciler) readEntries() (conflicting conflicts, err error) {
	if rec.name != "" {
		if err = rec.have.readNeighbours(rec.w.conn, rec.family, rec.index); err != nil {
			return conflicting, err
		}
		if conflicting.fdb, err = rec.have.readFDB(rec.w.conn, rec.index, rec.want.device.learning); err != nil {
			return conflicting, err
		}
	}
	conflicting.routes, err = rec.have.readRoutes(rec.w.conn, rec.family, rec.index)
	return conflicting, err
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

// linkName returns the name of an interface by its index, for texts.
func (rec *reconciler) linkName(index int) string {
	if index == ownDevice {
		return rec.name
	}
	name, known := rec.links[index]
	if !known {
		l, err := readLink(rec.w.conn, "", index)
		name = l.device.name
		if err != nil {
			name = "if" + strconv.Itoa(index) // it was deleted meanwhile; ip prints it like this
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
