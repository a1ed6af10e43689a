package machines

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/tests/cluster"
)

// cgroups is systemd's folder for cgroups of version 2. They alone do not end with the sandbox.
const cgroups = "/sys/fs/cgroup"

// cgroupPrefix starts the names of this test's cgroups. Several tests may run at once.
const cgroupPrefix = "podlane-test-"

// mountCgroups mounts version 2 in this sandbox alone, whatever version the machine has.
var mountCgroups = sync.OnceValue(func() error {
	return errors.Join(unix.Mount("none", cgroups, "cgroup2", 0, ""), removeOrphans())
})

// removeOrphans removes the cgroups of tests that were killed. Those of a running test soon have processes.
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

// makeCgroup makes a cgroup for a machine and opens it. It is removed when the test ends.
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

// awaitRemoved removes a cgroup once its last process has ended.
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

func removeCgroup(path string) error {
	err := cluster.RemoveCgroup(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
