package cri

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

const within5 = 5 * time.Second // for steps that have no promised time

// machines holds the disks of the machines: a folder each, named after the node.
const machines = "/run/machines"

// machine is what runs on a node beside podlaned: an init, containerd, its shims and the pods. They have mount and PID
// namespaces of their own, so the init's end ends them all, like a power cut.
//
// Its /etc, /opt and /var/lib are folders of its disk, which survive that. /run/containerd is a tmpfs. podlaned runs
// outside, in the same network namespace.
type machine struct {
	*lab.Node
	init       *exec.Cmd
	containerd *exec.Cmd // nil: it does not run
	conn       *grpc.ClientConn
	runtime    cri.RuntimeServiceClient
}

// build makes a cluster of two nodes, each with its machine and containerd. It does not start podlaned.
func build(t *testing.T) (*lab.Lab, []*machine) {
	t.Helper()
	for _, program := range []string{"containerd", "ctr", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: `make test` installs it", err)
		}
	}
	t.Cleanup(func() { cluster.Check(t, os.RemoveAll(machines)) }) // after podlaned has ended, because it restores its conflist
	l := cluster.Build(t, lab.Options{Nodes: 2, IPv6: true, Config: cluster.DualStack, NodeEnv: func(i int) []string {
		name := fmt.Sprint("n", i)
		return []string{"PODLANE_CNI_CONF=" + conflist(name), "PODLANE_CNI_BIN=" + filepath.Join(machines, name, "opt/cni/bin")}
	}})
	var all []*machine
	for _, n := range l.Nodes {
		m := &machine{Node: n}
		m.install(t)
		t.Cleanup(func() { m.powerOff(t) })
		m.boot(t)
		all = append(all, m)
	}
	for _, m := range all {
		m.awaitRuntime(t)
		for _, namespace := range []string{"k8s.io", "default"} { // of the CRI, and of ctr
			m.run(t, "ctr", "--namespace", namespace, "images", "import", imageFile)
		}
	}
	return l, all
}

// start is build with podlaned running. It waits until pods can be made.
func start(t *testing.T) (*lab.Lab, []*machine) {
	t.Helper()
	l, all := build(t)
	cluster.Check(t, l.StartAll(cluster.Within(t)))
	cluster.AwaitPeers(t, l, within5, 1)
	for _, m := range all {
		m.awaitNetwork(t)
	}
	return l, all
}

func conflist(node string) string {
	return filepath.Join(machines, node, "etc/cni/net.d/10-podlane.conflist")
}

func (m *machine) disk(path ...string) string {
	return filepath.Join(append([]string{machines, m.Name}, path...)...)
}

// containerdConfig is a user's configuration with two differences. Pods' namespaces are on the machine's own tmpfs. The
// OOM score is never below ours, because that takes CAP_SYS_RESOURCE. The CNI folders are the defaults, /etc/cni/net.d
// and /opt/cni/bin.
const containerdConfig = `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + image + `"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
`

// install writes the machine's disk.
func (m *machine) install(t *testing.T) {
	t.Helper()
	for _, folder := range []string{"opt/cni/bin", "var/lib"} {
		cluster.Check(t, os.MkdirAll(m.disk(folder), 0o755))
	}
	cluster.Run(t, m.Place, "cp -a /etc "+m.disk("etc"))
	cluster.Check(t, errors.Join(os.RemoveAll(m.disk("etc/cni")), os.MkdirAll(m.disk("etc/cni/net.d"), 0o755)))
	for _, plugin := range []string{"podlane-cni", "podlane-gate", "cni/bridge", "cni/host-local", "cni/portmap", "cni/loopback"} {
		data, err := os.ReadFile("../../bin/" + plugin)
		cluster.Check(t, err)
		cluster.Check(t, os.WriteFile(m.disk("opt/cni/bin", filepath.Base(plugin)), data, 0o755))
	}
	cluster.Check(t, os.WriteFile(m.disk("containerd.toml"), []byte(containerdConfig), 0o644))
	cluster.Check(t, writeImage(imageFile))
}

const mounts = `mount -t proc proc /proc
for folder in etc opt var/lib; do mount --bind "$0/$folder" "/$folder"; done
mkdir -p /run/containerd
mount -t tmpfs containerd /run/containerd`

// boot starts the machine and its containerd, which may answer later. The init only reaps processes.
func (m *machine) boot(t *testing.T) {
	t.Helper()
	m.init = m.Command(context.WithoutCancel(t.Context()), "sh", "-c", "sleep infinity & wait")
	m.init.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	cluster.Check(t, m.StartCommand(m.init))
	m.run(t, "sh", "-ec", mounts, m.disk())
	m.startRuntime(t)
}

// powerOff ends everything on the machine at once, except podlaned.
func (m *machine) powerOff(t *testing.T) {
	t.Helper()
	if m.init == nil {
		return
	}
	_ = m.init.Process.Kill() // it may have ended
	m.forgetRuntime()         // our own child, which the PID namespace waits for
	_ = m.init.Wait()
	m.init = nil
}

// start starts a command on the machine. The caller waits for it.
func (m *machine) start(cmd *exec.Cmd) error { return sandbox.Start(m.init.Process.Pid, "", cmd) }

// run runs a command on the machine. A command that fails ends the test.
func (m *machine) run(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := m.Command(cluster.Within(t), name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := m.start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		t.Fatalf("on %s: %s %s: %v: %s", m.Name, name, strings.Join(args, " "), err, &out)
	}
}

// startRuntime starts containerd and makes a client that waits until it answers.
func (m *machine) startRuntime(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(m.disk("containerd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	cluster.Check(t, err)
	defer log.Close()
	m.containerd = m.Command(context.WithoutCancel(t.Context()), "containerd", "--config", m.disk("containerd.toml"))
	m.containerd.Stdout, m.containerd.Stderr = log, log
	cluster.Check(t, m.start(m.containerd))
	soon := backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1, MaxDelay: 10 * time.Millisecond}
	m.conn, err = grpc.NewClient("unix://"+sandbox.Root(m.init.Process.Pid)+"/run/containerd/containerd.sock",
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(grpc.ConnectParams{Backoff: soon}))
	cluster.Check(t, err)
	m.runtime = cri.NewRuntimeServiceClient(m.conn)
}

// awaitRuntime waits until containerd answers.
func (m *machine) awaitRuntime(t *testing.T) {
	t.Helper()
	cluster.Until(t, 20*time.Second, "containerd on "+m.Name+" answers", func() (bool, string) {
		_, err := m.runtime.Status(cluster.Within(t), &cri.StatusRequest{})
		if err == nil {
			return true, ""
		}
		text, _ := os.ReadFile(m.disk("containerd.log"))
		return false, err.Error() + "\n" + string(text)
	})
}

// killRuntime ends containerd by SIGKILL. Its shims and the pods live on.
func (m *machine) killRuntime(t *testing.T) {
	t.Helper()
	cluster.Check(t, m.containerd.Process.Kill())
	m.forgetRuntime()
}

func (m *machine) forgetRuntime() {
	if m.containerd == nil {
		return
	}
	_ = m.containerd.Wait() // it was killed
	_ = m.conn.Close()
	m.containerd = nil
}

// killShims ends all shims of the machine by SIGKILL. The containers' processes live on.
func (m *machine) killShims(t *testing.T) {
	t.Helper()
	names, err := filepath.Glob(sandbox.Root(m.init.Process.Pid) + "/proc/[0-9]*/comm") // only the machine's own processes
	cluster.Check(t, err)
	kill := []string{"-KILL"}
	for _, path := range names {
		if name, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(name), "containerd-shim") {
			kill = append(kill, filepath.Base(filepath.Dir(path)))
		}
	}
	if len(kill) == 1 {
		t.Fatalf("no shim runs on %s", m.Name)
	}
	m.run(t, "kill", kill...)
}

// networkReady returns containerd's network condition, which the kubelet reports as the node's.
func (m *machine) networkReady(t *testing.T) (ready bool, message string) {
	t.Helper()
	s, err := m.runtime.Status(cluster.Within(t), &cri.StatusRequest{})
	cluster.Check(t, err)
	for _, c := range s.Status.Conditions {
		if c.Type == cri.NetworkReady {
			return c.Status, c.Message
		}
	}
	t.Fatalf("containerd on %s has no network condition: %v", m.Name, s)
	return false, ""
}

func (m *machine) awaitNetwork(t *testing.T) {
	t.Helper()
	cluster.Until(t, within5, "containerd on "+m.Name+" has a network", func() (bool, string) { return m.networkReady(t) })
}
