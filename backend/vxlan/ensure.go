package vxlan

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/podlane/podlane/kernel"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/sysctl"
	"github.com/podlane/podlane/underlay"
)

// writeDevices gathers what makes the family's own device stand, and it alone: devices of ours by another name (of an
// earlier VNI, or renamed by somebody) go, one that cannot be changed into what it should be is made anew. It tells
// whether there is anything.
func (p *pass) writeDevices(links []link) bool {
	stands := false
	for _, l := range links {
		if !ownName(p.family, l.device.name) && !p.renamed(l.device) {
			continue
		}
		if p.name == l.device.name && l.device.fixed == p.want.device.fixed {
			stands = true
			continue
		}
		if p.w.add("delete", "device", l.device.String(), p.sameDevice()) {
			deleteLink(&p.w.batch, l.index)
		}
	}
	if p.name != "" && !stands {
		p.w.add("add", "device", p.want.device.String(), p.sameDevice())
		create(&p.w.batch, p.want.device)
		p.made = true
	}
	return len(p.w.ops) > 0
}

// renamed tells whether a device is ours by another name: nobody else's has our VNI and port and the MAC of our lease.
func (p *pass) renamed(d device) bool {
	want := p.want.device
	return p.name != "" && p.name != d.name && d.fixed == want.fixed && d.mac == want.mac
}

// sameDevice tells whether the last pass left the device that is wanted now.
func (p *pass) sameDevice() bool { return p.verified && p.before.device == p.want.device }

// setDevice gathers what is to be changed of the device that stands, its addresses included.
func (p *pass) setDevice(links []link) (changed bool, err error) {
	var have device
	for _, l := range links {
		if l.index == p.index {
			have = l.device
		}
	}
	if p.others, err = p.have.readAddrs(p.w.conn, p.index); err != nil {
		return false, err
	}
	if p.want.device.settings.noIPv6 == 0 && have.settings.noIPv6 > 0 {
		op, err := sysctl.EnableIPv6(p.name)
		if err != nil {
			return false, err
		}
		op.Drift = p.sameDevice()
		p.w.done = append(p.w.done, op)
	}
	moves := have.local != p.want.device.local
	if moves {
		p.setFDB(p.underlay)
	}
	for _, c := range deviceChanges(p.index, have, p.want.device) {
		p.change(c)
	}
	if moves {
		p.setFDB(underlay.Interface{})
	}
	p.writeAddrs()
	if !have.up {
		p.change(raise(p.index))
	}
	return len(p.w.ops) > 0, nil
}

func (p *pass) change(c change) {
	if p.w.add(c.verb, "device", "link "+p.name+" "+c.what, p.sameDevice()) {
		c.request(&p.w.batch)
	}
}

// writeAddrs gathers what makes the device's addresses those wanted. The new come first: the last IPv4 address of a
// device takes all routes through it along.
func (p *pass) writeAddrs() {
	old, addrs := backend.Changes(p.have.addrs, p.want.addrs, netip.Prefix.Compare)
	for _, a := range addrs {
		p.w.add(putVerb(a.Replace), "address", addressText(a.Key, p.name), p.before.addrs[a.Key])
		address(&p.w.batch, unix.RTM_NEWADDR, putFlags, p.index, a.Key)
	}
	for _, a := range old {
		if p.w.add("delete", "address", addressText(a, p.name), p.verified && !p.before.addrs[a]) {
			address(&p.w.batch, unix.RTM_DELADDR, 0, p.index, a)
		}
	}
}

// sendDevice sends what concerns the device. A refusal without which there is no overlay ends the pass, with words for
// those that an operator can do something about; any other is noted like that of an entry, and the pass goes on.
func (p *pass) sendDevice(links []link) error {
	before := len(p.w.failed)
	if err := p.w.send(); err != nil {
		return err
	}
	i := slices.IndexFunc(p.w.failed[before:], func(f kernel.Failure) bool { return vital(f.Op) })
	if i < 0 {
		return nil
	}
	f := p.w.failed[before+i]
	p.w.failed = p.w.failed[:before] // it is told as the pass's error
	if err := p.takeBack(); err != nil {
		return errors.Join(f, err)
	}
	switch {
	case errors.Is(f.Err, unix.EEXIST) && f.Op.Verb == "add" && f.Op.Kind == "device":
		return p.taken(links, f)
	case errors.Is(f.Err, unix.EADDRINUSE):
		return p.portTaken(links, f)
	}
	return f
}

// vital tells of an operation on the device whether nothing goes without it: that it stands, is up, and has its address.
func vital(op kernel.Op) bool {
	return op.Verb == "add" || op.Verb == "replace" || strings.HasSuffix(op.Object, " up")
}

// takeBack removes the device again that this pass has made and cannot use.
func (p *pass) takeBack() error {
	if !p.made || p.index == 0 {
		return nil
	}
	p.w.add("delete", "device", p.want.device.String(), false)
	deleteLink(&p.w.batch, p.index)
	return p.w.send()
}

// taken says who has the name, or the VNI and port, of the device that could not be made.
func (p *pass) taken(links []link, f kernel.Failure) error {
	d := p.want.device
	if l, err := readLink(p.w.conn, d.name, 0); err == nil {
		return fmt.Errorf("add device %s: its name is taken by a %s: %w", d.name, l.describe(), f.Err)
	}
	for _, l := range links {
		if l.device.fixed.vni == d.fixed.vni && l.device.fixed.port == d.fixed.port {
			return fmt.Errorf("add device %s: VNI %d on UDP port %d is taken by the %s: %w",
				d.name, d.fixed.vni, d.fixed.port, l.describe(), f.Err)
		}
	}
	return fmt.Errorf("add device %s: VNI %d on UDP port %d is taken by a device that was moved to another network namespace: %w",
		d.name, d.fixed.vni, d.fixed.port, f.Err)
}

// portTaken says who has the UDP port. A VXLAN device with other extensions than ours does not share its socket.
func (p *pass) portTaken(links []link, f kernel.Failure) error {
	d := p.want.device
	for _, l := range links {
		if l.index != p.index && l.device.up && l.device.fixed.port == d.fixed.port {
			return fmt.Errorf("raise device %s: UDP port %d is taken by the %s, which does not share it: %w",
				d.name, d.fixed.port, l.describe(), f.Err)
		}
	}
	return fmt.Errorf("raise device %s: UDP port %d is taken by another program's socket: %w", d.name, d.fixed.port, f.Err)
}

// describe names a device with what it holds.
func (l link) describe() string {
	switch l.kind {
	case kind:
		return fmt.Sprintf("vxlan device %s (VNI %d, UDP port %d)", l.device.name, l.device.fixed.vni, l.device.fixed.port)
	case "":
		return fmt.Sprintf("device %s (of no kind the kernel names)", l.device.name)
	}
	return fmt.Sprintf("%s device %s", l.kind, l.device.name)
}
