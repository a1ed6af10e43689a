package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	cni "github.com/containernetworking/cni/pkg/version"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab/sandbox"

	dist "github.com/podlane/podlane/dist/cni"
)

func TestTwoPodsReachEachOther(t *testing.T) {
	for _, version := range []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		t.Run(version, func(t *testing.T) {
			n := newNode(t, version, ipv4Node, nil)
			a, b := sandbox.Test(t, "pod-a"), sandbox.Test(t, "pod-b")
			first, second := n.add(n.pod(a)), n.add(n.pod(b))
			if want := []string{"10.5.34.2"}; !slices.Equal(first, want) {
				t.Errorf("pod-a got %v, want %v", first, want)
			}
			n.run(a, "ping -c1 -W2 -M do -s 1422 "+second[0]) // 1,450 bytes with the headers
			n.run(a, "ping -c1 -W2 10.5.34.1")
			if canCheck, _ := cni.GreaterThanOrEqualTo(version, "0.4.0"); canCheck {
				if err := n.check(n.pod(a)); err != nil {
					t.Error(err)
				}
			}
			n.del(n.pod(a))
			n.wantReserved(second[0])
			n.del(n.pod(a)) // a second time is no error (spec, section 2)
			n.del(n.pod(b))
			n.wantReserved()
		})
	}
}

func TestBridgeAndRoutesOfAPod(t *testing.T) {
	n := newNode(t, "1.0.0", dualNode, map[string]any{"ipMasq": true})
	a, b := sandbox.Test(t, "pod-a"), sandbox.Test(t, "pod-b")
	n.add(n.pod(a))
	addrs := n.add(n.pod(b))
	if want := []string{"10.5.34.3", "fd00:5:0:22::3"}; !slices.Equal(addrs, want) {
		t.Errorf("pod-b got %v, want %v", addrs, want)
	}
	for _, addr := range addrs {
		n.run(a, "ping -c1 -W2 "+addr)
	}
	for command, want := range map[string]string{
		"ip -o link show eth0":         "mtu 1450",
		"ip -4 route show default":     "default via 10.5.34.1 dev eth0",
		"ip -4 route show 10.5.0.0/16": "10.5.0.0/16 via 10.5.34.1 dev eth0",
		"ip -6 route show default":     "default via fd00:5:0:22::1 dev eth0",
		"ip -6 route show fd00:5::/48": "fd00:5::/48 via fd00:5:0:22::1 dev eth0",
	} {
		if got := n.run(a, command); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
	for command, want := range map[string]string{
		"ip -o link show cni0":           "mtu 1450",
		"ip -o -4 address show cni0":     "10.5.34.1/24",
		"ip -o -6 address show cni0":     "fd00:5:0:22::1/64",
		"ip -d -o link show master cni0": "hairpin on",
		"nft list ruleset":               "masquerade", // as the user wants it
	} {
		if got := n.run(n.ns, command); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
}

func TestIPv6Only(t *testing.T) {
	n := newNode(t, "1.1.0", ipv6Node, map[string]any{"bridge": "br-pods", "mtu": 1300})
	a, b := sandbox.Test(t, "pod-a"), sandbox.Test(t, "pod-b")
	n.add(n.pod(a))
	n.run(a, "ping -c1 -W2 "+n.add(n.pod(b))[0])
	if got := n.run(n.ns, "ip -o link show br-pods"); !strings.Contains(got, "mtu 1300") {
		t.Errorf("the user's bridge and MTU: %s", got)
	}
	if got := n.run(n.ns, "nft list ruleset"); strings.Contains(got, "masquerade") {
		t.Errorf("the bridge plugin masquerades, but ipMasq is not set:\n%s", got)
	}
	if err := n.check(n.pod(a)); err != nil {
		t.Error(err)
	}
	n.del(n.pod(a))
	n.wantReserved("fd00:5:0:22::3")
}

func TestCheckFailsForAPodWithoutAnAddress(t *testing.T) {
	n := newNode(t, "1.0.0", ipv4Node, nil)
	a := sandbox.Test(t, "pod-a")
	n.add(n.pod(a))
	notReady := ipv4Node
	notReady.NotReady = "no new ones"
	n.write(notReady)
	if err := n.check(n.pod(a)); err != nil {
		t.Error("a working pod on a node that is not ready:", err)
	}
	n.run(a, "ip address flush dev eth0")
	if err := n.check(n.pod(a)); err == nil {
		t.Error("CHECK succeeded for a pod without an address")
	}
	if err := os.Remove(n.nodeFile); err != nil {
		t.Fatal(err)
	}
	wantError(t, n.check(n.pod(a)), types.ErrTryAgainLater, "there is no node file")
}

func TestPodIsDeletedWithoutANodeFile(t *testing.T) {
	n := newNode(t, "1.0.0", dualNode, nil)
	a := sandbox.Test(t, "pod-a")
	n.add(n.pod(a))
	n.wantReserved("10.5.34.2", "fd00:5:0:22::2")
	if err := os.Remove(n.nodeFile); err != nil {
		t.Fatal(err)
	}
	_, err := n.tryAdd(n.pod(sandbox.Test(t, "pod-b")))
	wantError(t, err, types.ErrTryAgainLater, "is podlaned running?")
	n.del(n.pod(a))
	n.wantReserved()
	n.del(n.pod(a))
	if out, err := a.Run("ip", "link", "show", "eth0"); err == nil {
		t.Errorf("eth0 is still there: %s", out)
	}
}

func TestPodSubnetChanges(t *testing.T) {
	n := newNode(t, "1.1.0", ipv4Node, nil)
	a, b := sandbox.Test(t, "pod-a"), sandbox.Test(t, "pod-b")
	n.add(n.pod(a))
	changed := ipv4Node
	changed.Subnet.IPv4 = netip.MustParsePrefix("10.5.40.0/24")
	n.write(changed)

	_, err := n.tryAdd(n.pod(b))
	text := "bridge cni0 has the address 10.5.34.1/24 of an earlier pod subnet, but this node's gateway is now 10.5.40.1/24; " +
		"recreate the pods that were attached before (kubectl drain): other nodes no longer reach them; " +
		"then run `ip address del 10.5.34.1/24 dev cni0`"
	wantError(t, err, errStaleGateway, text)
	wantError(t, n.status(), types.ErrPluginNotAvailable, text)
	n.wantReserved("10.5.34.2") // the failed ADD allocated nothing

	n.run(n.ns, "ip address del 10.5.34.1/24 dev cni0")
	n.add(n.pod(b))
	n.run(b, "ping -c1 -W2 10.5.40.1")
	n.del(n.pod(a)) // frees an address outside the present pod subnet
	n.wantReserved("10.5.40.2")
}

func TestStatusReportsWhyPodsCannotBeAttached(t *testing.T) {
	n := newNode(t, "1.1.0", ipv4Node, nil)
	if err := n.status(); err != nil {
		t.Error(err)
	}
	notReady := ipv4Node
	notReady.NotReady = "node n7 has taken 10.5.34.0/24"
	n.write(notReady)
	wantError(t, n.status(), types.ErrPluginNotAvailable, notReady.NotReady)
	if err := os.Remove(n.nodeFile); err != nil {
		t.Fatal(err)
	}
	wantError(t, n.status(), types.ErrPluginNotAvailable, "there is no node file")
}

func TestHostPort(t *testing.T) {
	n := newNode(t, "1.0.0", ipv4Node, nil, map[string]any{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}})
	n.run(n.ns, "ip address add 198.51.100.1/32 dev lo")
	a := sandbox.Test(t, "pod-a")
	rt := n.pod(a)
	rt.CapabilityArgs = map[string]any{"portMappings": []map[string]any{{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}}}
	n.add(rt)
	var listener net.Listener
	if err := a.Do(func() (err error) {
		listener, err = net.Listen("tcp", "10.5.34.2:80")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	if err := n.ns.Do(func() error {
		c, err := net.DialTimeout("tcp", "198.51.100.1:8080", 5*time.Second)
		if err == nil {
			err = c.Close()
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if err := n.check(rt); err != nil {
		t.Error(err)
	}
	n.del(rt)
	n.wantReserved()
}

// The shipped list has every default: the node file in /run, and host-local's folder in /var/lib.
func TestShippedConfigurationList(t *testing.T) {
	if err := unix.Mount("podlane", "/var/lib", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount("/var/lib", unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	list, err := libcni.ConfListFromBytes(dist.Conflist)
	if err != nil {
		t.Fatal(err)
	}
	if list.CNIVersion != "1.1.0" || list.Name != "podlane" {
		t.Errorf("the list is %s %s", list.Name, list.CNIVersion)
	}
	n := &node{t: t, ns: sandbox.Test(t, "node"), list: list, nodeFile: defaultNodeFile, dataDir: defaultDataDir}
	n.restart()
	n.write(ipv4Node)
	defer os.Remove(n.nodeFile)
	if err := n.do(func(ctx context.Context) error {
		capabilities, err := n.cni.ValidateNetworkList(ctx, list)
		if !reflect.DeepEqual(capabilities, []string{"portMappings"}) {
			return fmt.Errorf("capabilities %v: %w", capabilities, err)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if err := n.status(); err != nil {
		t.Error(err)
	}
	a, b := sandbox.Test(t, "pod-a"), sandbox.Test(t, "pod-b")
	n.add(n.pod(a))
	n.add(n.pod(b))
	n.restart()
	if err := n.gc(n.pod(b)); err != nil {
		t.Error(err)
	}
	n.wantReserved("10.5.34.3")
}
