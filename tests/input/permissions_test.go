package input

import (
	"os"
	"syscall"
	"testing"

	"github.com/podlane/podlane/lab"
)

func TestMissingCapability(t *testing.T) {
	l := buildConfigured(t, 1, 0)
	n := l.Nodes[0]
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	const want = "podlaned: CAP_NET_ADMIN is missing: run podlaned as root, or give it the capability"
	for _, command := range []string{"run", "cleanup"} {
		t.Run("nobody "+command, func(t *testing.T) {
			runAs(t, n, nil, nobody, "podlaned", command).expectError(t, exitError, want)
			expectUntouched(t, l, n, lab.DefaultPrefix)
		})
		t.Run("root without the capability "+command, func(t *testing.T) {
			podlaned := n.Command(t.Context(), "podlaned").Path
			runAs(t, n, nil, nil, "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", podlaned, command).expectError(t, exitError, want)
			expectUntouched(t, l, n, lab.DefaultPrefix)
		})
	}
}

func TestConfigurationFileIsNotReadable(t *testing.T) {
	l := build(t, 1)
	n := l.Nodes[0]
	file := writeFile(t, "podlaned.yaml", "log-level: info\n")
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	runAs(t, n, nil, nobody, "podlaned", "--config", file).expectError(t, exitUsage, "read the configuration file: open ...podlaned.yaml: permission denied")
}

// A user without permission gets that error, and not that podlaned does not run.
func TestStatusWithoutPermission(t *testing.T) {
	l := buildConfigured(t, 1, 1)
	n := l.Nodes[0]
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	o := runAs(t, n, nil, nobody, "podlaned", "status")
	o.expectError(t, exitError, "permission denied...root")
	if containsParts(o.err, "is it running?") {
		t.Errorf("the error asks if podlaned runs: %s", o.err)
	}
}
