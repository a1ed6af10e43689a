package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// needNetAdmin returns an error without CAP_NET_ADMIN, which every write to the kernel needs. A clear error at the start is
// better than "operation not permitted" later.
func needNetAdmin() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read this process's capabilities: %w", err)
	}
	if data[0].Effective&(1<<unix.CAP_NET_ADMIN) == 0 {
		return errors.New("CAP_NET_ADMIN is missing: run podlaned as root, or give it the capability")
	}
	return nil
}
