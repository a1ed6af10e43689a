package sysctl

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// enableIn calls EnableForwarding inside a namespace.
func enableIn(n sandbox.Namespace, v4, v6 bool) (ops []kernel.Op, err error) {
	err = n.Do(func() (err error) {
		ops, err = EnableForwarding(v4, v6, "eth0.100", []string{"cni0"})
		return err
	})
	return ops, err
}

func words(ops []kernel.Op) string {
	var lines []string
	for _, op := range ops {
		lines = append(lines, op.String())
	}
	return strings.Join(lines, "\n")
}

func get(t *testing.T, n sandbox.Namespace, key string) string {
	t.Helper()
	out, err := n.Run("sysctl", "-n", key)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func run(t *testing.T, n sandbox.Namespace, line string) {
	t.Helper()
	if _, err := n.Run("sh", "-c", line); err != nil {
		t.Fatal(err)
	}
}

func TestForwardingIsEnabledInThisNamespaceOnly(t *testing.T) {
	n, other := sandbox.Test(t, "node"), sandbox.Test(t, "other")
	run(t, other, "sysctl -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0")
	run(t, n, `sysctl -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
ip link add eth0 type veth peer name eth1
ip link add eth0.100 type veth peer name eth2
sysctl -w net.ipv6.conf.eth0.accept_ra=1 net.ipv6.conf.eth1.accept_ra=0 net.ipv6.conf.eth2.accept_ra=2`)
	ops, err := enableIn(n, true, true)
	if err != nil {
		t.Fatal(err)
	}
	want := `set net.ipv4.ip_forward = 1
set net.ipv6.conf.eth0/100.accept_ra = 2
set net.ipv6.conf.all.forwarding = 1`
	if diff := gocmp.Diff(want, words(ops)); diff != "" {
		t.Errorf("ops (-want +got):\n%s", diff)
	}
	for key, want := range map[string]string{
		"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1", "net.ipv6.conf.eth0.forwarding": "1",
		"net.ipv6.conf.eth0.accept_ra": "1", "net.ipv6.conf.eth0/100.accept_ra": "2",
		"net.ipv6.conf.eth1.accept_ra": "0", "net.ipv6.conf.default.accept_ra": "1",
	} {
		if got := get(t, n, key); got != want {
			t.Errorf("%s = %s, want %s", key, got, want)
		}
	}
	if got := get(t, other, "net.ipv4.ip_forward") + get(t, other, "net.ipv6.conf.all.forwarding"); got != "00" {
		t.Errorf("another namespace's forwarding is %s, want 00", got)
	}
	if ops, err := enableIn(n, true, true); len(ops) != 0 || err != nil {
		t.Errorf("second time: %s, %v; want nothing written", words(ops), err)
	}
}

// An underlay interface that is created again has the kernel's default. 0 is the operator's choice, and 2 is correct.
func TestAdvertisementsOnANewUnderlay(t *testing.T) {
	n := sandbox.Test(t, "node")
	if _, err := enableIn(n, true, true); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ had, has, ops string }{
		{"1", "2", "set net.ipv6.conf.eth0/100.accept_ra = 2"}, {"0", "0", ""}, {"2", "2", ""},
	} {
		run(t, n, "ip link add eth0.100 type veth peer name eth2; ip link set eth0.100 up; sysctl -w net.ipv6.conf.eth0/100.accept_ra="+c.had)
		ops, err := enableIn(n, false, true)
		if words(ops) != c.ops || err != nil {
			t.Errorf("accept_ra was %s: %s, %v; want %q", c.had, words(ops), err, c.ops)
		}
		if got := get(t, n, "net.ipv6.conf.eth0/100.accept_ra"); got != c.has {
			t.Errorf("accept_ra was %s, and is %s; want %s", c.had, got, c.has)
		}
		run(t, n, "ip link del eth0.100")
	}
}

// A container that may not write to /proc/sys continues with a note.
func TestAdvertisementsWithReadOnlyProcSys(t *testing.T) {
	n := sandbox.Test(t, "node")
	run(t, n, `sysctl -w net.ipv6.conf.all.forwarding=1
ip link add eth0.100 type veth peer name eth2
sysctl -w net.ipv6.conf.eth0/100.accept_ra=1`)
	readOnly(t)
	if ops, err := enableIn(n, true, true); err != nil {
		t.Errorf("%s, %v; want no error", words(ops), err)
	}
	var advice string
	_ = n.Do(func() error { advice = Advice("eth0.100"); return nil })
	if want := "run this on the node: sysctl -w net.ipv6.conf.eth0/100.accept_ra=2"; !strings.HasSuffix(advice, want) {
		t.Errorf("advice %q; want %q at its end", advice, want)
	}
}

func TestForwardingOfOneFamily(t *testing.T) {
	n := sandbox.Test(t, "node")
	run(t, n, "sysctl -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0")
	if ops, err := enableIn(n, false, false); len(ops) != 0 || err != nil {
		t.Errorf("no family: %s, %v", words(ops), err)
	}
	if ops, err := enableIn(n, false, true); words(ops) != "set net.ipv6.conf.all.forwarding = 1" || err != nil {
		t.Errorf("IPv6: %s, %v", words(ops), err)
	}
	if got := get(t, n, "net.ipv4.ip_forward"); got != "0" {
		t.Errorf("net.ipv4.ip_forward = %s, want 0", got)
	}
}

// In a container only netlink can be used. It turns on forwarding for each interface on which pods' packets arrive.
func TestForwardingWithReadOnlyProcSys(t *testing.T) {
	n, pod, far := sandbox.Test(t, "node"), sandbox.Test(t, "pod"), sandbox.Test(t, "far")
	run(t, n, "sysctl -w net.ipv4.ip_forward=0")
	for _, l := range []struct {
		own, prefix string
		other       sandbox.Namespace
	}{{"cni0", "10.5.1", pod}, {"eth0.100", "10.5.2", far}} {
		run(t, n, fmt.Sprintf(`ip link add %[1]s type veth peer name eth0 netns %[3]s
ip addr add %[2]s.1/24 dev %[1]s
ip link set %[1]s up`, l.own, l.prefix, l.other.Name))
		run(t, l.other, fmt.Sprintf("ip addr add %[1]s.2/24 dev eth0 && ip link set eth0 up && ip route add default via %[1]s.1", l.prefix))
	}
	readOnly(t)
	if out, err := pod.Run("ping", "-c1", "-W1", "10.5.2.2"); err == nil {
		t.Fatalf("the node forwards before EnableForwarding: %s", out)
	}
	ops, err := enableIn(n, true, false)
	if want := "set net.ipv4.conf.eth0/100.forwarding = 1\nset net.ipv4.conf.cni0.forwarding = 1"; err != nil || words(ops) != want {
		t.Fatalf("%s, %v; want %s", words(ops), err, want)
	}
	run(t, pod, "ping -c1 -W2 10.5.2.2")
	run(t, far, "ping -c1 -W2 10.5.1.2")
	if ops, err := enableIn(n, true, false); len(ops) != 0 || err != nil {
		t.Errorf("second time: %s, %v; want nothing written", words(ops), err)
	}
}

// An interface does not forward if its own setting is off, whatever the common setting is.
func TestForwardingIsOffOnOneInterface(t *testing.T) {
	n := sandbox.Test(t, "node")
	run(t, n, `ip link add cni0 type bridge
sysctl -w net.ipv4.ip_forward=1 net.ipv4.conf.cni0.forwarding=0`)
	if ops, err := enableIn(n, true, false); err != nil || words(ops) != "set net.ipv4.conf.cni0.forwarding = 1" {
		t.Errorf("%s, %v", words(ops), err)
	}
	if got := get(t, n, "net.ipv4.conf.cni0.forwarding"); got != "1" {
		t.Errorf("the setting is %s, want 1", got)
	}
}

// The node stays a router on the pods' bridge, and accepts no router advertisements from pods.
func TestIPv6ForwardingIsOffOnOneInterface(t *testing.T) {
	n := sandbox.Test(t, "node")
	run(t, n, `ip link add cni0 type bridge
sysctl -w net.ipv6.conf.all.forwarding=1 net.ipv6.conf.cni0.forwarding=0`)
	if ops, err := enableIn(n, false, true); err != nil || words(ops) != "set net.ipv6.conf.cni0.forwarding = 1" {
		t.Errorf("%s, %v", words(ops), err)
	}
	if got := get(t, n, "net.ipv6.conf.cni0.forwarding"); got != "1" {
		t.Errorf("the setting is %s, want 1", got)
	}
	run(t, n, "sysctl -w net.ipv6.conf.cni0.forwarding=0")
	readOnly(t)
	if ops, err := enableIn(n, false, true); len(ops) != 0 || err != nil {
		t.Errorf("with a read-only /proc/sys: %s, %v", words(ops), err)
	}
}

// readOnly makes /proc/sys read-only until the test ends.
func readOnly(t *testing.T) {
	t.Helper()
	for _, flags := range []uintptr{unix.MS_BIND, unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY} {
		if err := unix.Mount("/proc/sys", "/proc/sys", "", flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount("/proc/sys", unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func TestReadOnlyProcSys(t *testing.T) {
	n := sandbox.Test(t, "node")
	run(t, n, "sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=0")
	readOnly(t)
	if ops, err := enableIn(n, true, false); len(ops) != 0 || err != nil {
		t.Errorf("with the right value: %s, %v; want no write and no error", words(ops), err)
	}
	_, err := enableIn(n, false, true)
	if err == nil || !errors.Is(err, syscall.EROFS) {
		t.Fatalf("error %v, want EROFS", err)
	}
	for _, want := range []string{"net.ipv6.conf.all.forwarding", "sysctl -w net.ipv6.conf.all.forwarding=1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got error %q, want %q in it", err, want)
		}
	}
}

func TestKernelWithoutIPv6(t *testing.T) {
	n := sandbox.Test(t, "node")
	if err := unix.Mount("none", "/proc/sys/net", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount("/proc/sys/net", unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	_, err := enableIn(n, false, true)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "the kernel has no IPv6") {
		t.Errorf("error %v", err)
	}
}
