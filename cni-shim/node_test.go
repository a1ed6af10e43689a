package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/subnet"
)

// node is a node's network namespace with a container runtime: libcni and a configuration list.
type node struct {
	t        *testing.T
	ns       sandbox.Namespace
	cni      *libcni.CNIConfig
	list     *libcni.NetworkConfigList
	nodeFile string
	dataDir  string // of host-local
}

// newNode makes a node. Its list has podlane-cni, with delegate as its "delegate", and more plugins.
func newNode(t *testing.T, version string, file subnet.NodeFile, delegate map[string]any, more ...map[string]any) *node {
	t.Helper()
	n := &node{t: t, ns: sandbox.Test(t, "node"), dataDir: t.TempDir(), nodeFile: filepath.Join(t.TempDir(), "subnet.env")}
	n.restart()
	n.write(file)
	if delegate == nil {
		delegate = map[string]any{}
	}
	delegate["ipam"] = map[string]any{"dataDir": n.dataDir}
	plugins := append([]map[string]any{{"type": "podlane-cni", "nodeFile": n.nodeFile, "delegate": delegate}}, more...)
	text, err := json.Marshal(map[string]any{"name": "pods", "cniVersion": version, "plugins": plugins})
	if err != nil {
		t.Fatal(err)
	}
	if n.list, err = libcni.ConfListFromBytes(text); err != nil {
		t.Fatal(err)
	}
	return n
}

// restart gives the node a new runtime, which does not know the attachments.
func (n *node) restart() {
	n.cni = libcni.NewCNIConfigWithCacheDir(pluginPath(n.t), n.t.TempDir(), nil)
}

func (n *node) write(file subnet.NodeFile) {
	n.t.Helper()
	if err := subnet.WriteFile(n.nodeFile, file.Marshal(), 0o644); err != nil {
		n.t.Fatal(err)
	}
}

// pod returns the attachment of a container with the namespace's name.
func (n *node) pod(ns sandbox.Namespace) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{ContainerID: ns.Name, NetNS: ns.Path(), IfName: "eth0"}
}

// do calls libcni by f, like a runtime on the node.
func (n *node) do(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	return n.ns.Do(func() error { return f(ctx) })
}

func (n *node) tryAdd(rt *libcni.RuntimeConf) (*types100.Result, error) {
	var result *types100.Result
	err := n.do(func(ctx context.Context) error {
		r, err := n.cni.AddNetworkList(ctx, n.list, rt)
		if err == nil {
			result, err = types100.NewResultFromResult(r)
		}
		return err
	})
	return result, err
}

// add attaches a pod and returns its addresses.
func (n *node) add(rt *libcni.RuntimeConf) (addrs []string) {
	n.t.Helper()
	result, err := n.tryAdd(rt)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, ip := range result.IPs {
		addrs = append(addrs, ip.Address.IP.String())
	}
	return addrs
}

func (n *node) check(rt *libcni.RuntimeConf) error {
	return n.do(func(ctx context.Context) error { return n.cni.CheckNetworkList(ctx, n.list, rt) })
}

func (n *node) del(rt *libcni.RuntimeConf) {
	n.t.Helper()
	if err := n.do(func(ctx context.Context) error { return n.cni.DelNetworkList(ctx, n.list, rt) }); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) gc(valid ...*libcni.RuntimeConf) error {
	args := &libcni.GCArgs{ValidAttachments: []types.GCAttachment{}}
	for _, rt := range valid {
		args.ValidAttachments = append(args.ValidAttachments, types.GCAttachment{ContainerID: rt.ContainerID, IfName: rt.IfName})
	}
	return n.do(func(ctx context.Context) error { return n.cni.GCNetworkList(ctx, n.list, args) })
}

func (n *node) status() error {
	return n.do(func(ctx context.Context) error { return n.cni.GetStatusNetworkList(ctx, n.list) })
}

// reserved returns the addresses that host-local has allocated.
func (n *node) reserved() (addrs []string) {
	n.t.Helper()
	entries, err := os.ReadDir(filepath.Join(n.dataDir, n.list.Name))
	if err != nil {
		n.t.Fatal(err)
	}
	for _, e := range entries {
		if _, err := netip.ParseAddr(e.Name()); err == nil {
			addrs = append(addrs, e.Name())
		}
	}
	return addrs
}

func (n *node) wantReserved(want ...string) {
	n.t.Helper()
	if got := n.reserved(); !slices.Equal(got, want) {
		n.t.Errorf("host-local has allocated %v, want %v", got, want)
	}
}

// wantError checks for our error, returned by libcni.
func wantError(t *testing.T, err error, code uint, text string) {
	t.Helper()
	var e *types.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Error(), text) {
		t.Errorf("got %v; want code %d and %q", err, code, text)
	}
}

func (n *node) run(ns sandbox.Namespace, command string) string {
	n.t.Helper()
	fields := strings.Fields(command)
	out, err := ns.Run(fields[0], fields[1:]...)
	if err != nil {
		n.t.Error(err)
	}
	return out
}
