package firewall

import (
	"net"
	"testing"
	"time"
)

// newBridged makes two pods on a bridge whose traffic connection tracking does not see. A port of the node leads to pod B.
//
//	pod A 10.5.34.2 --+
//	                  cni0 10.5.34.1 node 198.18.0.1:8080 -> pod B:80
//	pod B 10.5.34.3 --+
func newBridged(t *testing.T) (a, b, n *node) {
	t.Helper()
	a, b, n = newNode(t, "poda"), newNode(t, "podb"), newNode(t, "node")
	n.sh(`
sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0
ip address add 198.18.0.1/32 dev lo; ip address add 2001:db8::1/128 dev lo
ip link add cni0 type bridge; ip link set cni0 up
ip address add 10.5.34.1/24 dev cni0; ip address add fd00:5:0:22::1/64 dev cni0 nodad
for pod in poda podb; do ip link add $pod type veth peer name eth0 netns $pod; ip link set $pod master cni0 up; done
nft -f - <<E
table inet ports {
	chain prerouting {
		type nat hook prerouting priority dstnat;
		ip daddr 198.18.0.1 udp dport 8080 dnat ip to 10.5.34.3:80
		ip6 daddr 2001:db8::1 udp dport 8080 dnat ip6 to [fd00:5:0:22::3]:80
	}
}
E`)
	for i, pod := range []*node{a, b} {
		host := []string{"2", "3"}[i]
		pod.sh(`
sysctl -qw net.ipv6.conf.eth0.accept_dad=0
ip link set eth0 up; ip address add 10.5.34.` + host + `/24 dev eth0; ip address add fd00:5:0:22::` + host + `/64 dev eth0 nodad
ip route add default via 10.5.34.1; ip route add default via fd00:5:0:22::1`)
	}
	return a, b, n
}

// answered reports whether a pod gets an answer from the address that it asked. source is what the other pod saw.
func answered(a *node, at *net.UDPConn, to string, wait time.Duration) (source string, ok bool) {
	a.Helper()
	from, err := here(a.ns, func() (net.Conn, error) { return net.Dial("udp", to) })
	if err != nil {
		a.Fatal(err)
	}
	defer from.Close()
	if _, err := from.Write([]byte("?")); err != nil {
		a.Fatal(err)
	}
	var buffer [8]byte
	if err := at.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		a.Fatal(err)
	}
	_, asker, err := at.ReadFromUDPAddrPort(buffer[:])
	if err != nil {
		a.Fatalf("the question to %s: %v", to, err)
	}
	if _, err := at.WriteToUDPAddrPort([]byte("!"), asker); err != nil {
		a.Fatal(err)
	}
	if err := from.SetReadDeadline(time.Now().Add(wait)); err != nil {
		a.Fatal(err)
	}
	_, err = from.Read(buffer[:])
	return asker.Addr().Unmap().String(), err == nil
}

func TestPodReachesPortOfItsNodeOnAHiddenBridge(t *testing.T) {
	a, b, n := newBridged(t)
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			a.T, b.T, n.T = t, t, t
			reachesPortOnAHiddenBridge(t, a, b, n, form.rules(n, with(func(r *Rules) { r.PodInterfaces = []string{"cni0"} })))
		})
	}
}

func reachesPortOnAHiddenBridge(t *testing.T, a, b, n *node, r Rules) {
	for _, c := range []struct{ pod, port, own, gateway string }{
		{"10.5.34.3:80", "198.18.0.1:8080", "10.5.34.2", "10.5.34.1"},
		{"[fd00:5:0:22::3]:80", "[2001:db8::1]:8080", "fd00:5:0:22::2", "fd00:5:0:22::1"},
	} {
		at := b.listen(c.pod)
		r.BridgeHidden = false
		n.apply(r)
		if source, ok := answered(a, at, c.port, 200*time.Millisecond); ok || source != c.own {
			t.Errorf("%s: without the rule: answered %v, source %s; want no answer, source %s", c.port, ok, source, c.own)
		}
		r.BridgeHidden = true
		for _, masquerade := range []bool{true, false} {
			r.Masquerade = masquerade
			n.apply(r)
			n.quiet(r)
			if source, ok := answered(a, at, c.port, 5*time.Second); !ok || source != c.gateway {
				t.Errorf("%s: answered %v, source %s; want an answer, source %s", c.port, ok, source, c.gateway)
			}
			if source, ok := answered(a, at, c.pod, 5*time.Second); !ok || source != c.own {
				t.Errorf("%s: not translated: answered %v, source %s; want an answer, source %s", c.pod, ok, source, c.own)
			}
		}
	}
	const rules = `ip saddr 10.5.34.0/24 ip daddr 10.5.34.0/24 ct status dnat masquerade fully-random
ip6 saddr fd00:5:0:22::/64 ip6 daddr fd00:5:0:22::/64 ct status dnat masquerade fully-random
`
	equal(t, "rules", n.sh(`nft list chain inet podlane postrouting | sed -n 's/^\t*\(ip.*ct status.*\)/\1/p'`), rules)
}
