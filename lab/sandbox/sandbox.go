// Package sandbox runs this program again in new mount, process and network namespaces. It makes further network
// namespaces inside. The kernel cleans up. However the program ends, even by SIGKILL, the sandbox's first process
// dies. With it die all processes under it. The last of them takes every mount, namespace and device along.
//
// Inside, /proc shows only the sandbox's processes, and /run is an empty tmpfs. So nothing made there is visible, or
// left behind, outside.
package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// marker marks the second run of the program, inside the sandbox. It is not inherited, so that a program started
// inside can have a sandbox of its own.
const marker = "PODLANE_SANDBOX"

var inside bool

// Run runs main in a new sandbox and returns its exit code. Inside a sandbox it only runs main. It calls started,
// unless that is nil, with the process id of the sandbox's first process as seen from outside. It needs root
// (CAP_SYS_ADMIN). It forwards SIGINT, SIGTERM, SIGHUP and SIGQUIT.
func Run(main func() int, started func(pid int)) int {
	if inside {
		return main()
	}
	if os.Getenv(marker) != "" {
		if err := prepare(); err != nil {
			fmt.Fprintln(os.Stderr, "sandbox:", err)
			return 1
		}
		go endWithParent(os.NewFile(lifeline, "lifeline"))
		return main()
	}
	code, err := spawn(started)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		return 1
	}
	return code
}

// Inside reports whether this process runs in a sandbox.
func Inside() bool { return inside || os.Getenv(marker) != "" }

// lifeline is the descriptor of a pipe to which no process writes. Inside the sandbox it reads the end of file when
// the process outside has ended.
const lifeline = 3

// endWithParent ends the sandbox when the process outside ends. The death signal alone leaves a gap. The parent may
// be killed after the child's birth but before the child asks for the signal. The child cannot notice this, because
// in a new PID namespace the parent's id is always 0.
func endWithParent(pipe *os.File) {
	_, _ = pipe.Read(make([]byte, 1)) // any result means that the other end is gone
	os.Exit(1)
}

// spawn starts the second run and waits for it. It locks the thread, because the death signal follows the thread that
// forked, not the process.
func spawn(started func(pid int)) (int, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	inner, outer, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("make the lifeline: %w", err)
	}
	defer outer.Close()
	defer inner.Close()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), marker+"=1")
	cmd.ExtraFiles = []*os.File{inner} // becomes descriptor 3
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true, // Ctrl-C reaches only this process, which forwards it once
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start in new namespaces: %w", err)
	}
	if started != nil {
		started(cmd.Process.Pid)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s) // it may have just ended, which Wait reports
		case err := <-done:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return 0, fmt.Errorf("wait for the sandbox: %w", err)
			}
			return exitCode(cmd.ProcessState), nil
		}
	}
}

func exitCode(s *os.ProcessState) int {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return s.ExitCode()
}

// prepare makes the new mount namespace private and gives it its own /proc and /run.
func prepare() error {
	unix.CloseOnExec(lifeline)
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"", "/", "", unix.MS_REC | unix.MS_PRIVATE},
		{"proc", "/proc", "proc", 0},
		{"podlane", "/run", "tmpfs", 0},
	} {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	if err := os.Mkdir(namespaces, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", namespaces, err)
	}
	inside = true
	if err := os.Unsetenv(marker); err != nil {
		return fmt.Errorf("unset %s: %w", marker, err)
	}
	return raiseLoopback()
}
