package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// isDeviceConflict reports whether an error means that another device or program has what the VXLAN device needs. That is its
// name, its VNI and port, or its UDP port. At the start this error ends podlaned. systemd then shows it, and starts podlaned
// again. Later it is a problem like others: pods are attached, and only podlaned can restore their overlay.
func isDeviceConflict(err error) bool {
	return errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EADDRINUSE)
}

// adviseOnConflict adds to a device conflict what an operator can do.
func adviseOnConflict(err error, kind storeKind) error {
	if !isDeviceConflict(err) {
		return err
	}
	return fmt.Errorf("%w; remove it with `ip link delete DEVICE`, or give the pod network another VNI or port %s", err, kind.howToConfigure())
}
