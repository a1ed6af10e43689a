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

// pass makes one family's state what it should be.
type pass struct {
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
	made     bool        // this pass made the device
	others   []otherAddr // addresses of all other interfaces, of both families
	links    map[int]string
}

// run reads, and writes what differs, until a round finds nothing to write. What the kernel refused is then gone from
// want, so that want is what stands.
func (p *pass) run(ctx context.Context) error {
	for range maxRounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		settled, err := p.round()
		switch {
		case errors.Is(err, unix.ENODEV): // the device has gone meanwhile: the next round makes it again
		case settled || err != nil:
			return err
		}
	}
	if n := len(p.w.done); n > 0 {
		return fmt.Errorf("%w; the last write was: %s", errUnsettled, p.w.done[n-1])
	}
	return errUnsettled
}

var errUnsettled = fmt.Errorf("the kernel differs after %d rounds of writing: somebody else changes it back", maxRounds)

// round reads the kernel and writes one layer of what differs: the device, what belongs to it, the entries.
func (p *pass) round() (settled bool, err error) {
	links, err := readLinks(p.w.conn)
	if err != nil {
		return false, err
	}
	p.noteLinks(links)
	changed := p.writeDevices(links)
	if !changed && p.name != "" {
		changed, err = p.setDevice(links)
	}
	if err != nil {
		return false, err
	}
	if changed {
		p.w.forget() // what was refused while the device was not right may now be taken
		return false, p.sendDevice(links)
	}
	blocked, err := p.readEntries()
	if err != nil {
		return false, err
	}
	p.writeEntries(blocked)
	if len(p.w.ops) == 0 {
		return true, nil
	}
	return false, p.w.send()
}

func (p *pass) readEntries() (blocked blocking, err error) {
	if p.name != "" {
		if err = p.have.readNeighbours(p.w.conn, p.family, p.index); err != nil {
			return blocked, err
		}
		if blocked.fdb, err = p.have.readFDB(p.w.conn, p.index, p.want.device.learning); err != nil {
			return blocked, err
		}
	}
	blocked.routes, err = p.have.readRoutes(p.w.conn, p.family, p.index)
	return blocked, err
}

func (p *pass) noteLinks(links []link) {
	p.index = 0
	p.links = map[int]string{p.underlay.Index: p.underlay.Name}
	for _, l := range links {
		p.links[l.index] = l.device.name
		if p.name != "" && l.device.name == p.name {
			p.index = l.index
		}
	}
}

// linkName is the name of an interface by its index, for words.
func (p *pass) linkName(index int) string {
	if index == ownDevice {
		return p.name
	}
	name, known := p.links[index]
	if !known {
		l, err := readLink(p.w.conn, "", index)
		name = l.device.name
		if err != nil {
			name = "if" + strconv.Itoa(index) // gone meanwhile: as ip writes it
		}
		p.links[index] = name
	}
	return name
}

func (p *pass) linkIndex(index int) int {
	if index == ownDevice {
		return p.index
	}
	return index
}
