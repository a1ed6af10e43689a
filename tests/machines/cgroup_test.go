package machines

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/tests/cluster"
)

// cgroups is where systemd looks for version 2 of the control groups. Of what this test writes it is the one thing that
// the end of the sandbox does not take away.
const cgroups = "/sys/fs/cgroup"

// mountCgroups puts version 2 there, in this sandbox alone, whatever version the machine runs.
var mountCgroups = sync.OnceValue(func() error {
	return unix.Mount("none", cgroups, "cgroup2", 0, "")
})

// makeCgroup makes a control group for a machine, which goes with the test, and opens it.
func makeCgroup(t *testing.T, name string) *os.File {
	t.Helper()
	cluster.Check(t, mountCgroups())
	path := filepath.Join(cgroups, "podlane-test-"+name)
	cluster.Check(t, removeCgroup(path)) // of a test that was killed
	cluster.Check(t, os.Mkdir(path, 0o755))
	t.Cleanup(func() { cluster.Check(t, awaitRemoved(path)) })
	f, err := os.Open(path)
	cluster.Check(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// awaitRemoved removes a control group as soon as the last process in it has ended.
func awaitRemoved(path string) (err error) {
	over := time.After(soon)
	for {
		if err = removeCgroup(path); err == nil {
			return nil
		}
		select {
		case <-over:
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// removeCgroup removes a control group with those in it; the files in them go along.
func removeCgroup(path string) error {
	var folders []string
	err := filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			folders = append(folders, path)
		}
		return err
	})
	for _, f := range slices.Backward(folders) {
		err = errors.Join(err, unix.Rmdir(f))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
