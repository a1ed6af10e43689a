// Package kubernetes runs podlane as a Kubernetes cluster does: the DaemonSet applied by kubectl to real kubelets, with the
// image that is shipped. Nodes are namespaces of this machine.
package kubernetes

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/podlane/podlane/lab/sandbox"
)

var (
	runs  = flag.Bool("cluster", false, "run these tests: `make test-kubernetes` builds what they need")
	only  = flag.String("only", "", "run only the steps whose name fits this regular `expression`")
	focus = flag.String("focus", conformanceFocus, "which of Kubernetes' own tests to run, by a regular `expression`")
)

const conformanceFocus = `\[sig-network\].*\[Conformance\]`

// disks is where the nodes have their files and cgroups their names: it is taken away whatever way the tests end.
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
	if err := tidy(); err != nil { // what a run that was killed has left
		fmt.Fprintln(os.Stderr, "is another run under way?", err)
		os.Exit(1)
	}
	code := sandbox.Run(m.Run, nil)
	if err := tidy(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// tidy takes away what the sandbox cannot dispose of: the nodes' disks, and their cgroups, which are the machine's.
func tidy() error {
	for _, root := range cgroupsOf("*") {
		var folders []string
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				folders = append(folders, path)
			}
			return err
		})
		for _, f := range slices.Backward(folders) {
			err = errors.Join(err, os.Remove(f))
		}
		if err != nil {
			return err
		}
	}
	return os.RemoveAll(disks)
}

// cgroupsOf is the folders of a node's cgroups, one in each hierarchy.
func cgroupsOf(node string) []string {
	paths, err := filepath.Glob("/sys/fs/cgroup/*/podlane-kubernetes-" + node)
	if err != nil {
		panic(err) // the pattern is good
	}
	return paths
}
