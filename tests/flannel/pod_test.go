package flannel

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

// pod is a pod on a node of either kind.
type pod struct {
	sandbox.Namespace
	node  string // its name
	addrs []netip.Addr
	mtu   int // of its interface, in bytes

	delete func(*testing.T) // runs CNI DEL and deletes the namespace
}

// run runs a command in the pod, and returns its output and its errors.
func (p *pod) run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out []byte
	err := p.Do(func() (err error) {
		out, err = cmd.CombinedOutput()
		return err
	})
	return string(out), err
}

// addPodlanePod attaches a pod to a podlane node with podlane's plugins.
func addPodlanePod(t *testing.T, l *lab.Lab, n *lab.Node, name string) *pod {
	t.Helper()
	p, err := l.AddPod(cluster.Within(t), n, name)
	cluster.Check(t, err)
	mtu, err := strconv.Atoi(cluster.NodeFile(t, n)["PODLANE_MTU"])
	cluster.Check(t, err)
	return &pod{
		Namespace: sandbox.Namespace{Name: p.Name}, node: n.Name, addrs: p.Addrs, mtu: mtu,
		delete: func(t *testing.T) { cluster.Check(t, p.Delete(cluster.Within(t))) },
	}
}

// addPod attaches a pod to a flannel node. The configuration is the one that flannel's CNI plugin gives to the plugin bridge.
func (n *flannelNode) addPod(t *testing.T, name string) *pod {
	t.Helper()
	namespace, err := sandbox.New(name)
	cluster.Check(t, err)
	list, plugins := n.plugins(t)
	args := libcni.RuntimeConf{ContainerID: "flannel-" + name, NetNS: namespace.Path(), IfName: "eth0"}
	p := &pod{Namespace: namespace, node: n.Name, delete: func(t *testing.T) {
		cluster.Check(t, n.Do(func() error { return plugins.DelNetworkList(cluster.Within(t), list, &args) }))
		cluster.Check(t, namespace.Delete())
	}}
	cluster.Check(t, n.Do(func() error {
		result, err := plugins.AddNetworkList(cluster.Within(t), list, &args)
		if err != nil {
			return err
		}
		r, err := current.NewResultFromResult(result)
		if err != nil {
			return err
		}
		for _, ip := range r.IPs {
			a, _ := netip.AddrFromSlice(ip.Address.IP)
			p.addrs = append(p.addrs, a.Unmap())
		}
		return nil
	}))
	p.mtu, err = strconv.Atoi(n.subnets(t)["FLANNEL_MTU"])
	cluster.Check(t, err)
	return p
}

// plugins returns the CNI configuration list of a flannel node, and the standard plugins to run it with.
func (n *flannelNode) plugins(t *testing.T) (*libcni.NetworkConfigList, *libcni.CNIConfig) {
	t.Helper()
	values := n.subnets(t)
	mtu, err := strconv.Atoi(values["FLANNEL_MTU"])
	cluster.Check(t, err)
	var ranges, routes []any
	for _, family := range []string{"FLANNEL_", "FLANNEL_IPV6_"} {
		if values[family+"SUBNET"] == "" {
			continue
		}
		own, err := netip.ParsePrefix(values[family+"SUBNET"])
		cluster.Check(t, err)
		ranges = append(ranges, []any{map[string]any{"subnet": own.Masked().String()}})
		routes = append(routes, map[string]any{"dst": values[family+"NETWORK"]})
	}
	text, err := json.Marshal(map[string]any{
		"cniVersion": "0.3.1",
		"name":       "cbr0",
		"plugins": []any{map[string]any{
			"type": "bridge", "mtu": mtu, "ipMasq": false, "isGateway": true, "isDefaultGateway": true, "hairpinMode": true,
			"ipam": map[string]any{"type": "host-local", "dataDir": n.IPAMDir(), "ranges": ranges, "routes": routes},
		}},
	})
	cluster.Check(t, err)
	list, err := libcni.ConfListFromBytes(text)
	cluster.Check(t, err)
	bin, err := filepath.Abs("../../bin/cni")
	cluster.Check(t, err)
	exe := &invoke.DefaultExec{RawExec: &invoke.RawExec{Stderr: t.Output()}, PluginDecoder: version.PluginDecoder{}}
	return list, libcni.NewCNIConfigWithCacheDir([]string{bin}, n.file("cni"), exe)
}

// addr returns the pod's address of a family.
func (p *pod) addr(like netip.Addr) (netip.Addr, error) {
	for _, a := range p.addrs {
		if a.Is4() == like.Is4() {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s has %v, and no address like %s", p.Name, p.addrs, like)
}
