package sysctl

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/lab/sandbox"
)

func enableBridgeIn(n sandbox.Namespace, v6 bool) (ops []kernel.Op, err error) {
	err = n.Do(func() (err error) {
		ops, err = EnableBridgeNetfilter(true, v6)
		return err
	})
	return ops, err
}

func TestBridgeNetfilter(t *testing.T) {
	n := sandbox.Test(t, "node")
	run(t, n, "sysctl -w net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0")
	if ops, err := enableBridgeIn(n, false); err != nil || words(ops) != "set net.bridge.bridge-nf-call-iptables = 1" {
		t.Errorf("IPv4: %s, %v", words(ops), err)
	}
	if ops, err := enableBridgeIn(n, true); err != nil || words(ops) != "set net.bridge.bridge-nf-call-ip6tables = 1" {
		t.Errorf("IPv6 too: %s, %v", words(ops), err)
	}
	if ops, err := enableBridgeIn(n, true); err != nil || len(ops) != 0 {
		t.Errorf("second time: %s, %v; want nothing written", words(ops), err)
	}
	readOnly(t)
	if ops, err := enableBridgeIn(n, true); err != nil || len(ops) != 0 {
		t.Errorf("with a read-only /proc/sys: %s, %v; want nothing written", words(ops), err)
	}
}

func TestBridgeNetfilterThatCannotBeSet(t *testing.T) {
	n := sandbox.Test(t, "node")
	run(t, n, "sysctl -w net.bridge.bridge-nf-call-iptables=0")
	readOnly(t)
	_, err := enableBridgeIn(n, false)
	if err == nil || !strings.Contains(err.Error(), "run this on the node: sysctl -w net.bridge.bridge-nf-call-iptables=1") {
		t.Errorf("got error %v, want the command to run", err)
	}
}

func TestNoBridgeNetfilter(t *testing.T) {
	n := sandbox.Test(t, "node")
	if err := unix.Mount("none", "/proc/sys/net", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount("/proc/sys/net", unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if _, err := enableBridgeIn(n, false); err == nil || !strings.Contains(err.Error(), "modprobe br_netfilter") {
		t.Errorf("got error %v, want the command to run", err)
	}
}
