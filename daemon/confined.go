package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// confined adds to an error that says no more than "not permitted" that a security module confines the daemon, where one
// does: the capability for all it asks is there, or the daemon would not have started.
func confined(err error) error {
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	label, _ := os.ReadFile("/proc/self/attr/current") // without it, there is none
	enforcing, _ := os.ReadFile("/sys/fs/selinux/enforce")
	if who := confinement(label, string(enforcing) == "1"); who != "" {
		return fmt.Errorf("%w; podlaned runs confined by %s: the kernel's log names what that denied (journalctl -k -g denied)", err, who)
	}
	return err
}

// confinement is the security module that may deny something to a process with a label (proc_pid_attr(5)): SELinux where
// it enforces, and AppArmor, whose labels end with the mode; nothing where none does.
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
