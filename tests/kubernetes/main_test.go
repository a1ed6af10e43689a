// Package kubernetes runs podlane as a Kubernetes cluster does. kubectl applies the DaemonSet to real kubelets, with
// the image that is shipped. The nodes are namespaces of this machine.
package kubernetes

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

var (
	runs  = flag.Bool("cluster", false, "run these tests: `make test-kubernetes` builds what they need")
	only  = flag.String("only", "", "run only the steps whose name fits this regular `expression`")
	focus = flag.String("focus", "", "run those of Kubernetes' own tests whose name fits this regular `expression`")
)

const conformanceFocus = `\[sig-network\].*\[Conformance\]`

// disks is the folder of the nodes' files, and part of their cgroups' names. It is removed however the tests end.
const disks = "/var/tmp/podlane-kubernetes"

func TestMain(m *testing.M) {
	flag.Parse()
	if !*runs {
		fmt.Println("not run: these tests need a whole Kubernetes; `make test-kubernetes` builds one and runs them")
		return
	}
	if sandbox.Inside() {
		sandbox.Main(m)
	}
	if err := removeLeftovers(); err != nil { // of a run that was killed
		fmt.Fprintln(os.Stderr, "is another run under way?", err)
		os.Exit(1)
	}
	code := sandbox.Run(m.Run, nil)
	if err := removeLeftovers(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// removeLeftovers removes what the sandbox cannot: the nodes' disks and cgroups. Cgroups belong to the machine.
func removeLeftovers() error {
	for _, root := range cgroupsOf("*") {
		if err := cluster.RemoveCgroup(root); err != nil {
			return err
		}
	}
	return os.RemoveAll(disks)
}

// cgroupsOf returns the folders of a node's cgroups, one in each hierarchy.
func cgroupsOf(node string) []string {
	paths, err := filepath.Glob("/sys/fs/cgroup/*/podlane-kubernetes-" + node)
	if err != nil {
		panic(err) // the pattern is good
	}
	return paths
}
