package input

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

const leases = lab.DefaultPrefix + "/subnets/"

// lease returns a lease as flannel writes it.
func lease(publicIP, mac string) string {
	return fmt.Sprintf(`{"PublicIP":%q,"PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":%q}}`, publicIP, mac)
}

// A peer that exists only in etcd.
const (
	etcdPeerIP  = "198.18.7.7"
	etcdPeerMAC = "c6:d2:32:6f:8f:44"
)

// nodeLease is a node's own lease in etcd.
type nodeLease struct {
	key, value string // key: the last part of it
	subnet     netip.Prefix
	mac        string
}

var macOf = regexp.MustCompile(`"VtepMAC":"([^"]*)"`)

func leaseOf(t *testing.T, l *lab.Lab, n *lab.Node) nodeLease {
	t.Helper()
	pair, err := n.Subnet()
	if err != nil {
		t.Fatal(err)
	}
	o := nodeLease{key: strings.ReplaceAll(pair.IPv4.String(), "/", "-"), subnet: pair.IPv4}
	value, there, err := l.Etcd.Get(t.Context(), leases+o.key)
	if !there || err != nil {
		t.Fatalf("lease %s: exists: %v, error %v", o.key, there, err)
	}
	mac := macOf.FindStringSubmatch(value)
	if mac == nil {
		t.Fatalf("lease %s without a MAC: %s", o.key, value)
	}
	o.value, o.mac = value, mac[1]
	return o
}

// firstHalf returns the key of the first half of a pod subnet.
func firstHalf(p netip.Prefix) string { return fmt.Sprintf("%s-%d", p.Addr(), p.Bits()+1) }

// unusedKey returns the key of a pod subnet that overlaps none of these leases.
func unusedKey(taken ...nodeLease) string {
	for i := 100; ; i++ {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 5, byte(i), 0}), 24)
		used := false
		for _, o := range taken {
			used = used || o.subnet.Overlaps(p)
		}
		if !used {
			return strings.ReplaceAll(p.String(), "/", "-")
		}
	}
}

// startPing pings from one pod to another until stop. stop reports lost packets.
func startPing(t *testing.T, from, to *lab.Pod) (stop func()) {
	t.Helper()
	cmd := from.Command(context.WithoutCancel(t.Context()), "ping", "-n", "-q", "-i", "0.02", to.Addrs[0].String())
	var out strings.Builder
	cmd.Stdout = &out
	if err := from.StartCommand(cmd); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		var sent, got int
		for line := range strings.Lines(out.String()) {
			if n, _ := fmt.Sscanf(line, "%d packets transmitted, %d received", &sent, &got); n == 2 {
				break
			}
		}
		if sent == 0 || sent-got > 1 { // the last packet may still be on its way
			t.Errorf("of %d packets %d were lost:\n%s", sent, sent-got, &out)
		}
	}
}

// twoNodes starts two nodes with a pod each.
func twoNodes(t *testing.T) (l *lab.Lab, n1, n2 nodeLease) {
	t.Helper()
	l = buildConfigured(t, 2, 2)
	for _, n := range l.Nodes {
		await(t, n, "one peer", func(s status) bool { return len(s.Peers) == 1 && s.Ready })
	}
	pingPods(t, l)
	return l, leaseOf(t, l, l.Nodes[0]), leaseOf(t, l, l.Nodes[1])
}

func TestLeaseThatCannotBeProgrammed(t *testing.T) {
	l, n1, n2 := twoNodes(t)
	n := l.Nodes[0]
	good := lease(etcdPeerIP, etcdPeerMAC)
	unused := unusedKey(n1, n2)
	stop := startPing(t, l.Pods()[0], l.Pods()[1])
	for _, c := range []struct{ name, key, value, want string }{
		{"key that is no prefix", "n7", good, `key "n7" is not a lease`},
		{"key with a slash", "10.5.77.0/24", good, `key "10.5.77.0/24" is not a lease`},
		{"key with bits of the address beyond the length", "10.5.77.7-24", good, `key "10.5.77.7-24" is not a lease`},
		{"key with more behind it", unused + "x", good, `is not a lease`},
		{"no value", unused, "", "value is not a lease: unexpected end of JSON input"},
		{"value cut in half", unused, good[:30], "value is not a lease: unexpected end of JSON input"},
		{"value that is a text", unused, `"10.5.77.0/24"`, "value is not a lease: it is a string: want an object"},
		{"no MAC", unused, lease(etcdPeerIP, ""), `BackendData.VtepMAC: MAC "" is not an Ethernet address`},
		{"bad MAC", unused, lease(etcdPeerIP, "c6:d2:32:6f:8f"), `BackendData.VtepMAC: MAC "c6:d2:32:6f:8f" is not an Ethernet address`},
		{"MAC zero", unused, lease(etcdPeerIP, "00:00:00:00:00:00"), "BackendData.VtepMAC: MAC 00:00:00:00:00:00 is zero"},
		{"multicast MAC", unused, lease(etcdPeerIP, "01:00:5e:00:00:01"), "MAC 01:00:5e:00:00:01 is a multicast address"},
		{"our own MAC", unused, lease(etcdPeerIP, n1.mac), "VTEP MAC " + n1.mac + " is ours"},
		{"another node's MAC", unused, lease(etcdPeerIP, n2.mac), "VTEP MAC " + n2.mac + " is that of an older lease, " + n2.subnet.String() + " of n2"},
		{"no address", unused, lease("", etcdPeerMAC), "PublicIP is zero or missing"},
		{"address zero", unused, lease("0.0.0.0", etcdPeerMAC), "PublicIP is zero or missing"},
		{"address that is none", unused, lease("n7.example", etcdPeerMAC), `PublicIP "n7.example" is not an IPv4 address`},
		{"loopback address", unused, lease("127.0.0.1", etcdPeerMAC), "PublicIP 127.0.0.1 cannot be the address of a node"},
		{"address of class E", unused, lease("240.0.0.1", etcdPeerMAC), "PublicIP 240.0.0.1 cannot be the address of a node"},
		{"broadcast address of all", unused, lease("255.255.255.255", etcdPeerMAC), "PublicIP 255.255.255.255 cannot be the address of a node"},
		{"broadcast address of the underlay", unused, lease("198.18.255.255", etcdPeerMAC), "public address 198.18.255.255 is the broadcast address of the underlay 198.18.0.0/16"},
		{"network address of the underlay", unused, lease("198.18.0.0", etcdPeerMAC), "public address 198.18.0.0 is the network address of the underlay 198.18.0.0/16"},
		{"address of a pod", unused, lease(l.Pods()[1].Addrs[0].String(), etcdPeerMAC), "is in the pod network: pods have 10.5.1.0-10.5.255.255"},
		{"our own address", unused, lease("198.18.1.1", etcdPeerMAC), "public address 198.18.1.1 is ours"},
		{"part of another node's pod subnet", firstHalf(n2.subnet), good, "overlaps that of an older lease, " + n2.subnet.String() + " of n2"},
		{"all nodes' pod subnets", "10.5.0.0-16", good, "overlaps ours, " + n1.subnet.String()},
		{"part of our own pod subnet", firstHalf(n1.subnet), good, "overlaps ours, " + n1.subnet.String()},
		{"outside the pod network", "10.6.7.0-24", good, "pod subnet 10.6.7.0/24 is outside the pod network 10.5.0.0/16"},
		{"another backend", unused, `{"PublicIP":"198.18.7.7","BackendType":"host-gw"}`, `host-gw`},
		{"another VNI", unused, strings.Replace(good, `"VNI":1`, `"VNI":9`, 1), "VNI"},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := strings.Count(n.LogText(), "lease "+c.key+" is skipped")
			if err := l.Etcd.Put(t.Context(), leases+c.key, c.value); err != nil {
				t.Fatal(err)
			}
			s := await(t, n, c.want, func(s status) bool { return strings.Contains(s.skipReason(c.key), c.want) })
			if s.SkipCount != 1 || len(s.Skipped) != 1 {
				t.Errorf("skipped leases: %d, named %v; want this one", s.SkipCount, s.Skipped)
			}
			if !s.Ready {
				t.Errorf("n1 is not ready: %q", s.Problems)
			}
			if !hasPeer(s, n2) {
				t.Errorf("peers %v, want n2", s.Peers)
			}
			if count := strings.Count(n.LogText(), "lease "+c.key+" is skipped"); count != seen+1 {
				t.Errorf("the log names the skipped lease %d times, want once:\n%s", count-seen, n.LogText())
			}
			if out, err := n.Run(t.Context(), "ip", "route", "show", "proto", "112"); err != nil || strings.Count(out, "\n") != 1 || !strings.Contains(out, n2.subnet.String()) {
				t.Errorf("routes: error %v, %s; want the one to n2", err, out)
			}
			if c.key != unused {
				if err := l.Etcd.Delete(t.Context(), leases+c.key); err != nil {
					t.Fatal(err)
				}
				await(t, n, "no more skip", func(s status) bool { return s.SkipCount == 0 && len(s.Skipped) == 0 })
				return
			}
			replaceByValid(t, l, unused, good)
		})
	}
	stop()
	pingPods(t, l)
}

// replaceByValid writes a valid lease over a bad one. It waits until the lease is programmed, and deletes it.
func replaceByValid(t *testing.T, l *lab.Lab, key, value string) {
	t.Helper()
	n, prefix := l.Nodes[0], strings.ReplaceAll(key, "-", "/")
	if err := l.Etcd.Put(t.Context(), leases+key, value); err != nil {
		t.Fatal(err)
	}
	await(t, n, "the lease is a peer", func(s status) bool { return len(s.Peers) == 2 && s.SkipCount == 0 })
	cluster.Until(t, waitLimit, "the peer has its route", func() (bool, string) {
		out, err := n.Run(t.Context(), "ip", "route", "show", "proto", "112")
		return err == nil && strings.Contains(out, prefix), out
	})
	if err := l.Etcd.Delete(t.Context(), leases+key); err != nil {
		t.Fatal(err)
	}
	await(t, n, "the peer is gone", func(s status) bool { return len(s.Peers) == 1 && s.SkipCount == 0 })
	cluster.Until(t, waitLimit, "its route is gone", func() (bool, string) {
		out, err := n.Run(t.Context(), "ip", "route", "show", "proto", "112")
		return err == nil && !strings.Contains(out, prefix), out
	})
}

// hasPeer reports whether a node's lease is among the peers.
func hasPeer(s status, o nodeLease) bool {
	for _, p := range s.Peers {
		if len(p.Subnet) == 1 && p.Subnet[0] == o.subnet {
			return true
		}
	}
	return false
}
