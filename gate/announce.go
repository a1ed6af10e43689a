package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// notify holds the settings that make the kernel announce an interface's addresses. It does so when the interface goes up or
// its MAC address is set:
//   - IPv4: by a gratuitous ARP request
//   - IPv6: by an unsolicited neighbour advertisement that overrides (RFC 4861, section 7.2.6)
//
// The settings stay on. The kernel announces a tentative IPv6 address later, when its duplicate address detection ends.
var notify = []string{"ipv4/conf/%s/arp_notify", "ipv6/conf/%s/ndisc_notify"}

// announceAll announces the addresses of interfaces, and warns about those that it cannot announce.
func announceAll(ifNames []string, containerID string) {
	for _, ifName := range ifNames {
		if err := announce(ifName); err != nil {
			fmt.Fprintf(os.Stderr, "podlane-gate: warning: announce the addresses of container %s, interface %s: %v; "+
				"if another pod had one of them before, it may take a minute until this pod is reached\n", containerID, ifName, err)
		}
	}
}

// announce announces every address of an interface in the calling thread's network namespace.
//
// The node and the pods on its bridge may have a neighbour entry of an earlier pod with the same address. Linux uses the entry
// for up to 45 seconds. Then it first probes the old MAC address. An announcement corrects the entry at once, whatever its age.
//
// To make the kernel send, announce sets the MAC address that the interface already has. A packet socket could send too. But
// its close waits for an RCU grace period of 8 to 24 ms, which is longer than the rest of an ADD.
func announce(ifName string) error {
	request, err := unix.NewIfreq(ifName)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, request); err != nil {
		return fmt.Errorf("read the MAC address: %w", err)
	}
	if request.Uint16() != unix.ARPHRD_ETHER {
		return nil // it has no neighbours
	}
	var errs []error
	for _, name := range notify {
		errs = append(errs, turnOn(filepath.Join("/proc/sys/net", fmt.Sprintf(name, ifName))))
	}
	err = unix.IoctlIfreq(fd, unix.SIOCSIFHWADDR, request)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil // ipvlan: all pods share the MAC address of the node
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("set the MAC address it has: %w", err))
	}
	return errors.Join(errs...)
}

// turnOn turns on a setting of the kernel, if it exists. A kernel without IPv6 has no settings of IPv6.
func turnOn(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString("1\n")
	return err
}
