package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// namespaces is the folder of iproute2's named network namespaces. So `ip -n NAME` works in the sandbox.
const namespaces = "/run/netns"

// ErrOutside means that New was called outside a sandbox: the namespace would outlive the program.
var ErrOutside = errors.New("not inside a sandbox")

// Namespace is a network namespace with a name. Its loopback device is up.
type Namespace struct{ Name string }

// New makes a network namespace. It lasts until Delete, or until the sandbox ends.
func New(name string) (Namespace, error) {
	n := Namespace{Name: name}
	if !Inside() {
		return n, ErrOutside
	}
	err := onThread(func() error {
		f, err := os.OpenFile(n.Path(), os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
		if err != nil {
			return err
		}
		f.Close()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Mount("/proc/thread-self/ns/net", n.Path(), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount: %w", err)
		}
		return raiseLoopback()
	})
	if err != nil {
		return n, fmt.Errorf("make namespace %s: %w", name, err)
	}
	return n, nil
}

// Path returns the namespace's file.
func (n Namespace) Path() string { return filepath.Join(namespaces, n.Name) }

// Delete removes the name. The namespace itself lasts as long as a process or a socket uses it.
func (n Namespace) Delete() error {
	if err := unix.Unmount(n.Path(), unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount namespace %s: %w", n.Name, err)
	}
	return os.Remove(n.Path())
}

// Do runs f on a thread inside the namespace. Goroutines that f starts are not in it; sockets that f opens are.
func (n Namespace) Do(f func() error) error {
	return onThread(func() error {
		if err := n.enter(); err != nil {
			return err
		}
		return f()
	})
}

// enter moves this thread into the namespace.
func (n Namespace) enter() error {
	fd, err := unix.Open(n.Path(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open namespace %s: %w", n.Name, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s: %w", n.Name, err)
	}
	return nil
}

// Start starts cmd inside the namespace.
func (n Namespace) Start(cmd *exec.Cmd) error { return n.Do(cmd.Start) }

// Run runs cmd inside the namespace, and returns its output and its errors.
func (n Namespace) Run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var out []byte
	err := n.Do(func() (err error) {
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		return string(out), fmt.Errorf("in %s: %v: %w: %s", n.Name, cmd.Args, err, out)
	}
	return string(out), nil
}

// onThread runs f on a new thread that ends with it. So no other goroutine ever runs in f's namespace. It never uses
// the main thread. That one never ends, would stay in the namespace, and /proc shows its namespaces as the process's.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			done <- onThread(f) // on another thread, because this goroutine holds the main one
			runtime.UnlockOSThread()
			return
		}
		done <- f() // never unlocked: the runtime ends the thread with the goroutine
	}()
	return <-done
}

func raiseLoopback() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("raise lo: %w", err)
	}
	return nil
}
