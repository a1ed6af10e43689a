package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/podlane/podlane/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// builtFolder is the folder of the built plugin. /run is the sandbox's own and ends with it.
const builtFolder = "/run/podlane-gate"

// standardFolder is the folder of the standard plugins.
const standardFolder = "../bin/cni"

var buildPlugin = sync.OnceValue(func() error {
	if _, err := os.Stat(filepath.Join(standardFolder, "bridge")); err != nil {
		return fmt.Errorf("%w: run `make build`", err)
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(builtFolder, "podlane-gate"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build podlane-gate: %w: %s", err, out)
	}
	return nil
})

// call runs podlane-gate once as a runtime does.
func call(t testing.TB, env []string, conf string) (stdout, stderr string, code int) {
	t.Helper()
	if err := buildPlugin(); err != nil {
		t.Fatal(err)
	}
	return runPlugin(t, exec.Command(filepath.Join(builtFolder, "podlane-gate")), env, conf)
}

// runPlugin runs a command with the input of a CNI plugin.
func runPlugin(t testing.TB, cmd *exec.Cmd, env []string, conf string) (stdout, stderr string, code int) {
	t.Helper()
	cmd.Env, cmd.Stdin = append([]string{"CNI_PATH=" + builtFolder}, env...), strings.NewReader(conf)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func addEnvironment(netns string) []string {
	return []string{"CNI_COMMAND=ADD", "CNI_CONTAINERID=c1", "CNI_IFNAME=eth0", "CNI_NETNS=" + netns}
}

func TestAddFails(t *testing.T) {
	pod := sandbox.Test(t, "pod")
	const result = `{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"/x"}],"ips":[{"address":"10.9.0.2/24","interface":0}]}`
	for name, c := range map[string]struct {
		netns, prevResult, version string
		code                       uint
		text                       string
	}{
		"no result":                {pod.Path(), ``, "1.0.0", types.ErrInvalidNetworkConfig, "name it last in a list"},
		"null":                     {pod.Path(), `null`, "1.0.0", types.ErrInvalidNetworkConfig, "name it last in a list"},
		"not an object":            {pod.Path(), `[]`, "1.0.0", types.ErrDecodingFailure, "network configuration"},
		"not an address":           {pod.Path(), `{"cniVersion":"1.0.0","ips":[{"address":"ten"}]}`, "1.0.0", types.ErrDecodingFailure, "prevResult"},
		"another version":          {pod.Path(), `{"cniVersion":"0.2.0","ip4":{"ip":"10.9.0.2/24"}}`, "1.0.0", types.ErrDecodingFailure, "prevResult"},
		"no such interface":        {pod.Path(), strings.Replace(result, `"interface":0`, `"interface":1`, 1), "1.0.0", types.ErrInvalidNetworkConfig, "prevResult: 10.9.0.2 belongs to interface 1 of 1"},
		"negative interface index": {pod.Path(), strings.Replace(result, `"interface":0`, `"interface":-1`, 1), "1.0.0", types.ErrInvalidNetworkConfig, "interface -1 of 1"},
		"no network namespace":     {"/run/netns/none", result, "1.0.0", types.ErrInvalidEnvironmentVariables, "CNI_NETNS: open /run/netns/none: no such file"},
		"another file":             {"/proc/self/status", result, "1.0.0", types.ErrInvalidEnvironmentVariables, "enter /proc/self/status: invalid argument"},
		"too old":                  {pod.Path(), `{}`, "0.2.0", types.ErrIncompatibleCNIVersion, ""},
	} {
		t.Run(name, func(t *testing.T) {
			conf := `{"name":"n","type":"podlane-gate","cniVersion":"` + c.version + `"`
			if c.prevResult != "" {
				conf += `,"prevResult":` + c.prevResult
			}
			stdout, stderr, code := call(t, addEnvironment(c.netns), conf+"}")
			var e types.Error
			if err := json.Unmarshal([]byte(stdout), &e); err != nil || code != 1 || stderr != "" {
				t.Fatalf("exit code %d, stdout %q, stderr %q; want 1, an error and nothing", code, stdout, stderr)
			}
			if e.Code != c.code || !strings.Contains(e.Msg, c.text) {
				t.Errorf("got code %d and %q, want code %d and %q", e.Code, e.Msg, c.code, c.text)
			}
		})
	}
}

// If ADD cannot announce an address, the pod is attached anyway.
func TestPodIsAttachedWithoutAnAnnouncement(t *testing.T) {
	pod := sandbox.Test(t, "pod")
	if out, err := pod.Run("ip", "tuntap", "add", "tun0", "mode", "tun"); err != nil {
		t.Fatal(err, out)
	}
	for name, c := range map[string]struct{ netns, interfaces, ips, stderr string }{
		"no address":             {"/run/netns/none", `[{"name":"eth0","sandbox":"/x"}]`, `[]`, ""},
		"address of the node":    {pod.Path(), `[{"name":"cni0"}]`, `[{"address":"10.9.0.1/24","interface":0}]`, ""},
		"no Ethernet":            {pod.Path(), `[{"name":"tun0","sandbox":"/x"}]`, `[{"address":"10.9.0.2/24","interface":0}]`, ""},
		"loopback":               {pod.Path(), `[{"name":"lo","sandbox":"/x"}]`, `[{"address":"10.9.0.2/24","interface":0}]`, ""},
		"deleted interface":      {pod.Path(), `[{"name":"net1","sandbox":"/x"}]`, `[{"address":"10.9.0.2/24","interface":0}]`, "interface net1: read the MAC address: no such device"},
		"no interface in result": {pod.Path(), `[]`, `[{"address":"10.9.0.2/24"}]`, "container c1, interface eth0: read the MAC address: no such device"},
		"name with a path":       {pod.Path(), `[{"name":"../../../../../tmp","sandbox":"/x"}]`, `[{"address":"10.9.0.2/24","interface":0}]`, "invalid argument"},
	} {
		t.Run(name, func(t *testing.T) {
			conf := `{"cniVersion":"1.0.0","name":"n","type":"podlane-gate","prevResult":{"cniVersion":"1.0.0","interfaces":` + c.interfaces + `,"ips":` + c.ips + `}}`
			stdout, stderr, code := call(t, addEnvironment(c.netns), conf)
			if code != 0 || (stderr == "") != (c.stderr == "") || !strings.Contains(stderr, c.stderr) {
				t.Errorf("exit code %d, stdout %s, stderr %q; want 0 and the warning %q", code, stdout, stderr, c.stderr)
			}
		})
	}
}

// A runtime without the permission to announce still attaches pods, and logs the reason.
func TestAnnouncementIsNotPermitted(t *testing.T) {
	pod := sandbox.Test(t, "pod")
	if out, err := pod.Run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1"); err != nil {
		t.Fatal(err, out)
	}
	if err := buildPlugin(); err != nil {
		t.Fatal(err)
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(setpriv, "--bounding-set=-net_admin", "--inh-caps=-all", filepath.Join(builtFolder, "podlane-gate"))
	conf := `{"cniVersion":"1.0.0","name":"n","type":"podlane-gate","prevResult":{"cniVersion":"1.0.0","ips":[{"address":"10.9.0.2/24"}]}}`
	stdout, stderr, code := runPlugin(t, cmd, addEnvironment(pod.Path()), conf)
	want := "podlane-gate: warning: announce the addresses of container c1, interface eth0: set the MAC address it has: operation not permitted"
	if code != 0 || !strings.Contains(stderr, want) || !strings.Contains(stdout, "10.9.0.2/24") {
		t.Errorf("exit code %d, stdout %s, stderr %q; want 0, the result and %q", code, stdout, stderr, want)
	}
}

// These commands need no podlaned, no result and no pod.
func TestOtherCommandsAlwaysSucceed(t *testing.T) {
	for _, env := range [][]string{
		{"CNI_COMMAND=DEL", "CNI_CONTAINERID=c1", "CNI_IFNAME=eth0"},
		{"CNI_COMMAND=DEL", "CNI_CONTAINERID=c1", "CNI_IFNAME=eth0", "CNI_NETNS=/run/netns/none"},
		{"CNI_COMMAND=CHECK", "CNI_CONTAINERID=c1", "CNI_IFNAME=eth0", "CNI_NETNS=/run/netns/none"},
		{"CNI_COMMAND=GC"},
		{"CNI_COMMAND=STATUS"},
	} {
		stdout, stderr, code := call(t, env, `{"cniVersion":"1.1.0","name":"n","type":"podlane-gate"}`)
		if code != 0 || stdout != "" || stderr != "" {
			t.Errorf("%v: exit code %d, stdout %q, stderr %q", env, code, stdout, stderr)
		}
	}
	stdout, _, code := call(t, []string{"CNI_COMMAND=VERSION"}, "")
	if code != 0 || !strings.Contains(stdout, `["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]`) {
		t.Errorf("VERSION: exit code %d, %s", code, stdout)
	}
}
