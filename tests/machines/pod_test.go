package machines

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

// pod is a network namespace of a machine. The plugins and the configuration list that are installed there attach it.
// It has the same name in the sandbox.
type pod struct {
	sandbox.Namespace
	addr netip.Addr

	machine *machine
	args    libcni.RuntimeConf
}

// addPod attaches a pod as a container runtime does.
func (m *machine) addPod(t *testing.T, name string) *pod {
	t.Helper()
	p := &pod{Namespace: sandbox.Namespace{Name: name}, machine: m, args: libcni.RuntimeConf{
		ContainerID: name, NetNS: "/run/netns/" + name, IfName: "eth0",
	}}
	m.sh(t, "ip netns add "+name)
	cluster.Check(t, os.WriteFile(p.Path(), nil, 0o444))
	cluster.Check(t, unix.Mount(filepath.Join("/proc", strconv.Itoa(m.first), "root", p.args.NetNS), p.Path(), "", unix.MS_BIND, ""))
	t.Cleanup(func() { cluster.Check(t, p.Delete()) })

	result, err := p.cni().AddNetworkList(cluster.Within(t), p.list(t), &p.args)
	cluster.Check(t, err)
	r, err := current.NewResultFromResult(result)
	cluster.Check(t, err)
	if len(r.IPs) != 1 {
		t.Fatalf("pod %s: want one address: %v", name, r)
	}
	a, _ := netip.AddrFromSlice(r.IPs[0].Address.IP)
	p.addr = a.Unmap()
	return p
}

// list returns podlaned's configuration list as Debian's runtimes read it. It has version 1.0.0, the latest of Debian's
// plugins.
func (p *pod) list(t *testing.T) *libcni.NetworkConfigList {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.machine.disk, "/etc/cni/net.d/10-podlane.conflist"))
	cluster.Check(t, err)
	list, err := libcni.ConfListFromBytes(text)
	cluster.Check(t, err)
	list.CNIVersion = "1.0.0"
	if last := list.Plugins[len(list.Plugins)-1].Network.Type; last != "podlane-gate" {
		t.Errorf("last plugin of the list: %s, want podlane-gate", last)
	}
	return list
}

// detach runs CNI DEL.
func (p *pod) detach(t *testing.T) {
	t.Helper()
	cluster.Check(t, p.cni().DelNetworkList(cluster.Within(t), p.list(t), &p.args))
}

func (p *pod) cni() *libcni.CNIConfig {
	cache := filepath.Join("/run/machines", p.machine.Name, "cni")
	return libcni.NewCNIConfigWithCacheDir([]string{"/usr/lib/cni"}, cache, &plugins{machine: p.machine})
}

// plugins runs the plugins of a machine.
type plugins struct {
	machine *machine
	version.PluginDecoder
}

// ExecPlugin implements invoke.Exec. From the environment, a plugin gets only what the specification names.
func (p *plugins) ExecPlugin(ctx context.Context, plugin string, stdin []byte, environ []string) ([]byte, error) {
	args := []string{"env"}
	for _, e := range environ {
		if strings.HasPrefix(e, "CNI_") {
			args = append(args, e)
		}
	}
	cmd := p.machine.command(ctx, append(args, plugin)...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", plugin, err, out)
	}
	return out, err
}

// FindInPath implements invoke.Exec.
func (p *plugins) FindInPath(plugin string, paths []string) (string, error) {
	return filepath.Join(paths[0], plugin), nil
}
