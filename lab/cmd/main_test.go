package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab/sandbox"
)

// The tests run the built command in a sandbox, without the machine's other processes, devices and files.
func TestMain(m *testing.M) { sandbox.Main(m) }

// built is the folder of the binaries from `make build`, including the lab command.
const built = "../../bin"

// session is a run of the command.
type session struct {
	*exec.Cmd
	out  output
	done chan struct{}
}

// output holds what a session has printed so far. more signals new output.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start starts the command. The test's cleanup ends it.
func start(t *testing.T, args ...string) *session {
	t.Helper()
	s := &session{Cmd: exec.Command(filepath.Join(built, "lab"), args...), done: make(chan struct{})}
	s.out.more = make(chan struct{}, 1)
	s.Stdout, s.Stderr = &s.out, &s.out
	s.Env = append(os.Environ(), "TMPDIR="+temp(t))
	s.WaitDelay = 5 * time.Second
	if err := s.Start(); err != nil {
		t.Fatalf("%v (run `make build` first)", err)
	}
	go func() {
		defer close(s.done)
		_ = s.Wait() // its state has the result
	}()
	t.Cleanup(func() {
		_ = s.Process.Kill()
		<-s.done
	})
	return s
}

// temp returns a folder for the sessions' temporary files, in the sandbox's own /run.
func temp(t *testing.T) string {
	t.Helper()
	const folder = "/run/tmp"
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

// until waits until the session has printed a text.
func (s *session) until(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for !strings.Contains(s.out.String(), text) {
		select {
		case <-s.out.more:
		case <-s.done:
			if strings.Contains(s.out.String(), text) {
				return
			}
			t.Fatalf("it ended without %q:\n%s", text, s.out.String())
		case <-deadline:
			t.Fatalf("no %q within 60 s:\n%s", text, s.out.String())
		}
	}
}

// ends waits for the end and checks the exit code.
func (s *session) ends(t *testing.T, code int) {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(90 * time.Second):
		t.Fatalf("it does not end:\n%s", s.out.String())
	}
	if got := s.ProcessState.ExitCode(); got != code {
		t.Fatalf("exit code %d, want %d:\n%s", got, code, s.out.String())
	}
}

// runs runs the command to its end and returns its output.
func runs(t *testing.T, code int, args ...string) string {
	t.Helper()
	s := start(t, args...)
	s.ends(t, code)
	return s.out.String()
}

// traces returns what a lab could leave behind in this sandbox: processes, mounts, devices, files.
func traces(t *testing.T) []string {
	t.Helper()
	_ = temp(t)
	var found []string
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// A killed lab's first process is now our child: this is the sandbox's first process and must collect it.
		if got, _ := unix.Wait4(pid, nil, unix.WNOHANG, nil); got == pid {
			continue
		}
		command, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		found = append(found, fmt.Sprintf("process %d %s", pid, bytes.ReplaceAll(command, []byte{0}, []byte{' '})))
	}
	for _, file := range []string{"/proc/self/mountinfo", "/proc/net/dev"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if file == "/proc/net/dev" {
				line, _, _ = strings.Cut(line, ":") // without its counters
			}
			found = append(found, file+" "+strings.TrimSpace(line))
		}
	}
	for _, root := range []string{"/run", "/var/lib/cni", "/var/lib/podlane"} {
		_ = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				found = append(found, path)
			}
			return nil
		})
	}
	return found
}

// leavesNothing checks that there is nothing new.
func leavesNothing(t *testing.T, before []string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		left := slices.DeleteFunc(traces(t), func(s string) bool { return slices.Contains(before, s) })
		if len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("left behind:\n%s", strings.Join(left, "\n"))
		}
	}
}

// bin returns a folder of the binaries with another podlaned: a shell script.
func bin(t *testing.T, podlaned string) string {
	t.Helper()
	folder := t.TempDir()
	own, err := filepath.Abs(built)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"podlane-cni", "podlane-gate", "lab", "cni"} {
		if err := os.Symlink(filepath.Join(own, name), filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	script := strings.ReplaceAll("#!/bin/sh\n"+podlaned+"\n", "$PODLANED", filepath.Join(own, "podlaned"))
	if err := os.WriteFile(filepath.Join(folder, "podlaned"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}
