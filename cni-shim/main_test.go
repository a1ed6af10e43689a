package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/podlane/podlane/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// binDir is the folder of the built binaries. /run belongs to the sandbox and ends with it.
const binDir = "/run/podlane-cni"

// built builds podlane-cni and podlane-gate with the release's options, and echo, a delegate.
var built = sync.OnceValue(func() error {
	for _, name := range []string{"bridge", "host-local", "portmap"} {
		if _, err := os.Stat(filepath.Join("../bin/cni", name)); err != nil {
			return fmt.Errorf("%w: run `make build`", err)
		}
	}
	for name, folder := range map[string]string{"podlane-cni": ".", "podlane-gate": "../gate", "echo": "./testdata/echo"} {
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(binDir, name), folder)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", name, err, out)
		}
	}
	return nil
})

// pluginPath builds the plugins under test and returns the folders of all plugins.
func pluginPath(t testing.TB) []string {
	t.Helper()
	if err := built(); err != nil {
		t.Fatal(err)
	}
	standard, err := filepath.Abs("../bin/cni")
	if err != nil {
		t.Fatal(err)
	}
	return []string{binDir, standard}
}

// call is one run of podlane-cni without a runtime.
type call struct {
	command string
	env     []string // added to the usual variables; "CNI_NETNS=" removes one
	conf    string
}

// environment returns a whole CNI environment: the call's variables and the usual ones.
func (c call) environment(t testing.TB) []string {
	t.Helper()
	all := slices.Clone(c.env)
	for _, usual := range []string{
		"CNI_COMMAND=" + c.command, "CNI_CONTAINERID=c1", "CNI_IFNAME=eth0", "CNI_NETNS=/run/netns/none",
		"CNI_PATH=" + strings.Join(pluginPath(t), ":"),
	} {
		key, _, _ := strings.Cut(usual, "=")
		if !slices.ContainsFunc(c.env, func(v string) bool { return strings.HasPrefix(v, key+"=") }) {
			all = append(all, usual)
		}
	}
	return slices.DeleteFunc(all, func(v string) bool { return strings.HasSuffix(v, "=") })
}

// run runs podlane-cni and returns its output and its exit code.
func (c call) run(t testing.TB) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(binDir, "podlane-cni"))
	cmd.Env = c.environment(t)
	cmd.Stdin = strings.NewReader(c.conf)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// fails runs a call that must fail, and returns its error.
func (c call) fails(t testing.TB) types.Error {
	t.Helper()
	stdout, stderr, code := c.run(t)
	var e types.Error
	if err := json.Unmarshal([]byte(stdout), &e); err != nil || code != 1 || stderr != "" {
		t.Fatalf("exit code %d, stdout %q, stderr %q; want 1, an error and nothing", code, stdout, stderr)
	}
	return e
}
