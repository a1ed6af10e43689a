package sandbox

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// helper in the environment makes the test binary a program that runs in a sandbox: see program.
const helper = "PODLANE_TEST_HELPER"

func TestMain(m *testing.M) {
	if kind := os.Getenv(helper); kind != "" {
		os.Exit(Run(func() int { return program(kind) }, func(pid int) { fmt.Println("first", pid) }))
	}
	Main(m)
}

// program makes a namespace x and then ends with a code, or waits for SIGINT, or waits forever.
func program(kind string) int {
	if _, err := New("x"); err != nil {
		fmt.Println(err)
		return 1
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT)
	fmt.Println("up")
	switch kind {
	case "code":
		return 7
	case "signal":
		<-signals
		return 8
	}
	select {}
}

// run starts the program in a sandbox inside this one and waits until it is up. It returns the id of its first
// process.
func run(t *testing.T, kind string) (*exec.Cmd, int) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helper+"="+kind)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	first := 0
	lines := bufio.NewScanner(out)
	for seen := 0; seen < 2 && lines.Scan(); seen++ { // the two processes may print their lines in any order
		if lines.Text() != "up" {
			if _, err := fmt.Sscanf(lines.Text(), "first %d", &first); err != nil {
				t.Fatalf("the program prints %q", lines.Text())
			}
		}
	}
	if first == 0 {
		t.Fatal("the program is not up")
	}
	return cmd, first
}

func TestExitCode(t *testing.T) {
	cmd, _ := run(t, "code")
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("%v, want exit code 7", err)
	}
}

func TestSignalIsPassedOn(t *testing.T) {
	cmd, _ := run(t, "signal")
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 8 {
		t.Errorf("%v, want exit code 8", err)
	}
}

func TestSandboxEndsWithItsParent(t *testing.T) {
	cmd, first := run(t, "forever")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	// Its parent is gone, so it is a child of this sandbox's first process: this one.
	if pid, err := syscall.Wait4(first, nil, 0, nil); pid != first {
		t.Errorf("wait for the sandbox: %d, %v", pid, err)
	}
}

func TestParentSeesItsSandboxEnd(t *testing.T) {
	cmd, first := run(t, "forever")
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 128+9 {
		t.Errorf("%v, want exit code 137", err)
	}
}

func TestStartInARunningSandbox(t *testing.T) {
	_, first := run(t, "forever")
	for _, ns := range []string{"", "x"} {
		var out strings.Builder
		cmd := exec.Command("/bin/sh", "-c", "echo /run/netns/* $$; readlink /proc/1/ns/net /proc/self/ns/net")
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := Start(first, ns, cmd); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, &out)
		}
		f := strings.Fields(out.String())
		if len(f) != 4 || f[0] != "/run/netns/x" || (f[2] == f[3]) != (ns == "") {
			t.Errorf("in namespace %q: %s", ns, &out)
		}
	}
	if err := Start(first, "nosuch", exec.Command("/bin/true")); err == nil {
		t.Error("a missing namespace was entered")
	}
	if _, err := os.Stat(Root(first) + "/run/netns/x"); err != nil {
		t.Error(err)
	}
}

// The main thread never ends, so it would keep a namespace alive. /proc shows its namespace as the process's.
func TestMainThreadStaysOutside(t *testing.T) {
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	n := Test(t, "d")
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if err := n.Do(func() error {
				_, err := net.Interfaces()
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if after, err := os.Readlink("/proc/self/ns/net"); err != nil || after != before {
		t.Errorf("the process is in %s, %v; want %s", after, err, before)
	}
}

func TestNamespacesAreApart(t *testing.T) {
	a, b := Test(t, "a"), Test(t, "b")
	if _, err := a.Run("ip", "link", "add", "x0", "type", "veth", "peer", "name", "x1"); err != nil {
		t.Fatal(err)
	}
	if out, err := a.Run("ip", "link", "show", "x0"); err != nil {
		t.Errorf("x0 is not where it was made: %v %s", err, out)
	}
	if _, err := b.Run("ip", "link", "show", "x0"); err == nil {
		t.Error("x0 is seen from another namespace")
	}
	if _, err := net.InterfaceByName("x0"); err == nil {
		t.Error("x0 is seen from the test's own namespace")
	}
}

func TestStartInNamespace(t *testing.T) {
	n := Test(t, "c")
	cmd := exec.Command("cat", "/proc/self/net/dev")
	var out strings.Builder
	cmd.Stdout = &out
	if err := n.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), ":"); got != 1 {
		t.Errorf("a new namespace has %d devices, want lo alone:\n%s", got, &out)
	}
}

func TestFirstProcessOfTheSandbox(t *testing.T) {
	if os.Getpid() != 1 {
		t.Errorf("process id %d: the kernel would not end our children with us", os.Getpid())
	}
	entries, err := os.ReadDir("/run")
	if err != nil || len(entries) != 1 {
		t.Errorf("/run holds %v, %v; want netns alone", entries, err)
	}
}
