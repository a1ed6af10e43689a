package firewall

import (
	"net/netip"
	"testing"
)

// interfacesOfComplete is a script that makes the interfaces of complete.
const interfacesOfComplete = `
ip link add pod0 index 11 type bridge; ip link add eth0 index 12 type bridge
ip link add podlane.1 index 13 type bridge; ip link add podlane-v6.1 index 14 type bridge; ip link add eth1 index 15 type bridge`

// complete is dual with all facts about the node, so all early rules exist.
var complete = with(func(r *Rules) {
	r.Bridge = Bridge{Interface{"pod0", 11}, []netip.Prefix{netip.MustParsePrefix("10.5.34.1/24"), netip.MustParsePrefix("fd00:5:0:22::1/64")}}
	r.Underlay, r.OnlyWay = Interface{"eth0", 12}, true
	r.Overlay = [...]Interface{{"podlane.1", 13}, {"podlane-v6.1", 14}}
	r.Addrs = []netip.Addr{netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("2001:db8::1")}
	r.PeerSubnets = []netip.Prefix{netip.MustParsePrefix("10.5.77.0/24"), netip.MustParsePrefix("fd00:5:0:4d::/64")}
})

// newCompleteNode makes a node with the interfaces of complete.
func newCompleteNode(t *testing.T) *node {
	t.Helper()
	n := newNode(t, "node")
	n.sh(interfacesOfComplete)
	return n
}

func TestTableWithAllEarlyRules(t *testing.T) {
	n := newCompleteNode(t)
	n.apply(complete)
	equal(t, "table", n.sh(list), completeGolden)
	n.quiet(complete)
	n.Firewall = Firewall{} // a daemon that has just started
	n.quiet(complete)
}

// completeGolden is the table of complete, as nft prints it.
const completeGolden = `table inet podlane {
	set pod_interfaces {
		type ifname
		elements = { "pod0" }
	}

	set peer_subnets4 {
		type ipv4_addr
		elements = { 10.5.77.0 }
	}

	set peer_subnets6 {
		type ipv6_addr
		elements = { fd00:5:0:4d:: }
	}

	set peers4 {
		type ipv4_addr
		elements = { 198.18.0.2 }
	}

	set peers6 {
		type ipv6_addr
		elements = { 2001:db8::2 }
	}

	set vxlan_wrong_iface4 {
		type ipv4_addr . ifname
		size 64
		flags dynamic,timeout
		timeout 10s
	}

	set vxlan_wrong_iface6 {
		type ipv6_addr . ifname
		size 64
		flags dynamic,timeout
		timeout 10s
	}

	chain prerouting {
		type filter hook prerouting priority raw - 10; policy accept;
		iif "pod0" goto from_pods
		iif "podlane.1" goto from_tunnel4
		iif "podlane-v6.1" goto from_tunnel6
		iif "eth0" goto from_underlay
		goto any_interface
	}

	chain from_pods {
		ip saddr 10.5.34.0/24 ip saddr != 10.5.34.0 ip saddr != 10.5.34.1 accept
		ip6 saddr fd00:5:0:22::/64 ip6 saddr != fd00:5:0:22:: ip6 saddr != fd00:5:0:22::1 accept
		goto any_interface
	}

	chain from_tunnel4 {
		ip saddr & 255.255.255.0 == @peer_subnets4 accept
		goto not_from_pods
	}

	chain from_tunnel6 {
		ip6 saddr & ffff:ffff:ffff:ffff:: == @peer_subnets6 accept
		goto not_from_pods
	}

	chain from_underlay {
		udp dport 8472 @th,96,32 & 0xffffff00 == 0x100 ip daddr 198.18.0.1 ip saddr @peers4 notrack accept
		udp dport 8472 @th,96,32 & 0xffffff00 == 0x100 ip6 daddr 2001:db8::1 ip6 saddr @peers6 notrack accept
		goto not_from_pods
	}

	chain any_interface {
		meta nfproto ipv4 iifname @pod_interfaces goto pod_source
		ip6 saddr != :: ip6 saddr != fe80::/10 iifname @pod_interfaces goto pod_source
		goto not_from_pods
	}

	chain pod_addresses {
		ip saddr 10.5.34.0/24 goto pod_source
		ip saddr 10.5.0.0/16 ip daddr 10.5.0.0/16 goto pod_source
		ip6 saddr fd00:5:0:22::/64 goto pod_source
		ip6 saddr fd00:5::/48 ip6 daddr fd00:5::/48 goto pod_source
	}

	chain pod_source {
		fib saddr . iif oif missing counter drop comment "pod_source_forged"
	}

	chain not_from_pods {
		jump pod_addresses
		udp dport 8472 @th,96,32 & 0xffffff00 == 0x100 goto vxlan_arrives
	}

	chain vxlan_arrives {
		fib daddr type != local return
		meta nfproto ipv4 fib saddr . iif oif missing goto vxlan_wrong_iface
		meta nfproto ipv6 fib saddr oif missing goto vxlan_wrong_iface
		ct state != untracked notrack
	}

	chain vxlan_wrong_iface {
		ip saddr @peers4 update @vxlan_wrong_iface4 { ip saddr . iifname }
		ip6 saddr @peers6 update @vxlan_wrong_iface6 { ip6 saddr . iifname }
		counter drop comment "vxlan_from_a_wrong_interface"
	}

	chain vxlan_to_port {
		iif "eth0" ip daddr 198.18.0.1 ip saddr @peers4 accept
		iif "eth0" ip6 daddr 2001:db8::1 ip6 saddr @peers6 accept
		@th,96,32 & 0xffffff00 == 0x100 goto vxlan_to_node
	}

	chain vxlan_to_node {
		jump vxlan_from_pods
		ip saddr @peers4 ip daddr != 10.5.0.0/16 accept
		ip6 saddr @peers6 ip6 daddr != fd00:5::/48 accept
		counter drop comment "vxlan_not_from_a_peer"
	}

	chain vxlan_from_pods {
		iifname @pod_interfaces counter drop comment "vxlan_from_a_pod"
		ip saddr 10.5.34.0/24 counter drop comment "vxlan_from_a_pod"
		ip6 saddr fd00:5:0:22::/64 counter drop comment "vxlan_from_a_pod"
		ip saddr 10.5.0.0/16 ip daddr @peers4 counter drop comment "vxlan_from_a_pod"
		ip6 saddr fd00:5::/48 ip6 daddr @peers6 counter drop comment "vxlan_from_a_pod"
	}

	chain input {
		type filter hook input priority filter - 10; policy accept;
		udp dport 8472 goto vxlan_to_port
		iif != "lo" tcp dport 8470 goto http_from_pods
	}

	chain forward {
		type filter hook forward priority filter - 10; policy accept;
		udp dport 8472 @th,96,32 & 0xffffff00 == 0x100 goto vxlan_from_pods
		tcp dport 8470 goto http_to_peers
	}

	chain output {
		type filter hook output priority raw; policy accept;
		udp dport 8472 @th,96,32 & 0xffffff00 == 0x100 notrack
	}

	chain http_to_peers {
		ip daddr @peers4 goto http_from_pods
		ip6 daddr @peers6 goto http_from_pods
	}

	chain http_from_pods {
		iifname @pod_interfaces counter drop comment "http_from_a_pod"
		ip saddr 10.5.0.0/16 counter drop comment "http_from_a_pod"
		ip6 saddr fd00:5::/48 counter drop comment "http_from_a_pod"
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 10.5.34.0/24 ip daddr != 10.5.0.0/16 ip daddr != 224.0.0.0/4 fib daddr type != local fib daddr type != broadcast masquerade fully-random
		ip6 saddr fd00:5:0:22::/64 ip6 daddr != fd00:5::/48 ip6 daddr != ff00::/8 fib daddr type != local fib daddr type != broadcast masquerade fully-random
	}
}`
