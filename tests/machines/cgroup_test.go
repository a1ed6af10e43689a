package machines

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/tests/cluster"
)

// cgroups is where systemd looks for version 2 of the control groups. Of what this test writes it is the one thing that
// the end of the sandbox does not take away.
const cgroups = "/sys/fs/cgroup"

// cgroupPrefix begins the names of this test's, of which several may run at once.
const cgroupPrefix = "podlane-test-"

// mountCgroups puts version 2 there, in this sandbox alone, whatever version the machine runs.
var mountCgroups = sync.OnceValue(func() error {
	return errors.Join(unix.Mount("none", cgroups, "cgroup2", 0, ""), removeOrphans())
})

// removeOrphans removes the control groups of tests that were killed: those of a test that runs have processes in them
// soon after they were made.
func removeOrphans() error {
	paths, err := filepath.Glob(filepath.Join(cgroups, cgroupPrefix+"*"))
	for _, path := range paths {
		info, errInfo := os.Stat(path)
		events, errEvents := os.ReadFile(filepath.Join(path, "cgroup.events"))
		if errInfo == nil && errEvents == nil && time.Since(info.ModTime()) > time.Minute && strings.Contains(string(events), "populated 0") {
			err = errors.Join(err, removeCgroup(path))
		}
	}
	return err
}

// makeCgroup makes a control group for a machine, which goes with the test, and opens it.
func makeCgroup(t *testing.T, name string) *os.File {
	t.Helper()
	cluster.Check(t, mountCgroups())
	path, err := os.MkdirTemp(cgroups, cgroupPrefix+name+"-*")
	cluster.Check(t, err)
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
