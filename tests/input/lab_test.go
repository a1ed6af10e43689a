package input

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/podlane/podlane/lab"
)

// The lab command has operators too.
func TestBadLabArguments(t *testing.T) {
	l := build(t, 1)
	n := l.Nodes[0]
	program, empty := filepath.Join(bin(t), "lab"), t.TempDir()
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no command", nil, exitUsage, "lab up [flags]"},
		{"unknown command", []string{"down"}, exitUsage, `lab: no command "down"`},
		{"unknown flag", []string{"up", "--node=3"}, exitUsage, "lab: flag provided but not defined: -node"},
		{"stray argument", []string{"up", "n1"}, exitUsage, `lab: up: unknown argument "n1"`},
		{"no nodes", []string{"up", "--nodes=0"}, exitUsage, "lab: --nodes 0: give 1 to 250"},
		{"too many nodes", []string{"up", "--nodes=251"}, exitUsage, "lab: --nodes 251: give 1 to 250"},
		{"nodes that are no number", []string{"up", "--nodes=some"}, exitUsage, `invalid value "some" for flag -nodes`},
		{"no pods", []string{"up", "--pods-per-node=0"}, exitUsage, "lab: --pods-per-node 0: give 1 to 26"},
		{"configuration that is no JSON", []string{"up", "--config={"}, exitUsage, "lab: --config {: not JSON"},
		{"no time to measure", []string{"up", "--speed=1ms"}, exitUsage, "lab: --speed 1ms: give whole seconds"},
		{"missing binaries", []string{"up", "--bin=" + empty}, exitError, "lab: podlaned, podlane-cni, podlane-gate, lab, cni/bridge, cni/host-local, cni/portmap: not in " + empty + "; run `make build` first"},
		{"no such folder of binaries", []string{"up", "--bin=" + empty + "/none"}, exitError, "/none; run `make build` first"},
		{"exec without a place", []string{"exec"}, exitUsage, "lab: "},
		{"exec without a lab", []string{"exec", "n1", "true"}, exitError, "lab: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := runAs(t, n, nil, nil, program, c.args...)
			t.Log(strings.TrimSpace(o.err))
			o.expect(t, c.code, c.want)
		})
	}
	t.Run("nobody", func(t *testing.T) {
		o := runAs(t, n, nil, &syscall.Credential{Uid: 65534, Gid: 65534}, program, "up")
		o.expect(t, exitError, "lab: network namespaces need root: run it with sudo")
	})
}

// podlaned refuses the configuration. The lab ends with podlaned's error. Nothing is left.
func TestLabWithABadNetworkConfiguration(t *testing.T) {
	l := build(t, 1) // its node serves as the machine that the lab runs on
	o := runAs(t, l.Nodes[0], nil, nil, filepath.Join(bin(t), "lab"), "up", "--once", "--nodes=1", "--config", `{"Network":"10.5.0.0/29"}`)
	o.expect(t, exitError, "lab: podlaned config set: ...Network 10.5.0.0/29 is too small: /28 at the most")
	if out, err := l.Nodes[0].Run(t.Context(), filepath.Join(bin(t), "lab"), "list"); err != nil || strings.Contains(out, "n1") {
		t.Errorf("running labs: %s, error %v; want none", out, err)
	}
}

func TestLabOptions(t *testing.T) {
	for want, o := range map[string]lab.Options{
		"-1 nodes: give 1 to 1000":            {Nodes: -1},
		"10 etcd members: give 1 to 9":        {EtcdMembers: 10},
		"70000 underlay MTU: give 1 to 65535": {MTU: 70000},
	} {
		if _, err := lab.New(t.Context(), o); err == nil || err.Error() != want {
			t.Errorf("%+v: got error %v, want %s", o, err, want)
		}
	}
}
