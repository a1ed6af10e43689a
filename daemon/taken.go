package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// taken tells whether the VXLAN device cannot be, because its name, its VNI and port, or its UDP port are somebody
// else's. At the start that ends the daemon, so that systemd shows whose it is and tries again. Later it is trouble like
// any other: the pods are there, and the daemon is what brings their overlay back.
func taken(err error) bool { return errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EADDRINUSE) }

// advise adds to an error of that kind what an operator can do.
func advise(err error) error {
	if !taken(err) {
		return err
	}
	return fmt.Errorf("%w; take it away, or give the pod network another VNI or port with `podlaned config set`", err)
}
