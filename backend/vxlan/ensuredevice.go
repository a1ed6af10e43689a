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
func (rec *reconciler) writeDevices(links []link) bool {
	stands := false
	for _, l := range links {
		if !ownName(rec.family, l.device.name) && !rec.renamed(l.device) {
			continue
		}
		if rec.name == l.device.name && l.device.fixed == rec.want.device.fixed {
			stands = true
			continue
		}
		if rec.w.add("delete", "device", l.device.String(), rec.sameDevice()) {
			deleteLink(&rec.w.batch, l.index)
		}
	}
	if rec.name != "" && !stands {
		rec.w.add("add", "device", rec.want.device.String(), rec.sameDevice())
		create(&rec.w.batch, rec.want.device)
		rec.created = true
	}
	return len(rec.w.ops) > 0
}

// renamed tells whether a device is ours by another name: nobody else's has our VNI and port and the MAC of our lease.
func (rec *reconciler) renamed(d device) bool {
	want := rec.want.device
	return rec.name != "" && rec.name != d.name && d.fixed == want.fixed && d.mac == want.mac
}

// sameDevice tells whether the last pass left the device that is wanted now.
func (rec *reconciler) sameDevice() bool { return rec.verified && rec.before.device == rec.want.device }

// setDevice gathers what is to be changed of the device that stands, its addresses included.
func (rec *reconciler) setDevice(links []link) (changed bool, err error) {
	var have device
	for _, l := range links {
		if l.index == rec.index {
			have = l.device
		}
	}
	if rec.others, err = rec.have.readAddrs(rec.w.conn, rec.index); err != nil {
		return false, err
	}
	if rec.want.device.settings.noIPv6 == 0 && have.settings.noIPv6 > 0 {
		op, err := sysctl.EnableIPv6(rec.name)
		if err != nil {
			return false, err
		}
		op.Drift = rec.sameDevice()
		rec.w.done = append(rec.w.done, op)
	}
	moves := have.local != rec.want.device.local
	if moves {
		rec.rewriteFDB(rec.underlay)
	}
	for _, c := range deviceChanges(rec.index, have, rec.want.device) {
		rec.change(c)
	}
	if moves {
		rec.rewriteFDB(underlay.Interface{})
	}
	rec.writeAddrs()
	if !have.up {
		rec.change(setUp(rec.index))
	}
	return len(rec.w.ops) > 0, nil
}

func (rec *reconciler) change(c change) {
	if rec.w.add(c.verb, "device", "link "+rec.name+" "+c.what, rec.sameDevice()) {
		c.request(&rec.w.batch)
	}
}

// writeAddrs gathers what makes the device's addresses those wanted. The new come first: the last IPv4 address of a
// device takes all routes through it along.
func (rec *reconciler) writeAddrs() {
	old, addrs := backend.Changes(rec.have.addrs, rec.want.addrs, netip.Prefix.Compare)
	for _, a := range addrs {
		rec.w.add(putVerb(a.Replace), "address", addressText(a.Key, rec.name), rec.before.addrs[a.Key])
		address(&rec.w.batch, unix.RTM_NEWADDR, putFlags, rec.index, a.Key)
	}
	for _, a := range old {
		if rec.w.add("delete", "address", addressText(a, rec.name), rec.verified && !rec.before.addrs[a]) {
			address(&rec.w.batch, unix.RTM_DELADDR, 0, rec.index, a)
		}
	}
}

// sendDevice sends what concerns the device. A refusal without which there is no overlay ends the pass, with words for
// those that an operator can do something about; any other is noted like that of an entry, and the pass goes on.
func (rec *reconciler) sendDevice(links []link) error {
	before := len(rec.w.failed)
	if err := rec.w.send(); err != nil {
		return err
	}
	i := slices.IndexFunc(rec.w.failed[before:], func(f kernel.Failure) bool { return essential(f.Op) })
	if i < 0 {
		return nil
	}
	f := rec.w.failed[before+i]
	rec.w.failed = rec.w.failed[:before] // it is told as the pass's error
	if err := rec.undoCreate(); err != nil {
		return errors.Join(f, err)
	}
	switch {
	case errors.Is(f.Err, unix.EEXIST) && f.Op.Verb == "add" && f.Op.Kind == "device":
		return rec.explainTaken(links, f)
	case errors.Is(f.Err, unix.EADDRINUSE):
		return rec.explainPortTaken(links, f)
	}
	return f
}

// essential tells of an operation on the device whether nothing goes without it: that it stands, is up, and has its address.
func essential(op kernel.Op) bool {
	return op.Verb == "add" || op.Verb == "replace" || strings.HasSuffix(op.Object, " up")
}

// undoCreate removes the device again that this pass has made and cannot use.
func (rec *reconciler) undoCreate() error {
	if !rec.created || rec.index == 0 {
		return nil
	}
	rec.w.add("delete", "device", rec.want.device.String(), false)
	deleteLink(&rec.w.batch, rec.index)
	return rec.w.send()
}

// explainTaken says who has the name, or the VNI and port, of the device that could not be made.
func (rec *reconciler) explainTaken(links []link, f kernel.Failure) error {
	d := rec.want.device
	if l, err := readLink(rec.w.conn, d.name, 0); err == nil {
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

// explainPortTaken says who has the UDP port. A VXLAN device with other extensions than ours does not share its socket.
func (rec *reconciler) explainPortTaken(links []link, f kernel.Failure) error {
	d := rec.want.device
	for _, l := range links {
		if l.index != rec.index && l.device.up && l.device.fixed.port == d.fixed.port {
			return fmt.Errorf("raise device %s: UDP port %d is taken by the %s, which does not share it: %w",
				d.name, d.fixed.port, l.describe(), f.Err)
		}
	}
	return fmt.Errorf("raise device %s: UDP port %d is taken by another program's socket: %w", d.name, d.fixed.port, f.Err)
}

// describe names a device with what it holds.
func (l link) describe() string {
	switch l.kind {
	case linkKind:
		return fmt.Sprintf("vxlan device %s (VNI %d, UDP port %d)", l.device.name, l.device.fixed.vni, l.device.fixed.port)
	case "":
		return fmt.Sprintf("device %s (of no kind the kernel names)", l.device.name)
	}
	return fmt.Sprintf("%s device %s", l.kind, l.device.name)
}
