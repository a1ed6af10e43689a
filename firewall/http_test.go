package firewall

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
)

// serve accepts TCP connections until the test ends.
func (n *node) serve(addr string) {
	n.Helper()
	l, err := here(n.ns, func() (net.Listener, error) { return new(net.ListenConfig).Listen(n.Context(), "tcp", addr) })
	if err != nil {
		n.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			c.Close()
		}
	}()
	n.Cleanup(func() {
		l.Close()
		<-done
	})
}

// call connects from an address to another until ctx ends.
func (n *node) call(ctx context.Context, from, to string) error {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := here(n.ns, func() (net.Conn, error) { return dialer.DialContext(ctx, "tcp", to) })
	if err == nil {
		c.Close()
	}
	return err
}

func http(addr string) string { return net.JoinHostPort(addr, "8470") }

func newHTTPWires(t *testing.T) wires {
	w := newWires(t)
	w.node.serve(":8470")
	w.outside.serve(":8470")
	// The pod sends packets to 127.0.0.1 to its node, and the node accepts them.
	w.node.sh("sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.pod0.rp_filter=0")
	w.pod.sh(`sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0
ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.0/8 via 10.5.34.1 dev eth0`)
	return w
}

func TestPodsDoNotReachHTTP(t *testing.T) {
	w := newHTTPWires(t)
	w.inForms(t, w.podsDoNotReachHTTP)
}

func (w wires) podsDoNotReachHTTP(t *testing.T, form tableForm) {
	type attempt struct {
		name   string
		rules  Rules
		from   *node
		as, to string
	}
	attempts := []attempt{
		{"through route_localnet", dual, w.pod, podAt[subnet.IPv4], "127.0.0.1"},
		{"at the link's own address", dual, w.pod, "", w.node.linkLocal("pod0") + "%eth0"},
	}
	for f, family := range subnet.Families {
		attempts = append(attempts,
			attempt{family.String() + " at the node", dual, w.pod, podAt[f], nodeAt[f]},
			attempt{family.String() + " at its gateway", dual, w.pod, podAt[f], gatewayAt[f]},
			attempt{family.String() + " no interface known", podsUnknown, w.pod, podAt[f], nodeAt[f]},
			attempt{family.String() + " of a peer", dual, w.pod, podAt[f], peerAt[f]},
			attempt{family.String() + " from a pod of another node", dual, w.outside, farPodAt[f], nodeAt[f]},
		)
	}
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			w.in(t)
			w.node.cleanup()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := a.from.call(ctx, a.as, http(a.to)); err != nil {
				t.Fatalf("without podlane's table it does not connect: %v", err)
			}
			rules := form.rules(w.node, a.rules)
			w.node.apply(rules)
			was := w.node.Dropped()["http_from_a_pod"]
			called := make(chan error, 1)
			go func() { called <- a.from.call(ctx, a.as, http(a.to)) }()
			within(t, "it is not counted", func() bool {
				w.node.apply(rules)
				return w.node.Dropped()["http_from_a_pod"] > was
			})
			cancel()
			if err := <-called; err == nil {
				t.Error("the connection was accepted")
			}
		})
	}
}

func TestNodesReachHTTP(t *testing.T) {
	w := newHTTPWires(t)
	w.inForms(t, w.nodesReachHTTP)
}

func (w wires) nodesReachHTTP(t *testing.T, form tableForm) {
	for f, family := range subnet.Families {
		for _, c := range []struct {
			name   string
			rules  Rules
			from   *node
			as, to string
		}{
			{"the node itself, from its address in the pod subnet", dual, w.node, gatewayAt[f], nodeAt[f]},
			{"the node itself, on loopback", dual, w.node, "", [...]string{"127.0.0.1", "::1"}[f]},
			{"a peer", dual, w.outside, peerAt[f], nodeAt[f]},
			{"a pod, at a host that is not a peer", noPeers, w.pod, podAt[f], peerAt[f]},
			{"a pod, and the daemon has no HTTP", with(func(r *Rules) { r.HTTPPort = 0 }), w.pod, podAt[f], nodeAt[f]},
		} {
			t.Run(family.String()+" "+c.name, func(t *testing.T) {
				w.in(t)
				w.node.apply(form.rules(w.node, c.rules))
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				if err := c.from.call(ctx, c.as, http(c.to)); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
