package sandbox

import (
	"fmt"
	"os"
	"testing"
)

// Main is the body of a TestMain whose tests need the kernel: it runs the package's tests in a sandbox. Not as root
// the package is skipped with a reason; not as root under CI (the variable CI is set) it fails.
func Main(m *testing.M) {
	if os.Geteuid() == 0 {
		os.Exit(Run(m.Run, nil))
	}
	fmt.Println("skipped: these tests make network namespaces and need root")
	if os.Getenv("CI") != "" {
		os.Exit(1)
	}
	os.Exit(0)
}

// Test makes a network namespace that lasts as long as the test.
func Test(t testing.TB, name string) Namespace {
	t.Helper()
	n, err := New(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Delete(); err != nil {
			t.Error(err)
		}
	})
	return n
}
