package kubernetes

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

// bindNamespace binds the network namespace of a file to a name with this prefix. It ends with the test.
func bindNamespace(t *testing.T, file, name string) sandbox.Namespace {
	t.Helper()
	f, err := os.CreateTemp(filepath.Dir(sandbox.Namespace{Name: name}.Path()), name+"-*")
	cluster.Check(t, err)
	defer f.Close()
	cluster.Check(t, unix.Mount(file, f.Name(), "", unix.MS_BIND, ""))
	t.Cleanup(func() {
		if err := errors.Join(unix.Unmount(f.Name(), unix.MNT_DETACH), os.Remove(f.Name())); err != nil {
			t.Error(err)
		}
	})
	return sandbox.Namespace{Name: filepath.Base(f.Name())}
}
