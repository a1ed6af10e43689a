package vxlan

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab/sandbox"
)

func TestNameVNIOrPortIsTaken(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		before string // commands
		want   string
		errno  unix.Errno
	}{
		"the VNI and port": {
			configIPv4, "ip link add flannel.1 type vxlan id 1 dstport 8472 local 198.18.0.1 nolearning",
			"IPv4 overlay: add device podlane.1: VNI 1 on UDP port 8472 is taken by the vxlan device flannel.1 (VNI 1, UDP port 8472): ", unix.EEXIST,
		},
		"the IPv6 VNI and port": {
			configIPv6, "ip link add flannel-v6.1 type vxlan id 1 dstport 8472 local 2001:db8::1 nolearning",
			"IPv6 overlay: add device podlane-v6.1: VNI 1 on UDP port 8472 is taken by the vxlan device flannel-v6.1 (VNI 1, UDP port 8472): ", unix.EEXIST,
		},
		"the name, a bridge": {
			configIPv4, "ip link add podlane.1 type bridge",
			"IPv4 overlay: add device podlane.1: its name is taken by a bridge device podlane.1: ", unix.EEXIST,
		},
		"the name, a veth": {
			configIPv4, "ip link add podlane.1 type veth peer name x1",
			"IPv4 overlay: add device podlane.1: its name is taken by a veth device podlane.1: ", unix.EEXIST,
		},
		"the port, with GBP": {
			configIPv4, "ip link add other type vxlan id 9 dstport 8472 local 198.18.0.1 gbp\nip link set other up",
			"IPv4 overlay: set device podlane.1 up: UDP port 8472 is taken by the vxlan device other (VNI 9, UDP port 8472), which does not share it: ", unix.EADDRINUSE,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newNode(t, network(t, c.config, ""))
			for command := range strings.Lines(c.before) {
				d.run(command)
			}
			links := d.run("ip -o link show")
			_, err := d.try(leases(3))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || !errors.Is(err, c.errno) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if got := d.run("ip -o link show"); got != links {
				t.Errorf("devices after:\n%sbefore:\n%s", got, links)
			}
		})
	}
}

// A device keeps its VNI and port in the namespace in which it was created.
func TestDeviceIsMovedToAnotherNamespace(t *testing.T) {
	sandbox.Test(t, "n2")
	d := newNode(t, network(t, configIPv4, ""))
	d.apply(leases(3))
	d.run("ip link set podlane.1 netns n2")
	_, err := d.try(leases(3))
	want := "IPv4 overlay: add device podlane.1: VNI 1 on UDP port 8472 is taken by a device that was moved to another network namespace: "
	if err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, unix.EEXIST) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	d.run("ip -n n2 link del podlane.1")
	d.apply(leases(3))
	d.wantInSync(leases(3))
}

func TestPortHeldByAProgram(t *testing.T) {
	d := newNode(t, network(t, configIPv4, ""))
	var conn net.PacketConn
	err := d.Do(func() (err error) {
		conn, err = net.ListenPacket("udp4", "0.0.0.0:8472")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.try(leases(3))
	want := "IPv4 overlay: set device podlane.1 up: UDP port 8472 is taken by another program's socket: "
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	d.apply(leases(3))
	d.wantInSync(leases(3))
}

// Each family may use the same VNI and port. VXLAN devices of other programs are not touched.
func TestForeignStateIsLeftAlone(t *testing.T) {
	n := network(t, configBoth, `"DirectRouting":true`)
	d := newNode(t, n)
	d.addForeignState()
	before := d.foreignState()
	peers := leases(5)
	d.apply(peers)
	for range 2 {
		if diff := cmp.Diff(before, d.foreignState()); diff != "" {
			t.Errorf("the state of other programs (-before +after):\n%s", diff)
		}
		d.configure(n)
		d.apply(peers[:1])
	}
}

// addForeignState adds other programs' objects, similar to ours.
func (d *node) addForeignState() {
	d.Helper()
	for command := range strings.Lines(`ip link add flannel.7 address 02:00:00:00:00:07 type vxlan id 7 dstport 8472 local 198.18.0.1 nolearning
		ip link set flannel.7 up
		ip link add podlane0 type bridge
		ip link add podlane.9 type bridge
		ip addr add 10.9.0.0/32 dev flannel.7
		ip neigh add 10.9.1.0 lladdr 02:00:00:00:00:08 dev flannel.7 nud permanent
		bridge fdb add 02:00:00:00:00:08 dst 198.18.0.8 dev flannel.7 self permanent
		ip route add 10.9.1.0/24 via 10.9.1.0 dev flannel.7 onlink
		ip route add 10.5.2.0/24 via 198.18.0.9 dev u0 metric 7
		ip route add 10.9.2.0/24 via 198.18.0.9 dev u0 proto 111
		ip route add 10.9.3.0/24 via 198.18.0.9 dev u0 proto 112 table 9
		ip -6 route add fd00:9::/64 via 2001:db8::9 dev u0
		ip neigh add 198.18.0.9 lladdr 02:00:00:00:00:09 dev u0 nud permanent
		bridge fdb add 02:00:00:00:00:0a dev u0 self`) {
		d.run(command)
	}
}

// foreignState returns the kernel state that is not podlane's.
func (d *node) foreignState() string {
	d.Helper()
	var kept []string
	for _, command := range []string{
		"ip -o link show", "ip -o addr show", "ip -4 route show table all", "ip -6 route show table main",
		"ip neigh show nud permanent", "bridge fdb show",
	} {
		for line := range strings.Lines(d.run(command)) {
			ours := strings.Contains(line, "podlane.1") || strings.Contains(line, "podlane-v6.1") ||
				strings.Contains(line, "proto 112") && !strings.Contains(line, "table 9")
			if !ours && !strings.Contains(line, "fe80:") && !strings.Contains(line, "multicast") {
				kept = append(kept, strings.TrimSpace(strings.ReplaceAll(line, "tentative", "")))
			}
		}
	}
	return sorted(strings.Join(kept, "\n"))
}
