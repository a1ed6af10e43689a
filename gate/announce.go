package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// notify holds the settings that make the kernel announce an interface's addresses when the interface goes up or its MAC
// address is set: IPv4 by a gratuitous ARP request, IPv6 by an unsolicited neighbour advertisement that overrides (RFC
// 4861, section 7.2.6). They stay on: a tentative IPv6 address is announced when its duplicate address detection ends.
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
// The node and the pods on its bridge may have a neighbour entry of an earlier pod with the same address. Linux uses such
// an entry for up to 45 seconds and then first asks the old MAC address. It corrects the entry at once, whatever its age,
// if the new owner announces itself.
//
// Setting the MAC address that the interface already has makes the kernel send. A packet socket would do the same, but its
// close waits for an RCU grace period of 8 to 24 ms. That is longer than the rest of an ADD.
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

// turnOn turns on a setting of the kernel, if the kernel has it. Without IPv6 it has none of IPv6's.
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
