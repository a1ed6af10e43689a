// Package cri tests pods that a container runtime makes. Each node has a containerd with runc, as Debian ships them.
// The tests drive it over the CRI, as the kubelet does, with podlaned's CNI configuration list.
package cri

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

// cgroupVariable passes the name of the cgroup of all pods to the tests in the sandbox.
const cgroupVariable = "PODLANE_CRI_CGROUP"

// TestMain removes the cgroups, because they alone do not end with a sandbox. The next run removes those of a killed
// run.
func TestMain(m *testing.M) {
	if sandbox.Inside() || os.Geteuid() != 0 {
		sandbox.Main(m)
	}
	for _, left := range findCgroups("podlane-cri-*") {
		if _, err := os.Stat("/proc/" + strings.TrimPrefix(filepath.Base(left), "podlane-cri-")); err != nil {
			_ = removeCgroups(filepath.Base(left)) // one that is in use cannot be removed
		}
	}
	name := fmt.Sprintf("podlane-cri-%d", os.Getpid())
	if err := os.Setenv(cgroupVariable, name); err != nil {
		panic(err)
	}
	code := sandbox.Run(m.Run, nil)
	if err := removeCgroups(name); err != nil {
		fmt.Fprintln(os.Stderr, "remove cgroups:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// findCgroups finds the cgroups of a name, in every hierarchy of version 1 and in version 2.
func findCgroups(name string) (all []string) {
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		found, _ := filepath.Glob(filepath.Join(root, name)) // the pattern is good
		all = append(all, found...)
	}
	return all
}

// removeCgroups removes the cgroups of a name and those below them.
func removeCgroups(name string) error {
	for _, root := range findCgroups(name) {
		if err := cluster.RemoveCgroup(root); err != nil {
			return err
		}
	}
	return nil
}
