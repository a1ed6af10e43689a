package intruders

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// podlaned's files have the same modes with every umask. The umask applies only to the folders.
func TestFileModes(t *testing.T) {
	for _, umask := range []fs.FileMode{0, 0o022, 0o077} {
		t.Run(fmt.Sprintf("umask %03o", umask), func(t *testing.T) {
			conflist := filepath.Join(t.TempDir(), "net.d", "10-podlane.conflist")
			l := cluster.Build(t, lab.Options{Nodes: 1, NodeEnv: func(int) []string { return []string{"PODLANE_CNI_CONF=" + conflist} }})
			cluster.Check(t, l.SetConfig(cluster.Within(t), lab.DefaultConfig))
			n := l.Nodes[0]
			n.Daemon = withUmask(t, umask)
			cluster.Check(t, n.Start(cluster.Within(t)))
			run := filepath.Dir(n.NodeFile())
			cluster.Stop(t, n) // this saves the state
			cluster.Check(t, n.Start(cluster.Within(t)))
			folder := fs.ModeDir | 0o755&^umask
			for path, want := range map[string]fs.FileMode{
				run:                                 folder,
				n.NodeFile():                        0o644,
				filepath.Join(run, "podlaned.sock"): fs.ModeSocket | 0o660,
				n.StateDir():                        folder,
				filepath.Join(n.StateDir(), "state.json"): 0o600,
				filepath.Dir(conflist):                    folder,
				conflist:                                  0o644,
			} {
				info, err := os.Lstat(path)
				cluster.Check(t, err)
				if info.Mode() != want {
					t.Errorf("%s is %s, want %s", path, info.Mode(), want)
				}
			}
		})
	}
}

// withUmask returns a program that sets a umask and then executes podlaned.
func withUmask(t *testing.T, umask fs.FileMode) (path string) {
	t.Helper()
	podlaned, err := filepath.Abs("../../bin/podlaned")
	cluster.Check(t, err)
	path = filepath.Join(t.TempDir(), "podlaned")
	cluster.Check(t, os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\numask %03o\nexec %s \"$@\"\n", umask, podlaned), 0o755))
	return path
}
