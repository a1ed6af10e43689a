package input

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// install returns the command that installs the CNI plugins from one folder into another, and the second folder.
func install(t *testing.T) (command []string, to string) {
	t.Helper()
	from, to := t.TempDir(), t.TempDir()
	program, err := os.ReadFile(filepath.Join(bin(t), "cni", "bridge"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(from, "bridge"), program, 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{filepath.Join(bin(t), "podlaned"), "install", "--from", from, "--to", to}, to
}

func TestInstallIntoAReadOnlyFolder(t *testing.T) {
	command, to := install(t)
	args := append([]string{"--mount", "sh", "-euc", `mount -t tmpfs -o ro tmpfs "$1"; shift; exec "$@"`, "sh", to}, command...)
	out, err := exec.CommandContext(t.Context(), "unshare", args...).CombinedOutput()
	if err == nil || strings.Count(string(out), "\n") != 1 || !strings.HasSuffix(string(out), ": read-only file system\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// Some installers make a user of their own the owner of CNI's folders.
func TestInstallIntoAFolderOfAnotherUser(t *testing.T) {
	command, to := install(t)
	if err := os.Chown(to, 998, 998); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"}, command...)
	out, err := exec.CommandContext(t.Context(), "setpriv", args...).CombinedOutput()
	if err == nil || !strings.HasSuffix(string(out), "permission denied; the folder belongs to user 998: give it to root (chown root) on the node\n") {
		t.Errorf("%v: %s", err, out)
	}
}
