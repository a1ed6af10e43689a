package vxlan

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/sysctl"
	"github.com/podlane/podlane/underlay"
)

// writeDevices queues the writes that leave the family exactly one device of ours. Devices with another name of ours,
// from an earlier VNI or renamed, are deleted. A device that cannot be changed in place is recreated. It reports
// whether it queued anything.
func (rec *reconciler) writeDevices(links []link) bool {
	found := false
	for _, l := range links {
		if !ownName(rec.family, l.device.name) && !rec.renamed(l.device) {
			continue
		}
		if rec.name == l.device.name && l.device.fixed == rec.want.device.fixed {
			found = true
			continue
		}
		if rec.w.add("delete", "device", l.device.String(), rec.sameDevice()) {
			deleteLink(&rec.w.batch, l.index)
		}
	}
	if rec.name != "" && !found {
		rec.w.add("add", "device", rec.want.device.String(), rec.sameDevice())
		create(&rec.w.batch, rec.want.device)
		rec.created = true
	}
	return len(rec.w.ops) > 0
}

// renamed reports whether another program renamed our device. Only ours has our VNI and port and the MAC of our
// lease.
func (rec *reconciler) renamed(d device) bool {
	want := rec.want.device
	return rec.name != "" && rec.name != d.name && d.fixed == want.fixed && d.mac == want.mac
}

// sameDevice reports whether the last Apply left the device that is wanted now.
func (rec *reconciler) sameDevice() bool { return rec.verified && rec.before.device == rec.want.device }

// setDevice queues the changes of the existing device, including its addresses. It reports whether it queued any.
func (rec *reconciler) setDevice(links []link) (changed bool, err error) {
	var have device
	for _, l := range links {
		if l.index == rec.index {
			have = l.device
		}
	}
	if rec.otherAddrs, err = rec.have.readAddrs(rec.w.conn, rec.index); err != nil {
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
	localChanges := have.local != rec.want.device.local
	if localChanges {
		rec.rewriteFDB(rec.underlay)
	}
	for _, c := range deviceChanges(rec.index, have, rec.want.device) {
		rec.change(c)
	}
	if localChanges {
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

// writeAddrs queues the changes of the device's addresses. New addresses come first. With its last IPv4 address a
// device loses all IPv4 routes through it.
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

// sendDevice sends the queued writes of the device. If the kernel refuses an essential one, the run ends with an
// error that explains it. Any other refusal is only recorded.
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
	rec.w.failed = rec.w.failed[:before] // it is returned as the error
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

// essential reports whether the overlay cannot work without this write. The device must exist, be up and have its
// address.
func essential(op kernel.Op) bool {
	return op.Verb == "add" || op.Verb == "replace" || strings.HasSuffix(op.Object, " up")
}

// undoCreate deletes the device that this run has created and cannot use.
func (rec *reconciler) undoCreate() error {
	if !rec.created || rec.index == 0 {
		return nil
	}
	rec.w.add("delete", "device", rec.want.device.String(), false)
	deleteLink(&rec.w.batch, rec.index)
	return rec.w.send()
}

// explainTaken returns an error that names the owner of the name, or of the VNI and port.
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

// explainPortTaken returns an error that names the owner of the UDP port. VXLAN devices with different extensions
// cannot share a socket.
func (rec *reconciler) explainPortTaken(links []link, f kernel.Failure) error {
	d := rec.want.device
	for _, l := range links {
		if l.index != rec.index && l.device.up && l.device.fixed.port == d.fixed.port {
			return fmt.Errorf("set device %s up: UDP port %d is taken by the %s, which does not share it: %w",
				d.name, d.fixed.port, l.describe(), f.Err)
		}
	}
	return fmt.Errorf("set device %s up: UDP port %d is taken by another program's socket: %w", d.name, d.fixed.port, f.Err)
}

// describe names a device with its VNI and port.
func (l link) describe() string {
	switch l.kind {
	case linkKind:
		return fmt.Sprintf("vxlan device %s (VNI %d, UDP port %d)", l.device.name, l.device.fixed.vni, l.device.fixed.port)
	case "":
		return fmt.Sprintf("device %s (the kernel reports no kind)", l.device.name)
	}
	return fmt.Sprintf("%s device %s", l.kind, l.device.name)
}
