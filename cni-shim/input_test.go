package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	gocmp "github.com/google/go-cmp/cmp"
)

// writeNode writes a node file with any content and returns its path.
func writeNode(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "subnet.env")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const hint = "podlaned writes it when this node has its pod subnet; is podlaned running? See `systemctl status podlaned` and `podlaned status`"

func TestInvalidInput(t *testing.T) {
	whole := writeNode(t, ipv4Node.Marshal())
	text := ipv4Node.Marshal()
	half := writeNode(t, text[:len(text)/2])
	notReady := ipv4Node
	notReady.NotReady = "10.5.34.0/24 is leased by node n7 too"
	conflict := writeNode(t, notReady.Marshal())
	with := func(nodeFile, rest string) string {
		return `{"cniVersion":"1.1.0","name":"n","type":"podlane-cni","nodeFile":"` + nodeFile + `"` + rest + `}`
	}
	none := "/run/none/subnet.env"
	folders := strings.Join(pluginPath(t), ", ")
	fix := "install the CNI plugins there (containernetworking-plugins), or change the configuration's delegate.type"
	missing := `the delegate "macvtap" is in none of the folders of CNI_PATH: ` + folders

	for name, c := range map[string]struct {
		call call
		want types.Error
	}{
		"no name": {call{"ADD", nil, `{"cniVersion":"1.0.0"}`}, types.Error{Code: 7, Msg: "missing network name"}},
		"a name with a path": {call{"GC", nil, `{"cniVersion":"1.1.0","name":"../x"}`},
			types.Error{Code: 7, Msg: "invalid characters found in network name", Details: "../x"}},
		"no JSON": {call{"ADD", nil, `{"name":`},
			types.Error{Code: 6, Msg: "error unmarshall network config: unexpected end of JSON input"}},
		"an unknown command": {call{"PAINT", nil, with(whole, "")}, types.Error{Code: 4, Msg: "unknown CNI_COMMAND: PAINT"}},
		"no network namespace": {call{"ADD", []string{"CNI_NETNS="}, with(whole, "")},
			types.Error{Code: 4, Msg: "required env variables [CNI_NETNS] missing"}},
		"a version from the future":   {call{"ADD", nil, `{"cniVersion":"2.0.0","name":"n"}`}, types.Error{Code: 1, Msg: "incompatible CNI versions", Details: `config is "2.0.0", plugin supports ["0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]`}},
		"CHECK of a future version":   {call{"CHECK", nil, `{"cniVersion":"1.9.9","name":"n"}`}, types.Error{Code: 1, Msg: "plugin version does not allow CHECK", Details: versions}},
		"STATUS of a future version":  {call{"STATUS", nil, `{"cniVersion":"1.9.9","name":"n"}`}, types.Error{Code: 1, Msg: "plugin version does not allow STATUS", Details: versions}},
		"GC of an earlier version":    {call{"GC", nil, `{"cniVersion":"1.0.0","name":"n"}`}, types.Error{Code: 1, Msg: "config version does not allow GC", Details: versions}},
		"no version means 0.1.0":      {call{"ADD", nil, `{"name":"n"}`}, types.Error{Code: 1, Msg: "incompatible CNI versions", Details: `config is "0.1.0", plugin supports ["0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]`}},
		"a delegate that is a path":   {call{"DEL", nil, with(whole, `,"delegate":{"type":"../bridge"}`)}, types.Error{Code: 7, Msg: `delegate.type is "../bridge", not the name of a plugin`}},
		"a delegate that is a number": {call{"ADD", nil, with(whole, `,"delegate":7`)}, types.Error{Code: 7, Msg: `"delegate" is 7, not an object`}},
		"routes that are not objects": {call{"ADD", nil, with(whole, `,"delegate":{"ipam":{"routes":["x"]}}`)},
			types.Error{Code: 7, Msg: `"ipam.routes" is ["x"], not a list of routes like {"dst": "10.0.0.0/8"}`}},
		"a missing delegate":           {call{"ADD", nil, with(whole, `,"delegate":{"type":"macvtap"}`)}, types.Error{Code: 7, Msg: missing, Details: fix}},
		"DEL by a missing delegate":    {call{"DEL", nil, with(none, `,"delegate":{"type":"macvtap"}`)}, types.Error{Code: 7, Msg: missing, Details: fix}},
		"STATUS of a missing delegate": {call{"STATUS", nil, with(whole, `,"delegate":{"type":"macvtap"}`)}, types.Error{Code: 50, Msg: missing, Details: fix}},
		"ADD without a node file":      {call{"ADD", nil, with(none, "")}, types.Error{Code: 11, Msg: "there is no node file " + none, Details: hint}},
		"CHECK without a node file":    {call{"CHECK", nil, with(none, "")}, types.Error{Code: 11, Msg: "there is no node file " + none, Details: hint}},
		"STATUS without a node file":   {call{"STATUS", nil, with(none, "")}, types.Error{Code: 50, Msg: "there is no node file " + none, Details: hint}},
		"a truncated node file": {call{"ADD", nil, with(half, "")},
			types.Error{Code: 11, Msg: "node file " + half + ": the file is incomplete: its last line has no end", Details: hint}},
		"STATUS of a truncated node file": {call{"STATUS", nil, with(half, "")},
			types.Error{Code: 50, Msg: "node file " + half + ": the file is incomplete: its last line has no end", Details: hint}},
		"ADD on a node that is not ready": {call{"ADD", nil, with(conflict, "")},
			types.Error{Code: 11, Msg: "no new pod may be attached: " + notReady.NotReady, Details: "see `podlaned status`"}},
		"STATUS of a node that is not ready": {call{"STATUS", nil, with(conflict, "")},
			types.Error{Code: 50, Msg: "no new pod may be attached: " + notReady.NotReady, Details: "see `podlaned status`"}},
		"GC without valid attachments": {call{"GC", nil, with(whole, "")},
			types.Error{Code: 7, Msg: `GC without "cni.dev/valid-attachments": every pod would lose its address`}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := gocmp.Diff(c.want, c.call.fails(t)); d != "" {
				t.Errorf("error (-want +got):\n%s", d)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	want := `{"cniVersion":"1.1.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}` + "\n"
	if stdout, stderr, code := (call{command: "VERSION"}).run(t); stdout != want || stderr != "" || code != 0 {
		t.Errorf("exit code %d, stdout %q, stderr %q; want 0 and %q", code, stdout, stderr, want)
	}
}

func TestRunWithoutACommandPrintsTheVersion(t *testing.T) {
	stdout, stderr, code := call{env: nil}.run(t)
	if !strings.HasPrefix(stderr, "podlane-cni unknown\n") || stdout != "" || code != 0 {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

// The configuration exceeds a pipe's buffer (64 KiB). It is complete before the delegate reads.
func TestLargeConfigurationReachesTheDelegateUnchanged(t *testing.T) {
	conf := `{"cniVersion":"1.0.0","name":"n","nodeFile":"` + writeNode(t, ipv4Node.Marshal()) + `","args":"` +
		strings.Repeat("x", 1<<20) + `","delegate":{"type":"echo"}}`
	parsed, err := parse([]byte(conf))
	if err != nil {
		t.Fatal(err)
	}
	want, err := parsed.translate(ipv4Node)
	if err != nil {
		t.Fatal(err)
	}
	c := call{"ADD", []string{"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAME=p", "PODLANE_X=y z"}, conf}
	stdout, stderr, code := c.run(t)
	if stdout != string(want) || code != 0 {
		t.Errorf("exit code %d, %d bytes, want 0 and %d", code, len(stdout), len(want))
	}
	if got, want := stderr, strings.Join(c.environment(t), "\n")+"\n"; got != want {
		t.Errorf("environment:\n%s\nwant:\n%s", got, want)
	}
}

// If the delegate does not start, podlane-cni itself must report the error.
func TestDelegateThatDoesNotStart(t *testing.T) {
	folder := t.TempDir()
	broken := filepath.Join(folder, "bridge")
	if err := os.WriteFile(broken, []byte("not a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	pluginPath(t)
	conf := `{"cniVersion":"1.1.0","name":"n","nodeFile":"` + writeNode(t, ipv4Node.Marshal()) + `"}`
	got := call{"ADD", []string{"CNI_PATH=" + folder}, conf}.fails(t)
	want := types.Error{Code: 5, Msg: "exec " + broken + ": exec format error"}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("error (-want +got):\n%s", d)
	}
}

func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(string(bytes.TrimSpace(out))) {
		switch {
		case path == "github.com/podlane/podlane/subnet", path == "github.com/podlane/podlane/cni-shim":
		case strings.HasPrefix(path, "github.com/containernetworking/cni/pkg/"):
		case path == "github.com/vishvananda/netns": // the CNI library's, for a check that exec leaves behind
		case strings.HasPrefix(path, "golang.org/x/sys/"):
		default:
			t.Errorf("podlane-cni depends on %s", path)
		}
	}
}

func TestSize(t *testing.T) {
	pluginPath(t)
	info, err := os.Stat(filepath.Join(binDir, "podlane-cni"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() >= 4e6 {
		t.Errorf("podlane-cni has %d bytes, want less than 4 MB", info.Size())
	}
}
