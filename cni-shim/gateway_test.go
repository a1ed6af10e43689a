package main

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/subnet"
)

func TestStaleGateway(t *testing.T) {
	for name, c := range map[string]struct {
		node  subnet.NodeFile
		addrs string
		want  string // address and gateway
	}{
		"a new bridge":                      {dualNode, "", ""},
		"the right addresses":               {dualNode, "10.5.34.1/24 fd00:5:0:22::1/64 fe80::1/64", ""},
		"an earlier IPv4 pod subnet":        {dualNode, "10.5.33.1/24 fd00:5:0:22::1/64", "10.5.33.1/24 10.5.34.1/24"},
		"an earlier IPv6 pod subnet":        {dualNode, "10.5.34.1/24 fd00:5:0:21::1/64", "fd00:5:0:21::1/64 fd00:5:0:22::1/64"},
		"the earlier one beside the right":  {ipv6Node, "fd00:5:0:22::1/64 fd00:5:0:21::1/64", "fd00:5:0:21::1/64 fd00:5:0:22::1/64"},
		"the same address, another length":  {ipv4Node, "10.5.34.1/25", "10.5.34.1/25 10.5.34.1/24"},
		"an earlier pod network":            {ipv4Node, "10.244.1.1/24", "10.244.1.1/24 10.5.34.1/24"},
		"an operator's, after the gateway":  {ipv4Node, "10.5.34.1/24 192.168.7.1/24", ""},
		"an operator's, before the gateway": {ipv4Node, "192.168.7.1/24 10.5.34.1/24", "192.168.7.1/24 10.5.34.1/24"},
		"an operator's IPv6":                {ipv6Node, "2001:db8::1/64 fd00:5:0:22::1/64", ""},
		"an IPv6 prefix around the subnet":  {ipv6Node, "fd00::1/16", "fd00::1/16 fd00:5:0:22::1/64"},
		"a family the node does not have":   {ipv6Node, "10.244.1.1/24", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var addrs []netip.Prefix
			for _, a := range strings.Fields(c.addrs) {
				addrs = append(addrs, netip.MustParsePrefix(a))
			}
			have, gateway := staleAddress(addrs, c.node)
			got := ""
			if have.IsValid() {
				got = have.String() + " " + gateway.String()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestGatewayIsNotCheckedIfTheBridgePluginReplacesIt(t *testing.T) {
	for _, conf := range []string{
		`{"bridge":"lo","isGateway":true,"forceAddress":true}`, `{"bridge":"lo","isGateway":false}`,
		`{"bridge":"lo","isGateway":true,"vlan":7}`, `{"bridge":7,"isGateway":true}`, `{"bridge":"none","isGateway":true}`,
		`{"bridge":"a-name-longer-than-fifteen","isGateway":true}`,
	} {
		if err := staleGateway([]byte(conf), ipv4Node); err != nil {
			t.Errorf("%s: %v", conf, err)
		}
	}
	if err := staleGateway([]byte(`{"bridge":"lo","isDefaultGateway":true}`), ipv4Node); err == nil {
		t.Error("127.0.0.1 on the bridge was not noticed")
	}
}

// BenchmarkGatewayAmongPods measures what the check of the bridge costs an ADD on a node with 250 pods.
func BenchmarkGatewayAmongPods(b *testing.B) {
	n := sandbox.Test(b, "node")
	lines := "link add cni0 type bridge\naddress add 10.5.34.1/24 dev cni0\naddress add fd00:5:0:22::1/64 dev cni0\n"
	for i := range 250 {
		lines += fmt.Sprintf("link add veth%d type veth peer name p%d\nlink set veth%d up\nlink set p%d up\n", i, i, i, i)
	}
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(lines)
	if err := n.Start(cmd); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	if err := n.Do(func() error {
		for b.Loop() {
			if err := staleGateway([]byte(`{"isGateway":true}`), dualNode); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
}
