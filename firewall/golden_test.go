package firewall

// golden is dual's table, as nft prints it. dual has no fact about the node, so all packets go to the general rules.
const golden = `table inet podlane {
	set pod_interfaces {
		type ifname
		elements = { "pod0" }
	}

	set peer_subnets4 {
		type ipv4_addr
	}

	set peer_subnets6 {
		type ipv6_addr
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
		goto any_interface
	}

	chain from_pods {
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

// goldenOps are the ops that make it from nothing.
const goldenOps = `add table inet podlane
add chain inet podlane prerouting { type filter hook prerouting priority -310; policy accept; }
add chain inet podlane from_pods
add chain inet podlane from_tunnel4
add chain inet podlane from_tunnel6
add chain inet podlane from_underlay
add chain inet podlane any_interface
add chain inet podlane pod_addresses
add chain inet podlane pod_source
add chain inet podlane not_from_pods
add chain inet podlane vxlan_arrives
add chain inet podlane vxlan_wrong_iface
add chain inet podlane vxlan_to_port
add chain inet podlane vxlan_to_node
add chain inet podlane vxlan_from_pods
add chain inet podlane input { type filter hook input priority -10; policy accept; }
add chain inet podlane forward { type filter hook forward priority -10; policy accept; }
add chain inet podlane output { type filter hook output priority -300; policy accept; }
add chain inet podlane http_to_peers
add chain inet podlane http_from_pods
add chain inet podlane postrouting { type nat hook postrouting priority 100; policy accept; }
add set inet podlane pod_interfaces { type ifname; }
add set inet podlane peer_subnets4 { type ipv4_addr; }
add set inet podlane peer_subnets6 { type ipv6_addr; }
add set inet podlane peers4 { type ipv4_addr; }
add set inet podlane peers6 { type ipv6_addr; }
add set inet podlane vxlan_wrong_iface4 { type ipv4_addr . ifname; size 64; flags dynamic,timeout; timeout 10s; }
add set inet podlane vxlan_wrong_iface6 { type ipv6_addr . ifname; size 64; flags dynamic,timeout; timeout 10s; }
add rule inet podlane prerouting goto any_interface
add rule inet podlane from_pods goto any_interface
add rule inet podlane from_tunnel4 ip saddr & 255.255.255.0 == @peer_subnets4 accept
add rule inet podlane from_tunnel4 goto not_from_pods
add rule inet podlane from_tunnel6 ip6 saddr & ffff:ffff:ffff:ffff:: == @peer_subnets6 accept
add rule inet podlane from_tunnel6 goto not_from_pods
add rule inet podlane from_underlay goto not_from_pods
add rule inet podlane any_interface meta nfproto ipv4 iifname @pod_interfaces goto pod_source
add rule inet podlane any_interface ip6 saddr != :: ip6 saddr != fe80::/10 iifname @pod_interfaces goto pod_source
add rule inet podlane any_interface goto not_from_pods
add rule inet podlane pod_addresses ip saddr 10.5.34.0/24 goto pod_source
add rule inet podlane pod_addresses ip saddr 10.5.0.0/16 ip daddr 10.5.0.0/16 goto pod_source
add rule inet podlane pod_addresses ip6 saddr fd00:5:0:22::/64 goto pod_source
add rule inet podlane pod_addresses ip6 saddr fd00:5::/48 ip6 daddr fd00:5::/48 goto pod_source
add rule inet podlane pod_source fib saddr . iif oif missing counter drop comment "pod_source_forged"
add rule inet podlane not_from_pods jump pod_addresses
add rule inet podlane not_from_pods udp dport 8472 @th,96,32 & 0xffffff00 == 0x100 goto vxlan_arrives
add rule inet podlane vxlan_arrives fib daddr type != local return
add rule inet podlane vxlan_arrives meta nfproto ipv4 fib saddr . iif oif missing goto vxlan_wrong_iface
add rule inet podlane vxlan_arrives meta nfproto ipv6 fib saddr oif missing goto vxlan_wrong_iface
add rule inet podlane vxlan_arrives ct state != untracked notrack
add rule inet podlane vxlan_wrong_iface ip saddr @peers4 update @vxlan_wrong_iface4 { ip saddr . iifname }
add rule inet podlane vxlan_wrong_iface ip6 saddr @peers6 update @vxlan_wrong_iface6 { ip6 saddr . iifname }
add rule inet podlane vxlan_wrong_iface counter drop comment "vxlan_from_a_wrong_interface"
add rule inet podlane vxlan_to_port @th,96,32 & 0xffffff00 == 0x100 goto vxlan_to_node
add rule inet podlane vxlan_to_node jump vxlan_from_pods
add rule inet podlane vxlan_to_node ip saddr @peers4 ip daddr != 10.5.0.0/16 accept
add rule inet podlane vxlan_to_node ip6 saddr @peers6 ip6 daddr != fd00:5::/48 accept
add rule inet podlane vxlan_to_node counter drop comment "vxlan_not_from_a_peer"
add rule inet podlane vxlan_from_pods iifname @pod_interfaces counter drop comment "vxlan_from_a_pod"
add rule inet podlane vxlan_from_pods ip saddr 10.5.34.0/24 counter drop comment "vxlan_from_a_pod"
add rule inet podlane vxlan_from_pods ip6 saddr fd00:5:0:22::/64 counter drop comment "vxlan_from_a_pod"
add rule inet podlane vxlan_from_pods ip saddr 10.5.0.0/16 ip daddr @peers4 counter drop comment "vxlan_from_a_pod"
add rule inet podlane vxlan_from_pods ip6 saddr fd00:5::/48 ip6 daddr @peers6 counter drop comment "vxlan_from_a_pod"
add rule inet podlane input udp dport 8472 goto vxlan_to_port
add rule inet podlane input iif != "lo" tcp dport 8470 goto http_from_pods
add rule inet podlane forward udp dport 8472 @th,96,32 & 0xffffff00 == 0x100 goto vxlan_from_pods
add rule inet podlane forward tcp dport 8470 goto http_to_peers
add rule inet podlane output udp dport 8472 @th,96,32 & 0xffffff00 == 0x100 notrack
add rule inet podlane http_to_peers ip daddr @peers4 goto http_from_pods
add rule inet podlane http_to_peers ip6 daddr @peers6 goto http_from_pods
add rule inet podlane http_from_pods iifname @pod_interfaces counter drop comment "http_from_a_pod"
add rule inet podlane http_from_pods ip saddr 10.5.0.0/16 counter drop comment "http_from_a_pod"
add rule inet podlane http_from_pods ip6 saddr fd00:5::/48 counter drop comment "http_from_a_pod"
add rule inet podlane postrouting ip saddr 10.5.34.0/24 ip daddr != 10.5.0.0/16 ip daddr != 224.0.0.0/4 fib daddr type != local fib daddr type != broadcast masquerade fully-random
add rule inet podlane postrouting ip6 saddr fd00:5:0:22::/64 ip6 daddr != fd00:5::/48 ip6 daddr != ff00::/8 fib daddr type != local fib daddr type != broadcast masquerade fully-random
add element inet podlane pod_interfaces pod0
add element inet podlane peers4 198.18.0.2
add element inet podlane peers6 2001:db8::2`
