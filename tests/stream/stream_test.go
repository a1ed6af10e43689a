package stream

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// wire makes two namespaces with a wire between them, and a stream over it.
func wire(t *testing.T, o Options) (a, b sandbox.Namespace, s *Stream) {
	t.Helper()
	a, b = sandbox.Test(t, "a"), sandbox.Test(t, "b")
	run(t, a, "ip link add eth0 type veth peer name eth0 netns b")
	run(t, a, "ip address add 192.0.2.1/24 dev eth0")
	run(t, b, "ip address add 192.0.2.2/24 dev eth0")
	run(t, a, "ip link set eth0 up")
	run(t, b, "ip link set eth0 up")
	s, err := Start(t.Context(), End{a, netip.MustParseAddr("192.0.2.1")}, End{b, netip.MustParseAddr("192.0.2.2")}, o)
	if err != nil {
		t.Fatal(err)
	}
	return a, b, s
}

func run(t *testing.T, n sandbox.Namespace, command string) {
	t.Helper()
	words := strings.Fields(command)
	if _, err := n.Run(words[0], words[1:]...); err != nil {
		t.Fatal(err)
	}
}

// sent waits until this number of datagrams has been sent each way.
func sent(t *testing.T, s *Stream, count uint64) {
	t.Helper()
	from := s.flows[0].tally.next()
	if !await(within(t), func() bool { return s.flows[0].tally.next() >= from+count && s.flows[1].tally.next() >= from+count }) {
		t.Fatal("no datagrams are sent")
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestNothingIsLostOnAQuietWire(t *testing.T) {
	_, _, s := wire(t, Options{Connections: 3})
	sent(t, s, 100)
	r := s.Stop()
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	if r.Sent < 200 {
		t.Errorf("%d datagrams sent, want at least 200", r.Sent)
	}
	if r.LongestGap != 0 {
		t.Errorf("gap of %v, want none", r.LongestGap)
	}
	if r.Connections != 3 {
		t.Errorf("%d connections, want 3", r.Connections)
	}
	if again := s.Stop(); again.String() != r.String() {
		t.Errorf("second Stop: got %s, want %s", again, r)
	}
}

func TestLossIsCounted(t *testing.T) {
	_, b, s := wire(t, Options{Connections: 1, Size: 1000})
	run(t, b, "nft add table inet fault")
	run(t, b, "nft add chain inet fault input { type filter hook input priority 0 ; }")
	run(t, b, "nft add rule inet fault input meta l4proto udp drop")
	sent(t, s, 50)
	run(t, b, "nft delete table inet fault")
	if err := s.Flowing(within(t)); err != nil {
		t.Error(err)
	}
	r := s.Stop()
	if r.Lost < 50 || r.Lost >= r.Sent-50 {
		t.Errorf("%d of %d datagrams lost, want at least 50 one way and none the other way", r.Lost, r.Sent)
	}
	if r.LongestGap < 50*time.Millisecond {
		t.Errorf("gap of %v, want at least 50ms", r.LongestGap)
	}
	if r.Broken != 0 {
		t.Errorf("%d broken connections, want none: %v", r.Broken, r.Causes)
	}
	if r.Err() == nil {
		t.Error("Err: got nil, want the loss")
	}
}

func TestRefusedDatagramsCountAsLost(t *testing.T) {
	a, _, s := wire(t, Options{})
	run(t, a, "ip link set eth0 down")
	sent(t, s, 20)
	run(t, a, "ip link set eth0 up")
	if err := s.Flowing(within(t)); err != nil {
		t.Error(err)
	}
	if r := s.Stop(); r.Lost < 40 || r.LongestGap == 0 {
		t.Errorf("want loss both ways: %s", r)
	}
}

func TestConnectionsAreReset(t *testing.T) {
	_, b, s := wire(t, Options{Connections: 2})
	run(t, b, "nft add table inet fault")
	run(t, b, "nft add chain inet fault input { type filter hook input priority 0 ; }")
	run(t, b, "nft add rule inet fault input meta l4proto tcp reject with tcp reset")
	sent(t, s, 100)
	r := s.Stop()
	if r.Broken != 2 || len(r.Causes) != 2 {
		t.Errorf("%d broken connections with %d causes, want 2 of each", r.Broken, len(r.Causes))
	}
	if r.Lost != 0 {
		t.Errorf("%d datagrams lost, want none", r.Lost)
	}
	if want := "connection reset by peer"; !strings.Contains(r.String(), want) {
		t.Errorf("got %q, want %q in it", r, want)
	}
}

func TestOtherEndIsUnreachable(t *testing.T) {
	a, b := sandbox.Test(t, "a"), sandbox.Test(t, "b")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	here := netip.MustParseAddr("127.0.0.1")
	if _, err := Start(ctx, End{a, here}, End{b, here}, Options{}); err == nil || !strings.Contains(err.Error(), "until then") {
		t.Errorf("between two loopback interfaces: got error %v, want a timeout", err)
	}
	if _, err := Start(t.Context(), End{a, here}, End{b, here}, Options{Connections: 1}); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("connection without a listener: got error %v, want that it is refused", err)
	}
}

func TestOptionsOutOfRange(t *testing.T) {
	for _, o := range []Options{{Every: -1}, {Size: 15}, {Size: 65508}, {Connections: -1}} {
		if _, err := Start(t.Context(), End{}, End{}, o); err == nil || !strings.Contains(err.Error(), "out of range") {
			t.Errorf("%+v: got error %v, want out of range", o, err)
		}
	}
}
