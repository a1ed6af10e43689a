package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// confined names, in an error "not permitted", the security module that confines podlaned. That module is the likely reason:
// podlaned has the capabilities, or it would not have started.
func confined(err error) error {
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	label, _ := os.ReadFile("/proc/self/attr/current") // if it cannot be read, nothing confines podlaned
	enforcing, _ := os.ReadFile("/sys/fs/selinux/enforce")
	if who := confinement(label, string(enforcing) == "1"); who != "" {
		return fmt.Errorf("%w; podlaned is confined by %s: the kernel's log has what it denied (journalctl -k -g denied)", err, who)
	}
	return err
}

// confinement returns the security module that may deny something to a process, or nothing. label is the process's
// (proc_pid_attr(5)). SELinux denies if it enforces. The labels of AppArmor end with the mode.
func confinement(label []byte, selinux bool) string {
	text := strings.TrimSpace(string(bytes.TrimRight(label, "\x00")))
	switch {
	case selinux && text != "":
		return "SELinux as " + text
	case strings.HasSuffix(text, " (enforce)"):
		return "AppArmor's profile " + strings.TrimSuffix(text, " (enforce)")
	}
	return ""
}
