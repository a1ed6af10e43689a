package input

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab/sandbox"
)

// Error codes of the CNI specification.
const (
	cniVersion     = 1
	cniEnvironment = 4
	cniDecoding    = 6
	cniConfig      = 7
	cniTryLater    = 11
	cniUnavailable = 50
)

// goodNode is a node file that podlaned could write.
const goodNode = `PODLANE_NETWORK=10.5.0.0/16
PODLANE_SUBNET=10.5.34.1/24
PODLANE_MTU=1450
PODLANE_IPMASQ=true
`

// runtime is a node with a container runtime. It calls podlane-cni for one container.
type runtime struct {
	node, container sandbox.Namespace
	path            string // CNI_PATH
	nodeFile, ipam  string
}

func newRuntime(t *testing.T) runtime {
	t.Helper()
	folder := bin(t)
	dir := t.TempDir()
	r := runtime{
		node: sandbox.Test(t, "node"), container: sandbox.Test(t, "container"),
		path:     folder + ":" + filepath.Join(folder, "cni"),
		nodeFile: filepath.Join(dir, "subnet.env"), ipam: filepath.Join(dir, "ipam"),
	}
	r.writeNode(t, goodNode)
	return r
}

func (r runtime) writeNode(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(r.nodeFile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// conf returns the configuration that a runtime passes to podlane-cni, with further keys.
func (r runtime) conf(more string) string {
	return fmt.Sprintf(`{"cniVersion":"1.1.0","name":"podlane","type":"podlane-cni","nodeFile":%q,"delegate":{"ipam":{"dataDir":%q}}%s}`, r.nodeFile, r.ipam, more)
}

// pluginResult is a plugin's exit code and error.
type pluginResult struct {
	exit         int
	Code         int
	Msg, Details string
	text         string
}

func (r runtime) call(t *testing.T, command, conf string) pluginResult {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(strings.Split(r.path, ":")[0], "podlane-cni"))
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+command, "CNI_CONTAINERID=c1", "CNI_IFNAME=eth0", "CNI_NETNS="+r.container.Path(), "CNI_PATH="+r.path)
	cmd.Stdin = strings.NewReader(conf)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := r.node.Start(cmd); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code is in its state
	a := pluginResult{exit: cmd.ProcessState.ExitCode(), text: out.String() + stderr.String()}
	if a.exit != 0 {
		if err := json.Unmarshal(out.Bytes(), &a); err != nil {
			t.Errorf("%s: the output is not JSON: %v: %s", command, err, a.text)
		}
	}
	return a
}

func (a pluginResult) expectError(t *testing.T, command string, code int, want string) {
	t.Helper()
	t.Logf("%s: code %d: %s; %s", command, a.Code, a.Msg, a.Details) // with -v, to read the errors as an operator does
	if a.exit == 0 || a.Code != code || !containsParts(a.Msg+"; "+a.Details, want) {
		t.Errorf("%s: exit code %d, code %d, %q, %q; want an error with code %d and %q", command, a.exit, a.Code, a.Msg, a.Details, code, want)
	}
}

// expectNoLeftovers expects no reserved address and no bridge port.
func (r runtime) expectNoLeftovers(t *testing.T) {
	t.Helper()
	if held, err := filepath.Glob(filepath.Join(r.ipam, "podlane", "10.*")); err != nil || len(held) > 0 {
		t.Errorf("reserved addresses: %v, error %v; want none", held, err)
	}
	if out, err := r.node.Run("ip", "-o", "link", "show", "type", "veth"); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("devices: %s, error %v; want none", out, err)
	}
}

func TestBadCNIConfiguration(t *testing.T) {
	r := newRuntime(t)
	for _, c := range []struct {
		name, conf string
		code       int
		want       string
	}{
		{"empty", ``, cniDecoding, ""},
		{"cut in half", r.conf("")[:60], cniDecoding, "unexpected end of JSON input"},
		{"no object", `["podlane"]`, cniDecoding, "array"},
		{"no name", strings.Replace(r.conf(""), `"name":"podlane",`, "", 1), cniConfig, "missing network name"},
		{"name that is a path", strings.Replace(r.conf(""), `"name":"podlane"`, `"name":"../podlane"`, 1), cniConfig, "invalid characters found in network name"},
		{"version from the future", strings.Replace(r.conf(""), "1.1.0", "9.9.9", 1), cniVersion,
			`incompatible CNI versions...plugin supports ["0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]`},
		{"version that is none", strings.Replace(r.conf(""), "1.1.0", "latest", 1), cniVersion, "incompatible CNI versions...plugin supports"},
		{"delegate that does not exist", strings.Replace(r.conf(""), `"delegate":{`, `"delegate":{"type":"brigde",`, 1), cniConfig,
			`the delegate "brigde" is in none of the folders of CNI_PATH: `},
		{"delegate that is a path", strings.Replace(r.conf(""), `"delegate":{`, `"delegate":{"type":"../bridge",`, 1), cniConfig,
			`delegate.type is "../bridge", not the name of a plugin`},
		{"delegate that is a text", strings.Replace(r.conf(""), `"delegate":{`, `"delegate":"bridge","more":{`, 1), cniConfig, `"delegate" is "bridge", not an object`},
		{"node file that is a number", strings.Replace(r.conf(""), `"nodeFile":"`, `"nodeFile":7,"more":"`, 1), cniConfig, `"nodeFile" is 7, not a path`},
		{"ipam that is a text", strings.Replace(r.conf(""), `"ipam":{`, `"ipam":"host-local","more":{`, 1), cniConfig, `"ipam" is "host-local", not an object`},
		{"routes that are none", strings.Replace(r.conf(""), `"ipam":{`, `"ipam":{"routes":"all",`, 1), cniConfig, `"ipam.routes" is "all", not a list of routes`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.call(t, "ADD", c.conf).expectError(t, "ADD", c.code, c.want)
			r.expectNoLeftovers(t)
		})
	}
	t.Run("no container", func(t *testing.T) {
		r := r
		cmd := exec.CommandContext(t.Context(), filepath.Join(strings.Split(r.path, ":")[0], "podlane-cni"))
		cmd.Env = append(os.Environ(), "CNI_COMMAND=ADD", "CNI_PATH="+r.path)
		cmd.Stdin = strings.NewReader(r.conf(""))
		out, err := cmd.Output()
		if err == nil {
			t.Errorf("ADD without a container: want an error, output: %s", out)
		}
		var a pluginResult
		if err := json.Unmarshal(out, &a); err != nil {
			t.Errorf("the output is not JSON: %v: %s", err, out)
		}
		if a.Code != cniEnvironment {
			t.Errorf("code %d, want %d", a.Code, cniEnvironment)
		}
		if !containsParts(a.Msg+a.Details, "CNI_CONTAINERID") {
			t.Errorf("want CNI_CONTAINERID in the error: %q, %q", a.Msg, a.Details)
		}
	})
}

func TestBadNodeFile(t *testing.T) {
	r := newRuntime(t)
	const subnet = "PODLANE_SUBNET=10.5.34.1/24\n"
	type row struct{ name, text, want string }
	rows := []row{
		{"empty", "", "the file is incomplete"},
		{"of another program", "hello world\n", `line "hello world" is not KEY=value`},
		{"pod subnet that is none", strings.Replace(goodNode, subnet, "PODLANE_SUBNET=10.5.34.1\n", 1), "PODLANE_SUBNET=10.5.34.1 is not the gateway of an IPv4 pod subnet"},
		{"gateway that is none", strings.Replace(goodNode, subnet, "PODLANE_SUBNET=10.5.34.7/24\n", 1), "PODLANE_SUBNET=10.5.34.7/24 is not the gateway"},
		{"pod subnet outside the network", strings.Replace(goodNode, subnet, "PODLANE_SUBNET=10.6.34.1/24\n", 1), "PODLANE_NETWORK=10.5.0.0/16 does not contain the pod subnet"},
		{"no MTU", strings.Replace(goodNode, "PODLANE_MTU=1450\n", "", 1), "PODLANE_MTU= is not between 576 and 65535"},
		{"MTU too small", strings.Replace(goodNode, "1450", "14", 1), "PODLANE_MTU=14 is not between 576 and 65535"},
		{"masquerade that is neither", strings.Replace(goodNode, "IPMASQ=true", "IPMASQ=maybe", 1), "PODLANE_IPMASQ=maybe is neither true nor false"},
		{"not ready", strings.Replace(goodNode, "PODLANE_IPMASQ", "PODLANE_NOT_READY=\"the pod subnet is also n7's\"\nPODLANE_IPMASQ", 1), "no new pod may be attached: the pod subnet is also n7's"},
	}
	for i := range len(goodNode) { // cut at every byte
		if i > 0 {
			rows = append(rows, row{fmt.Sprintf("cut after %d bytes", i), goodNode[:i], "the file is incomplete"})
		}
	}
	for _, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			r.writeNode(t, c.text)
			r.call(t, "ADD", r.conf("")).expectError(t, "ADD", cniTryLater, c.want)
			r.call(t, "STATUS", r.conf("")).expectError(t, "STATUS", cniUnavailable, c.want)
			r.expectNoLeftovers(t)
		})
	}
	t.Run("missing", func(t *testing.T) {
		if err := os.Remove(r.nodeFile); err != nil {
			t.Fatal(err)
		}
		for command, code := range map[string]int{"ADD": cniTryLater, "CHECK": cniTryLater, "STATUS": cniUnavailable} {
			r.call(t, command, r.conf(`,"prevResult":{"cniVersion":"1.1.0"}`)).expectError(t, command, code, "there is no node file "+r.nodeFile+"; ...podlaned...systemctl status podlaned")
		}
		r.expectNoLeftovers(t)
	})
}

// DEL frees a pod's address whatever the node file contains.
func TestPodIsDeletedWithABadNodeFile(t *testing.T) {
	r := newRuntime(t)
	for _, c := range []struct{ name, text string }{
		{"good", goodNode},
		{"cut in half", goodNode[:len(goodNode)/2]},
		{"empty", ""},
		{"of another program", "hello world\n"},
		{"not ready", goodNode + "PODLANE_NOT_READY=\"conflict\"\n"},
		{"of another pod subnet", strings.ReplaceAll(goodNode, "10.5.34.1/24", "10.5.35.1/24")},
		{"missing", "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.writeNode(t, goodNode)
			if a := r.call(t, "ADD", r.conf("")); a.exit != 0 {
				t.Fatalf("ADD: %s", a.text)
			}
			if held, err := filepath.Glob(filepath.Join(r.ipam, "podlane", "10.*")); err != nil || len(held) != 1 {
				t.Errorf("reserved addresses: %v, error %v; want one", held, err)
			}
			r.writeNode(t, c.text)
			if c.text == "-" {
				if err := os.Remove(r.nodeFile); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // a second DEL is no error
				if a := r.call(t, "DEL", r.conf("")); a.exit != 0 {
					t.Errorf("DEL: %s", a.text)
				}
			}
			r.expectNoLeftovers(t)
		})
	}
}
