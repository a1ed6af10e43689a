package sandbox

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// Main is the body of a TestMain whose tests need the kernel. It runs the package's tests in a sandbox. Without root
// it skips the package with a reason. Without root under CI (the variable CI is set) it fails. A fuzzing session runs
// outside. Its workers use descriptors that a sandbox does not pass on, and the fuzzed code is pure.
func Main(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(m.Run())
	}
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
