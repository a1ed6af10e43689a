package vxlan

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/subnet"
)

// pair makes two nodes on one underlay. Each has a bridge with an address of its pod subnet.
func pair(t *testing.T, n subnet.Network) (a, b *node) {
	t.Helper()
	a = &node{TB: t, Namespace: sandbox.Test(t, "n1"), i: 1, self: lease(1)}
	b = &node{TB: t, Namespace: sandbox.Test(t, "n2"), i: 2, self: lease(2)}
	a.run("ip link add u0 type veth peer name u0 netns n2")
	for _, d := range []*node{a, b} {
		d.join(n)
		d.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
		d.run("ip link add cni0 type bridge")
		d.run("ip link set cni0 up")
		d.run(fmt.Sprintf("ip addr add %s dev cni0", pod(d.self.IPv4.Subnet)))
		d.run(fmt.Sprintf("ip addr add %s dev cni0 nodad", pod(d.self.IPv6.Subnet)))
	}
	for _, f := range subnet.Families {
		a.reaches(b.self.Endpoint(f).PublicIP)
	}
	a.apply([]subnet.Lease{b.self})
	b.apply([]subnet.Lease{a.self})
	for _, d := range []*node{a, b} {
		d.owns(pod(d.self.IPv6.Subnet).Addr())
	}
	return a, b
}

// owns waits until an address is local. The kernel adds the local route of a new IPv6 address in a work queue.
func (d *node) owns(a netip.Addr) {
	d.Helper()
	for deadline := time.Now().Add(10 * time.Second); !strings.HasPrefix(d.run("ip route get "+a.String()), "local "); {
		if time.Now().After(deadline) {
			d.Fatalf("%s is not local", a)
		}
	}
}

// reaches waits until the underlay carries packets. IPv6 notices a new link's carrier after up to a second, and
// receives no neighbour solicitation before.
func (d *node) reaches(a netip.Addr) {
	d.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		_, err := d.Run("ping", "-c1", "-W1", a.String())
		switch {
		case err == nil:
			return
		case time.Now().After(deadline):
			d.Fatal(err)
		}
	}
}

// pod returns the second address of a pod subnet with its prefix length.
func pod(p netip.Prefix) netip.Prefix { return netip.PrefixFrom(p.Addr().Next(), p.Bits()) }

// ping sends one packet from pod to pod that must not be fragmented. size includes the IP and ICMP headers.
func (d *node) ping(to *node, f subnet.Family, size int) error {
	d.Helper()
	header := map[subnet.Family]int{subnet.IPv4: 20 + 8, subnet.IPv6: 40 + 8}[f]
	_, err := d.Run("ping", "-c1", "-W2", "-Mdo", fmt.Sprintf("-s%d", size-header),
		"-I", pod(d.self.Endpoint(f).Subnet).Addr().String(), pod(to.self.Endpoint(f).Subnet).Addr().String())
	return err
}

func TestPacketsOfFullSizeFromPodToPod(t *testing.T) {
	for name, more := range map[string]string{"tunnel": "", "direct": `"DirectRouting":true`, "GBP": `"GBP":true,"Port":4789`} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, network(t, configBoth, more))
			for _, f := range subnet.Families {
				for _, p := range [][2]*node{{a, b}, {b, a}} {
					if err := p[0].ping(p[1], f, a.backend.MTU()); err != nil {
						t.Errorf("%s: %v\n%s", f, err, p[0].run("ip -s link show podlane.1"))
					}
				}
			}
			if name == "tunnel" && a.ping(b, subnet.IPv4, a.backend.MTU()+1) == nil {
				t.Error("a packet above the MTU came through")
			}
		})
	}
}

// A packet from a node's underlay address is accepted: the reverse-path filter is loose.
func TestPacketFromUnderlayAddressThroughTunnel(t *testing.T) {
	a, b := pair(t, network(t, configIPv4, ""))
	b.run("sysctl -qw net.ipv4.conf.all.rp_filter=1")
	a.run("ping -c1 -W2 -I 198.18.0.1 10.5.2.1")
}

// No packet of a running stream is lost while Apply adds and removes another peer.
func TestRepairOfOnePeerLosesNothingOfAnother(t *testing.T) {
	a, b := pair(t, network(t, configIPv4, ""))
	third := lease(3)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ping", "-q", "-i0.002", "-c500", "-W2", "10.5.2.1")
	out := make(chan string, 1)
	var text []byte
	go func() {
		err := a.Do(func() (err error) { text, err = cmd.CombinedOutput(); return err })
		out <- fmt.Sprint(string(text), err)
	}()
	for done := false; !done; {
		select {
		case got := <-out:
			if want := "500 packets transmitted, 500 received, 0% packet loss"; !strings.Contains(got, want) {
				t.Errorf("got %s", got)
			}
			done = true
		default:
			a.apply([]subnet.Lease{b.self, third})
			a.apply([]subnet.Lease{b.self})
		}
	}
}
