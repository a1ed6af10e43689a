package cri

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
	"github.com/podlane/podlane/tests/stream"
)

// pod is a sandbox with a container that serves the pod's name on port 80. Do opens sockets in it.
type pod struct {
	sandbox.Namespace
	machine   *machine
	id        string // of the sandbox
	container string
	addrs     []netip.Addr
}

// sandboxConfig returns a configuration as the kubelet writes it.
func (m *machine) sandboxConfig(name string, ports ...*cri.PortMapping) *cri.PodSandboxConfig {
	return &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: name, Uid: "uid-" + name, Namespace: "default"},
		LogDirectory: m.disk("log"),
		PortMappings: ports,
		Linux:        &cri.LinuxPodSandboxConfig{CgroupParent: "/" + os.Getenv(cgroupVariable)},
	}
}

// runSandbox makes a sandbox and returns its id.
func (m *machine) runSandbox(ctx context.Context, config *cri.PodSandboxConfig) (string, error) {
	r, err := m.runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: config})
	return r.GetPodSandboxId(), err
}

// removeSandbox stops a sandbox and removes it.
func (m *machine) removeSandbox(ctx context.Context, id string) error {
	if _, err := m.runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: id}); err != nil {
		return err
	}
	_, err := m.runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: id})
	return err
}

// addPod makes a pod. It waits only for the CRI.
func (m *machine) addPod(t *testing.T, name string, ports ...*cri.PortMapping) *pod {
	t.Helper()
	ctx, config := cluster.Within(t), m.sandboxConfig(name, ports...)
	id, err := m.runSandbox(ctx, config)
	cluster.Check(t, err)
	p := &pod{Namespace: sandbox.Namespace{Name: "pod-" + name}, machine: m, id: id}
	pid := 0
	p.addrs, pid = m.describe(t, id)
	cluster.Check(t, os.WriteFile(p.Path(), nil, 0o444))
	cluster.Check(t, unix.Mount(fmt.Sprintf("%s/proc/%d/ns/net", sandbox.Root(m.init.Process.Pid), pid), p.Path(), "", unix.MS_BIND, ""))
	t.Cleanup(p.forget)
	serve := "echo " + name + " >/tmp/name; exec busybox httpd -f -p 80 -h /tmp"
	created, err := m.runtime.CreateContainer(ctx, &cri.CreateContainerRequest{PodSandboxId: id, SandboxConfig: config, Config: &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: "web"},
		Image:    &cri.ImageSpec{Image: image},
		Command:  []string{"sh", "-c", serve},
		Linux:    &cri.LinuxContainerConfig{},
	}})
	cluster.Check(t, err)
	p.container = created.ContainerId
	_, err = m.runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: p.container})
	cluster.Check(t, err)
	return p
}

// describe returns a sandbox's addresses, and the id of its first process on the machine.
func (m *machine) describe(t *testing.T, id string) (addrs []netip.Addr, pid int) {
	t.Helper()
	s, err := m.runtime.PodSandboxStatus(cluster.Within(t), &cri.PodSandboxStatusRequest{PodSandboxId: id, Verbose: true})
	cluster.Check(t, err)
	network := s.Status.Network
	for _, ip := range append([]*cri.PodIP{{Ip: network.Ip}}, network.AdditionalIps...) {
		addr, err := netip.ParseAddr(ip.Ip)
		cluster.Check(t, err)
		addrs = append(addrs, addr)
	}
	if len(addrs) != 2 || addrs[0].Is4() == addrs[1].Is4() {
		t.Fatalf("addresses %v, want one of each family", addrs)
	}
	var info struct{ PID int }
	cluster.Check(t, json.Unmarshal([]byte(s.Info["info"]), &info))
	return addrs, info.PID
}

// forget releases the pod's network namespace, which exists until its last user releases it.
func (p *pod) forget() {
	if _, err := os.Stat(p.Path()); err == nil {
		_ = p.Delete() // the sandbox removes what is left
	}
}

// remove removes the pod as the kubelet does.
func (p *pod) remove(t *testing.T) {
	t.Helper()
	cluster.Check(t, p.machine.removeSandbox(cluster.Within(t), p.id))
}

// exec runs a command in the pod's container and returns its output.
func (p *pod) exec(t *testing.T, command ...string) (string, error) {
	t.Helper()
	r, err := p.machine.runtime.ExecSync(cluster.Within(t), &cri.ExecSyncRequest{ContainerId: p.container, Cmd: command, Timeout: 10})
	if err == nil && r.ExitCode != 0 {
		err = fmt.Errorf("%s in %s: exit code %d: %s", strings.Join(command, " "), p.Name, r.ExitCode, r.Stderr)
	}
	return strings.TrimSpace(string(r.GetStdout())), err
}

// fetch returns the name that a server answers to a container of the pod.
func (p *pod) fetch(t *testing.T, server netip.AddrPort) (string, error) {
	t.Helper()
	return p.exec(t, "busybox", "wget", "-q", "-O-", "http://"+filepath.Join(server.String(), "name"))
}

// flood starts streams between pairs of pods, in both families.
func flood(t *testing.T, pairs ...[2]*pod) cluster.Flood {
	t.Helper()
	var f cluster.Flood
	for _, p := range pairs {
		for i := range p[0].addrs {
			f = append(f, cluster.StartStream(t, stream.End{Place: p[0], Addr: p[0].addrs[i]}, stream.End{Place: p[1], Addr: p[1].addrs[i]}))
		}
	}
	return f
}
