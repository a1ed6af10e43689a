package sandbox

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

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
