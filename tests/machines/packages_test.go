package machines

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/podlane/podlane/tests/cluster"
)

// The packed versions. The second is an upgrade of the first.
const (
	firstVersion  = "1.0.0"
	secondVersion = "1.0.1-rc.1"
)

// packed returns the folder of a version's packages. It is below /run, which is removed with the sandbox.
var packed = map[string]func() (string, error){
	firstVersion:  sync.OnceValues(func() (string, error) { return pack(firstVersion) }),
	secondVersion: sync.OnceValues(func() (string, error) { return pack(secondVersion) }),
}

// pack makes what `make dist` makes, for one version and this architecture.
func pack(version string) (string, error) {
	folder := filepath.Join("/run/packages", version)
	out, err := exec.Command("sh", "../../dist/pack.sh", version, folder, runtime.GOARCH).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("pack version %s: %w: %s", version, err, out)
	}
	return folder, nil
}

// The folder for packages may contain other files. pack removes those of an earlier run and nothing else.
func TestPackKeepsOtherFiles(t *testing.T) {
	const version = "0.9.1"
	folder := filepath.Join("/run/packages", version)
	cluster.Check(t, os.MkdirAll(filepath.Join(folder, "notes"), 0o755))
	for _, file := range []string{"thesis.tar.gz", "podlane_0.9.0_amd64.deb"} {
		cluster.Check(t, os.WriteFile(filepath.Join(folder, file), nil, 0o644))
	}
	_, err := pack(version)
	cluster.Check(t, err)
	for pattern, want := range map[string]int{"notes": 1, "thesis.tar.gz": 1, "*.deb": 1, "podlane*": 5} {
		if found, err := filepath.Glob(filepath.Join(folder, pattern)); err != nil || len(found) != want {
			t.Errorf("files %s: %v, want %d", pattern, found, want)
		}
	}
	sums, err := os.ReadFile(filepath.Join(folder, "SHA256SUMS"))
	cluster.Check(t, err)
	if strings.Count(string(sums), "\n") != 5 || strings.Contains(string(sums), "thesis") {
		t.Errorf("want sums of three packages and two manifests:\n%s", sums)
	}
}

// packageFile returns the only file of a version that matches a pattern, such as *.deb.
func packageFile(t *testing.T, version, pattern string) string {
	t.Helper()
	folder, err := packed[version]()
	cluster.Check(t, err)
	found, err := filepath.Glob(filepath.Join(folder, pattern))
	cluster.Check(t, err)
	if len(found) != 1 {
		t.Fatalf("version %s: %s is %v, want one file", version, pattern, found)
	}
	return found[0]
}

// copyIn copies a file to the machine's /root.
func (m *machine) copyIn(t *testing.T, file string) string {
	t.Helper()
	from, err := os.Open(file)
	cluster.Check(t, err)
	defer from.Close()
	name := filepath.Join("/root", filepath.Base(file))
	to, err := os.Create(filepath.Join(m.disk, name))
	cluster.Check(t, err)
	_, err = io.Copy(to, from)
	cluster.Check(t, err)
	cluster.Check(t, to.Close())
	return name
}

// install installs the Debian package of a version, or upgrades to it.
func (m *machine) install(t *testing.T, version string) {
	t.Helper()
	m.sh(t, "dpkg --install "+m.copyIn(t, packageFile(t, version, "*.deb")))
}

// configure writes podlaned's settings, as an operator does.
func (m *machine) configure(t *testing.T, settings string) {
	t.Helper()
	file := filepath.Join(m.disk, "/etc/podlane/podlaned.yaml")
	text, err := os.ReadFile(file)
	cluster.Check(t, err)
	kept, _, _ := strings.Cut(string(text), "# of the test\n")
	m.write(t, "/etc/podlane/podlaned.yaml", kept+"# of the test\n"+settings)
}
