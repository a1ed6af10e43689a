package firewall

import (
	"fmt"
	"strings"
)

// Rule sets as other programs make them.

func docker(program string) string {
	return strings.ReplaceAll(`@ -P FORWARD DROP
@ -N DOCKER; @ -N DOCKER-USER; @ -N DOCKER-FORWARD; @ -N DOCKER-CT; @ -N DOCKER-BRIDGE; @ -N DOCKER-ISOLATION-STAGE-1; @ -N DOCKER-ISOLATION-STAGE-2
@ -A FORWARD -j DOCKER-USER
@ -A FORWARD -j DOCKER-FORWARD
@ -A DOCKER ! -i docker0 -o docker0 -j DROP
@ -A DOCKER-BRIDGE -o docker0 -j DOCKER
@ -A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
@ -A DOCKER-FORWARD -j DOCKER-CT
@ -A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
@ -A DOCKER-FORWARD -j DOCKER-BRIDGE
@ -A DOCKER-FORWARD -i docker0 -j ACCEPT
@ -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
@ -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
@ -A DOCKER-USER -j RETURN
`, "@ ", program+" ")
}

func kubeProxy(program string) string {
	return strings.ReplaceAll(`@ -N KUBE-FORWARD; @ -N KUBE-FIREWALL; @ -N KUBE-SERVICES; @ -N KUBE-EXTERNAL-SERVICES; @ -N KUBE-PROXY-FIREWALL; @ -N KUBE-NODEPORTS
@ -A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
@ -A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
@ -A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
@ -A INPUT -j KUBE-FIREWALL
@ -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
@ -A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
@ -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
@ -A OUTPUT -j KUBE-FIREWALL
@ -A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
@ -A KUBE-FIREWALL -m comment --comment "kubernetes firewall for dropping marked packets" -m mark --mark 0x8000/0x8000 -j DROP
@ -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
@ -A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
@ -A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
@ -A KUBE-SERVICES -d 10.96.0.77/32 -p tcp -m comment --comment "default/web has no endpoints" -m tcp --dport 80 -j REJECT
`, "@ ", program+" ")
}

const kubeProxyNftables = `nft -f - <<X
table ip kube-proxy {
	map no-endpoint-services {
		type ipv4_addr . inet_proto . inet_service : verdict
		elements = { 10.96.0.77 . tcp . 80 : drop }
	}
	map firewall-ips {
		type ipv4_addr . inet_proto . inet_service : verdict
	}
	set cluster-ips { type ipv4_addr; elements = { 10.96.0.77 } }
	chain cluster-ips-check {
		ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"
		ip daddr 10.96.0.0/12 drop
	}
	chain filter-prerouting {
		type filter hook prerouting priority -110; policy accept;
		ct state new jump firewall-check
	}
	chain filter-input {
		type filter hook input priority -110; policy accept;
		ct state new jump nodeport-endpoints-check
		ct state new jump service-endpoints-check
	}
	chain filter-forward {
		type filter hook forward priority -110; policy accept;
		ct state new jump service-endpoints-check
		ct state new jump cluster-ips-check
		ct state invalid drop
	}
	chain firewall-check {
		ip daddr . meta l4proto . th dport vmap @firewall-ips
	}
	chain nodeport-endpoints-check {
		ip daddr 198.18.0.1 meta l4proto . th dport vmap { tcp . 30080 : drop }
	}
	chain service-endpoints-check {
		ip daddr . meta l4proto . th dport vmap @no-endpoint-services
	}
}
X
`

// firewalld has rules of one zone, in input and in forward.
func firewalld(in, forward string) string {
	return fmt.Sprintf(`nft -f - <<X
table inet firewalld {
	chain filter_PREROUTING {
		type filter hook prerouting priority filter + 10; policy accept;
		icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
		meta nfproto ipv6 fib saddr . mark . iif oif missing drop
	}
	chain filter_IN_public {
		jump filter_IN_public_allow
		meta l4proto { icmp, ipv6-icmp } accept
	}
	chain filter_IN_public_allow {
		%s
	}
	chain filter_FWD_public {
		%s
	}
	chain filter_INPUT_ZONES {
		iifname "eth0" goto filter_IN_public
		goto filter_IN_public
	}
	chain filter_FORWARD_ZONES {
		goto filter_FWD_public
	}
	chain filter_INPUT {
		type filter hook input priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname "lo" accept
		ct state invalid drop
		jump filter_INPUT_ZONES
		reject with icmpx admin-prohibited
	}
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname "lo" accept
		ct state invalid drop
		ip6 daddr { ::/96, 2002::/24 } reject with icmpv6 addr-unreachable
		jump filter_FORWARD_ZONES
		reject with icmpx admin-prohibited
	}
}
X
`, in, forward)
}

func ufw(rule string) string {
	return `iptables-nft -P INPUT DROP; iptables-nft -N ufw-before-input; iptables-nft -N ufw-user-input; iptables-nft -N ufw-not-local
iptables-nft -A INPUT -j ufw-before-input
iptables-nft -A ufw-before-input -i lo -j ACCEPT
iptables-nft -A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables-nft -A ufw-before-input -m conntrack --ctstate INVALID -j DROP
iptables-nft -A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT
iptables-nft -A ufw-before-input -j ufw-not-local
iptables-nft -A ufw-before-input -j ufw-user-input
iptables-nft -A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
iptables-nft -A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
iptables-nft -A ufw-not-local -m limit --limit 3/min --limit-burst 10 -j LOG
iptables-nft -A ufw-not-local -j DROP
` + strings.ReplaceAll(rule, "-A ", "iptables-nft -A ")
}
