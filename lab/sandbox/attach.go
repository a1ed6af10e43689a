package sandbox

import (
	"fmt"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Start starts cmd, from outside, in the sandbox whose first process has this id; the caller waits for it. It runs in
// the network namespace of that name; with no name, in the sandbox's own. Its directory is the root unless cmd.Dir says
// otherwise. It ends with the sandbox, not with this process: cmd must not ask for a death signal, since Go takes a
// parent in another PID namespace for a dead one.
func Start(pid int, name string, cmd *exec.Cmd) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("find process %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(fd) }()
	return onThread(func() error {
		// A thread may only change its mount namespace when it shares its directory and root with no other.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Setns(fd, unix.CLONE_NEWNS|unix.CLONE_NEWPID|unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the sandbox of process %d: %w", pid, err)
		}
		if name != "" {
			if err := (Namespace{Name: name}).enter(); err != nil {
				return err
			}
		}
		return cmd.Start()
	})
}

// Root is the sandbox's file tree as seen from outside, with the sandbox's /run, by the id of its first process.
func Root(pid int) string { return filepath.Join("/proc", fmt.Sprint(pid), "root") }
