package flannel

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
	"github.com/podlane/podlane/tests/stream"
)

// underlayMTU is the MTU of the lab's underlay.
const underlayMTU = 1500

// perPair is the number of packets of each size that a pod sends to each other pod.
const perPair = 5

var pingCount = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`)

// tally counts the packets of all pairs.
type tally struct{ sent, answered, connections atomic.Int64 }

// ping sends packets with this payload, which must not be fragmented. It returns an error if one is lost.
func (c *tally) ping(out string, err error) error {
	m := pingCount.FindStringSubmatch(out)
	if m == nil {
		return fmt.Errorf("ping: %w: %s", err, out)
	}
	sent, _ := strconv.Atoi(m[1]) // the expression has digits only
	answered, _ := strconv.Atoi(m[2])
	c.sent.Add(int64(sent))
	c.answered.Add(int64(answered))
	if sent != perPair || answered != sent {
		return fmt.Errorf("ping: %d packets sent, want %d; %d answered", sent, perPair, answered)
	}
	return nil
}

func pingArgs(to netip.Addr, payload int) []string {
	return []string{"-n", "-q", "-M", "do", "-i", "0.002", "-W", "2", "-c", strconv.Itoa(perPair), "-s", strconv.Itoa(payload), to.String()}
}

// payload returns the size of a ping's payload in a packet of this size.
func payload(to netip.Addr, packet int) int {
	if to.Is4() {
		return packet - 20 - 8
	}
	return packet - 40 - 8
}

// fits returns the size of the largest packet between two pods. The IPv6 tunnel adds 70 bytes. flannel subtracts 50 in both
// families, so its pods send IPv6 packets that do not fit.
func fits(from, to *pod, a netip.Addr) int {
	size := min(from.mtu, to.mtu)
	if a.Is6() {
		size = min(size, underlayMTU-70)
	}
	return size
}

// expectFlat sends packets from every pod to every other pod, small ones and ones of the MTU. It also opens a connection, whose
// server must see the pod's own address. Every node reaches every pod.
func expectFlat(t *testing.T, nodes []*lab.Node, pods []*pod) {
	t.Helper()
	var counts tally
	var g errgroup.Group
	g.SetLimit(8)
	ctx := cluster.Bounded(t, time.Minute)
	check := func(from, to string, run func() error) {
		g.Go(func() error {
			if err := run(); err != nil {
				t.Errorf("%s to %s: %v", from, to, err)
			}
			return nil
		})
	}
	for _, to := range pods {
		for _, a := range to.addrs {
			mirror := newMirror(t, to, a)
			for _, from := range pods {
				if from == to {
					continue
				}
				own, err := from.addr(a)
				cluster.Check(t, err)
				for _, size := range []int{84, fits(from, to, a)} {
					check(from.Name, a.String(), func() error { return counts.ping(from.run(ctx, "ping", pingArgs(a, payload(a, size))...)) })
				}
				check(from.Name, a.String(), func() error { return counts.connect(ctx, from, mirror, own) })
			}
			for _, n := range nodes {
				check(n.Name, a.String(), func() error { return counts.ping(n.Run(ctx, "ping", pingArgs(a, payload(a, 84))...)) })
			}
		}
	}
	_ = g.Wait() // each has reported its own
	t.Logf("%d pods: %d of %d packets answered, %d connections from the pod's own address",
		len(pods), counts.answered.Load(), counts.sent.Load(), counts.connections.Load())
}

// newMirror starts a TCP server in a pod. It sends each client the client's address.
func newMirror(t *testing.T, p *pod, a netip.Addr) netip.AddrPort {
	t.Helper()
	var listener net.Listener
	cluster.Check(t, p.Do(func() (err error) {
		listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", netip.AddrPortFrom(a, 0).String())
		return err
	}))
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().String()) // the client notices an error
			c.Close()
		}
	}()
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

// connect expects that a mirror sees this address of a pod.
func (c *tally) connect(ctx context.Context, from *pod, mirror netip.AddrPort, want netip.Addr) error {
	var conn net.Conn
	err := from.Do(func() (err error) {
		conn, err = (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, "tcp", mirror.String())
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	text, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	if string(text) != want.String() {
		return fmt.Errorf("the server sees %s, want %s", text, want)
	}
	c.connections.Add(1)
	return nil
}

// startFlood starts numbered datagrams of the MTU and connections between each two of the pods, in each family.
func startFlood(t *testing.T, pods ...*pod) cluster.Flood {
	t.Helper()
	var f cluster.Flood
	for i, from := range pods {
		for _, to := range pods[i+1:] {
			f = append(f, streams(t, from, to)...)
		}
	}
	return f
}

// streams starts the traffic between two pods.
func streams(t *testing.T, from, to *pod) (f cluster.Flood) {
	t.Helper()
	for _, a := range from.addrs {
		b, err := to.addr(a)
		cluster.Check(t, err)
		o := stream.Options{Every: 2 * time.Millisecond, Size: payload(a, fits(from, to, a)), Connections: 5}
		s, err := stream.Start(t.Context(), stream.End{Place: from, Addr: a}, stream.End{Place: to, Addr: b}, o)
		cluster.Check(t, err)
		t.Cleanup(func() { s.Stop() })
		f = append(f, s)
	}
	return f
}
