package kubernetes

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

// node is a machine of the cluster. It is namespaces of every kind with containerd, a kubelet and kube-proxy. The first
// node also has the control plane.
type node struct {
	name, address, address6 string
	net                     sandbox.Namespace
	init                    *exec.Cmd // nil: it is off
}

func (n *node) disk(path ...string) string {
	return filepath.Join(append([]string{disks, n.name}, path...)...)
}

// plug connects the node to the underlay.
func (n *node) plug(t *testing.T, underlay sandbox.Namespace) {
	t.Helper()
	var err error
	n.net, err = sandbox.New(n.name)
	cluster.Check(t, err)
	for _, command := range []string{
		"ip link add " + n.name + " type veth peer name eth0 netns " + n.name,
		"ip link set " + n.name + " master br0 up",
		"ip -n " + n.name + " address add " + n.address + "/24 dev eth0",
		"ip -n " + n.name + " address add " + n.address6 + "/64 dev eth0 nodad",
		"ip -n " + n.name + " link set eth0 up",
		"ip -n " + n.name + " route add default via " + outside,
		"ip -n " + n.name + " -6 route add default via " + outside6,
	} {
		runIn(t, underlay, command)
	}
}

func runIn(t *testing.T, place sandbox.Namespace, command string) string {
	t.Helper()
	words := strings.Fields(command)
	out, err := place.Run(words[0], words[1:]...)
	cluster.Check(t, err)
	return out
}

const containerdConfig = `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.10.1"
  disable_hugetlb_controller = true
  restrict_oom_score_adj = true
`

const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: PKI/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: PKI/NODE.crt
tlsPrivateKeyFile: PKI/NODE.key
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
resolvConf: DISK/resolv.conf
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi}
nodeStatusUpdateFrequency: 5s
syncFrequency: 30s
`

const proxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: MODE
clusterCIDR: CLUSTER
clientConnection: {kubeconfig: PKI/proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
iptables: {minSyncPeriod: 1s}
nftables: {minSyncPeriod: 1s}
`

// install writes the node's configuration.
func (n *node) install(t *testing.T, network clusterNetwork, proxyMode string) {
	t.Helper()
	cluster.Check(t, os.MkdirAll(n.disk(), 0o755))
	fill := strings.NewReplacer("PKI", pki, "NODE", n.name, "DISK", n.disk(), "MODE", proxyMode, "CLUSTER", network.proxied())
	for file, text := range map[string]string{
		"containerd.toml": containerdConfig, "kubelet.yaml": kubeletConfig, "proxy.yaml": proxyConfig,
		"resolv.conf": "nameserver " + outside + "\n", "controller-manager.flags": network.controllerFlags(),
	} {
		cluster.Check(t, os.WriteFile(n.disk(file), []byte(fill.Replace(text)), 0o644))
	}
}

// boot starts the node in its own cgroups and namespaces.
func (n *node) boot(t *testing.T, network clusterNetwork, images []string) {
	t.Helper()
	bin, err := filepath.Abs("../../bin/kubernetes")
	cluster.Check(t, err)
	script, err := filepath.Abs("node.sh")
	cluster.Check(t, err)
	hierarchies := n.makeCgroups(t)
	n.init = exec.CommandContext(context.WithoutCancel(t.Context()), "sh", "-c", `for c in $CGROUPS; do echo $$ >/sys/fs/cgroup/$c/podlane-kubernetes-$1/cgroup.procs; done
exec unshare --mount --uts --ipc --pid --cgroup --fork --kill-child tini -s -- sh "$0" "$@"`, script, n.name, n.address, server)
	n.init.Env = append(os.Environ(), "DISK="+n.disk(), "BIN="+bin, "PKI="+pki, "CGROUPS="+strings.Join(hierarchies, " "), "IMAGES="+strings.Join(images, " "),
		"NODE_IPS="+network.nodeAddresses(n), "SERVICES="+network.services())
	log, err := os.OpenFile(n.disk("init.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	cluster.Check(t, err)
	defer log.Close()
	n.init.Stdout, n.init.Stderr = log, log
	n.init.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cluster.Check(t, n.net.Start(n.init))
}

// makeCgroups makes a cgroup for the node in each hierarchy of the machine (cgroup v1), and returns their names.
func (n *node) makeCgroups(t *testing.T) (hierarchies []string) {
	t.Helper()
	for _, c := range []string{"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd"} {
		root := "/sys/fs/cgroup/" + c
		if _, err := os.Stat(root); err != nil {
			t.Fatalf("these tests need cgroup v1: %v", err)
		}
		cluster.Check(t, os.MkdirAll(root+"/podlane-kubernetes-"+n.name, 0o755))
		hierarchies = append(hierarchies, c)
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} { // a new cpuset has none
		data, err := os.ReadFile("/sys/fs/cgroup/cpuset/" + file)
		cluster.Check(t, err)
		cluster.Check(t, os.WriteFile("/sys/fs/cgroup/cpuset/podlane-kubernetes-"+n.name+"/"+file, data, 0o644))
	}
	return hierarchies
}

// powerOff ends everything on the node at once. Its disk survives, its kernel state does not.
func (n *node) powerOff(t *testing.T, underlay sandbox.Namespace) {
	t.Helper()
	if n.init == nil {
		return
	}
	if first := n.first(); first > 0 {
		_ = syscall.Kill(first, syscall.SIGKILL) // it may have ended; the kernel ends all others with it
	} else {
		_ = n.init.Process.Kill()
	}
	_ = n.init.Wait() // unshare exits after its child, and that after all others
	n.init = nil
	runIn(t, underlay, "ip link delete "+n.name) // while the node's namespace holds the other end
	cluster.Check(t, n.net.Delete())
}

// first returns the id of the node's first process, as seen from here; 0: there is none.
func (n *node) first() int {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", n.init.Process.Pid))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(children)))
	return pid
}

// kill ends every process of a program on the node. The node starts its own services again.
func (n *node) kill(t *testing.T, program string) {
	t.Helper()
	out, err := n.run(t, "sh", "-c", `for p in /proc/[0-9]*; do case $(readlink $p/exe) in */'`+program+`') kill -9 ${p#/proc/};; esac; done`)
	if err != nil {
		t.Fatalf("kill %s on %s: %v: %s", program, n.name, err, out)
	}
}

// processes returns the ids of a program's processes on the node.
func (n *node) processes(t *testing.T, program string) string {
	t.Helper()
	out, err := n.run(t, "sh", "-c", `for p in /proc/[0-9]*; do case $(readlink $p/exe) in */'`+program+`') echo ${p#/proc/};; esac; done`)
	cluster.Check(t, err)
	return strings.Join(strings.Fields(out), " ")
}

// stop stops a service of the node, a program of Kubernetes, until start is called.
func (n *node) stop(t *testing.T, program string) (start func()) {
	t.Helper()
	file := n.disk("stopped-" + program)
	cluster.Check(t, os.WriteFile(file, nil, 0o644))
	n.kill(t, program)
	return func() { cluster.Check(t, os.Remove(file)) }
}

// run runs a command in the node, in all its namespaces.
func (n *node) run(t *testing.T, command ...string) (string, error) {
	t.Helper()
	args := append([]string{"-t", strconv.Itoa(n.first()), "-n", "-m", "-u", "-i", "-p", "-C"}, command...)
	var out bytes.Buffer
	cmd := exec.CommandContext(cluster.Within(t), "nsenter", args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }
