package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/lab/sandbox"
)

// node is a network namespace with a bridge of pods, and acts as their runtime. There are only two addresses: a new pod gets
// the address of the deleted one.
type node struct {
	t    *testing.T
	ns   sandbox.Namespace
	cni  *libcni.CNIConfig
	list *libcni.NetworkConfigList
}

func newNode(t *testing.T, version string, plugins ...string) *node {
	t.Helper()
	if err := buildPlugin(); err != nil {
		t.Fatal(err)
	}
	folder, err := filepath.Abs(standardFolder)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"cniVersion":%q,"name":"pods","plugins":[{"type":"bridge","isDefaultGateway":true,"hairpinMode":true,"ipam":{"type":"host-local","dataDir":%q,"ranges":[
		[{"subnet":"10.9.0.0/24","rangeStart":"10.9.0.2","rangeEnd":"10.9.0.3"}],[{"subnet":"fd00:9::/64","rangeStart":"fd00:9::2","rangeEnd":"fd00:9::3"}]]}}%s]}`,
		version, t.TempDir(), strings.Join(append([]string{""}, plugins...), ","))
	n := &node{t: t, ns: sandbox.Test(t, "node"), cni: libcni.NewCNIConfigWithCacheDir([]string{builtFolder, folder}, t.TempDir(), nil)}
	if n.list, err = libcni.ConfListFromBytes([]byte(text)); err != nil {
		t.Fatal(err)
	}
	mustRun(t, n.ns, "sysctl -qw net.ipv6.conf.default.accept_dad=0") // the bridge's own address is used at once
	return n
}

func (n *node) do(f func(context.Context) error) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	if err := n.ns.Do(func() error { return f(ctx) }); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) add(pod sandbox.Namespace) (result types.Result) {
	n.t.Helper()
	n.do(func(ctx context.Context) (err error) {
		result, err = n.cni.AddNetworkList(ctx, n.list, n.args(pod))
		return err
	})
	return result
}

func (n *node) del(pod sandbox.Namespace) {
	n.t.Helper()
	n.do(func(ctx context.Context) error { return n.cni.DelNetworkList(ctx, n.list, n.args(pod)) })
}

func (n *node) args(pod sandbox.Namespace) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{ContainerID: pod.Name, NetNS: pod.Path(), IfName: "eth0"}
}

const gate = `{"type":"podlane-gate"}`

// The new pod answers the first packet. The neighbour entries of the deleted pod were confirmed a moment before.
func TestNewPodGetsTheAddressOfADeletedOne(t *testing.T) {
	n := newNode(t, "1.1.0", gate)
	neighbour := sandbox.Test(t, "neighbour")
	n.add(neighbour)
	for i := range 4 {
		pod := sandbox.Test(t, fmt.Sprintf("pod-%d", i))
		n.add(pod)
		for _, from := range []sandbox.Namespace{n.ns, neighbour} {
			for _, to := range []string{"10.9.0.3", "fd00:9::3"} {
				if _, err := from.Run("ping", "-n", "-c1", "-W1", to); err != nil {
					t.Errorf("pod %d: %v%s", i, err, mustRun(t, from, "ip neighbour show to "+to))
				}
			}
		}
		n.del(pod)
	}
}

// The announcement corrects a neighbour entry in any state.
func TestAnnouncementCorrectsNeighbourEntries(t *testing.T) {
	for _, state := range []string{"reachable", "stale", "delay", "probe", "failed"} {
		t.Run(state, func(t *testing.T) {
			n := newNode(t, "1.1.0", gate)
			n.add(sandbox.Test(t, "neighbour")) // without a pod the bridge has no carrier, and Linux deletes its neighbour entries
			for _, to := range []string{"10.9.0.3", "fd00:9::3"} {
				mustRun(t, n.ns, fmt.Sprintf("ip neighbour replace %s dev cni0 lladdr 02:00:00:00:00:01 nud %s", to, state))
			}
			n.add(sandbox.Test(t, "pod"))
			for _, to := range []string{"10.9.0.3", "fd00:9::3"} {
				mustRun(t, n.ns, "ping -n -c1 -W1 "+to)
			}
		})
	}
}

func TestResultIsReturnedUnchanged(t *testing.T) {
	for _, version := range []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		var without, with map[string]any
		t.Run(version+" without", func(t *testing.T) { without = newNode(t, version).result() })
		t.Run(version+" with", func(t *testing.T) { with = newNode(t, version, gate).result() })
		if diff := gocmp.Diff(without, with); diff != "" {
			t.Errorf("%s: result (-without podlane-gate +with it):\n%s", version, diff)
		}
	}
}

// result attaches a pod and returns the result for the runtime.
func (n *node) result() (result map[string]any) {
	n.t.Helper()
	data, err := json.Marshal(n.add(sandbox.Test(n.t, "pod")))
	if err == nil {
		err = json.Unmarshal(data, &result)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return withoutPodValues(result)
}

// withoutPodValues removes the values that differ from pod to pod.
func withoutPodValues(result map[string]any) map[string]any {
	interfaces, _ := result["interfaces"].([]any)
	for _, i := range interfaces {
		i := i.(map[string]any)
		delete(i, "mac")
		if i["sandbox"] != nil {
			i["sandbox"] = "the pod's"
		} else if strings.HasPrefix(i["name"].(string), "veth") {
			i["name"] = "veth"
		}
	}
	return result
}

// BenchmarkAdd measures the time that podlane-gate adds to an ADD.
func BenchmarkAdd(b *testing.B) {
	if err := buildPlugin(); err != nil {
		b.Fatal(err)
	}
	pod := sandbox.Test(b, "pod")
	if out, err := pod.Run("ip", "link", "add", "eth0", "up", "type", "veth", "peer", "name", "eth1"); err != nil {
		b.Fatal(err, out)
	}
	conf := `{"cniVersion":"1.0.0","name":"n","type":"podlane-gate","prevResult":{"cniVersion":"1.0.0","ips":[{"address":"10.9.0.2/24"}]}}`
	for b.Loop() {
		if stdout, stderr, code := call(b, addEnvironment(pod.Path()), conf); code != 0 || stderr != "" {
			b.Fatal(stdout, stderr)
		}
	}
	cmd := exec.Command("/bin/true")
	began := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(time.Since(began).Seconds()*1e3, "ms/true")
}

func mustRun(t *testing.T, ns sandbox.Namespace, command string) string {
	t.Helper()
	words := strings.Fields(command)
	out, err := ns.Run(words[0], words[1:]...)
	if err != nil {
		t.Error(err)
	}
	return out
}
