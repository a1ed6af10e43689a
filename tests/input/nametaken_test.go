package input

import (
	"net"
	"syscall"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// Another program has what the VXLAN device needs. podlaned names it, does not change it, and exits. systemd shows that
// and starts podlaned again.
func TestDeviceNameOrPortIsTaken(t *testing.T) {
	for _, c := range []struct{ name, config, prepare, device, want string }{
		{"name of a veth", lab.DefaultConfig, "ip link add podlane.1 type veth peer name other0", "podlane.1",
			"add device podlane.1: its name is taken by a veth device podlane.1: ...exists"},
		{"name of a bridge", lab.DefaultConfig, "ip link add podlane.1 type bridge", "podlane.1",
			"its name is taken by a bridge device podlane.1"},
		{"alternative name", lab.DefaultConfig, "ip link add br7 type bridge; ip link property add dev br7 altname podlane.1", "br7",
			"its name is taken by a bridge device br7"},
		{"VNI and port", lab.DefaultConfig, "ip link add vx7 type vxlan id 1 dstport 8472 local 198.18.1.1", "vx7",
			"add device podlane.1: VNI 1 on UDP port 8472 is taken by the vxlan device vx7 (VNI 1, UDP port 8472)"},
		{"port of other extensions", lab.DefaultConfig, "ip link add vx7 type vxlan id 9 dstport 8472 gbp local 198.18.1.1; ip link set vx7 up", "vx7",
			"set device podlane.1 up: UDP port 8472 is taken by the vxlan device vx7 (VNI 9, UDP port 8472), which does not share it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := build(t, 1)
			n := l.Nodes[0]
			if err := l.SetConfig(t.Context(), c.config); err != nil {
				t.Fatal(err)
			}
			cluster.RunScript(t, n.Place, c.prepare)
			before := readLink(t, n, c.device)
			run(t, n, nil).expectError(t, exitError, c.want)
			if after := readLink(t, n, c.device); after != before {
				t.Errorf("the other's device was changed from\n%sto\n%s", before, after)
			}
			cluster.RunScript(t, n.Place, "ip link del "+c.device)
			expectUntouched(t, l, n, "")
			if err := n.Start(t.Context()); err != nil {
				t.Errorf("start after the other device is deleted: %v", err)
			}
		})
	}
}

func TestPortIsTakenByAnotherProgram(t *testing.T) {
	l := buildConfigured(t, 1, 0)
	n := l.Nodes[0]
	var socket net.PacketConn
	err := n.Do(func() (err error) {
		socket, err = new(net.ListenConfig).ListenPacket(t.Context(), "udp4", ":8472")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, n, nil).expectError(t, exitError, "set device podlane.1 up: UDP port 8472 is taken by another program's socket")
	expectUntouched(t, l, n, "")
	if err := socket.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Errorf("start after the port is free: %v", err)
	}
}

// On a node that has worked before, podlaned goes on. It waits for the name, because it serves the pods.
func TestDeviceNameIsTakenWhileTheNodeRuns(t *testing.T) {
	l := buildConfigured(t, 2, 2)
	n := l.Nodes[0]
	if err := n.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	cluster.RunScript(t, n.Place, "ip link del podlane.1; ip link add podlane.1 type bridge")
	if err := n.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	await(t, n, "the problem names the other device", func(s status) bool { return !s.Ready && s.hasProblem("its name is taken by a bridge device") })
	cluster.RunScript(t, n.Place, "ip link del podlane.1")
	await(t, n, "the node is ready again", func(s status) bool { return s.Ready })
}

// readLink returns a device as ip prints it.
func readLink(t *testing.T, n *lab.Node, name string) string {
	t.Helper()
	out, err := n.Run(t.Context(), "ip", "-details", "link", "show", "dev", name)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
