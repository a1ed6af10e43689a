package sandbox

import (
	"fmt"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Start starts cmd in a running sandbox, from outside. pid is the sandbox's first process. The command runs in the
// network namespace of that name or, without a name, in the sandbox's own. Its directory is the root unless cmd.Dir
// is set. The caller waits for it.
//
// It ends with the sandbox, not with this process. cmd must not ask for a death signal, because Go takes a parent in
// another PID namespace for a dead one.
func Start(pid int, name string, cmd *exec.Cmd) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("find process %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(fd) }()
	return onThread(func() error {
		// The kernel lets a thread change its mount namespace only if it shares its directory and root with no other
		// thread.
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

// Root returns the path of a sandbox's file tree, including its /run, as seen from outside. pid is its first process.
func Root(pid int) string { return filepath.Join("/proc", fmt.Sprint(pid), "root") }
