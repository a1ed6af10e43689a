package vxlan

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/podlane/podlane/kernel"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

const (
	configIPv4 = `{"Network":"10.5.0.0/16","SubnetLen":24,"Backend":{"Type":"vxlan"%s}}`
	configBoth = `{"Network":"10.5.0.0/16","SubnetLen":24,"EnableIPv6":true,"IPv6Network":"fd00:5::/32","IPv6SubnetLen":64,"Backend":{"Type":"vxlan"%s}}`
	configIPv6 = `{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/32","IPv6SubnetLen":64,"Backend":{"Type":"vxlan"%s}}`
)

// network reads a configuration; more is what its Backend has besides the type: `"VNI":7`.
func network(t testing.TB, config, more string) subnet.Network {
	t.Helper()
	if more != "" {
		more = "," + more
	}
	n, _, err := subnet.ParseNetwork(fmt.Appendf(nil, config, more))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// lease is that of the i-th node, whose pod subnets and public addresses all have an i in them.
func lease(i int) subnet.Lease {
	v4 := netip.AddrFrom4([4]byte{10, 5, byte(i), 0})
	v6 := netip.MustParseAddr(fmt.Sprintf("fd00:5:%x::", i))
	l := subnet.Lease{BackendType: subnet.BackendVXLAN}
	l.IPv4 = endpoint(netip.PrefixFrom(v4, 24), netip.AddrFrom4([4]byte{198, 18, 0, byte(i)}))
	l.IPv6 = endpoint(netip.PrefixFrom(v6, 64), netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i)))
	return l
}

func endpoint(p netip.Prefix, public netip.Addr) subnet.Endpoint {
	return subnet.Endpoint{Subnet: p, PublicIP: public, VNI: 1, MAC: subnet.MACFor(p)}
}

// leases is those of the peers from the second node to the last.
func leases(last int) (ls []subnet.Lease) {
	for i := 2; i <= last; i++ {
		ls = append(ls, lease(i))
	}
	return ls
}

// node is a namespace with an underlay interface u0 and the i-th node's addresses on it.
type node struct {
	testing.TB
	sandbox.Namespace
	i       int
	self    subnet.Lease
	backend *Backend
}

// newNode makes a node whose underlay leads nowhere.
func newNode(t testing.TB, n subnet.Network) *node {
	t.Helper()
	d := &node{TB: t, Namespace: sandbox.Test(t, "n1"), i: 1, self: lease(1)}
	d.prepare(n)
	return d
}

// prepare makes the underlay interface.
func (d *node) prepare(n subnet.Network) {
	d.Helper()
	d.run("ip link add u0 type veth peer name u1")
	d.run("ip link set u1 up")
	d.join(n)
}

// join gives the node's u0 its addresses, and the node a backend.
func (d *node) join(n subnet.Network) {
	d.Helper()
	d.run("sysctl -qw net/ipv6/conf/u0/accept_dad=0") // so that its link-local address is usable at once
	d.run("ip link set u0 up")
	d.run(fmt.Sprintf("ip addr add 198.18.0.%d/24 dev u0", d.i))
	d.run(fmt.Sprintf("ip addr add 2001:db8::%x/64 dev u0 nodad", d.i))
	d.configure(n)
}

func (d *node) underlay() underlay.Interface {
	d.Helper()
	return underlay.Interface{
		Name: "u0", Index: d.index("u0"), MTU: 1500, Up: true,
		Addrs: []netip.Prefix{
			netip.MustParsePrefix(fmt.Sprintf("198.18.0.%d/24", d.i)),
			netip.MustParsePrefix(fmt.Sprintf("2001:db8::%x/64", d.i)),
		},
	}
}

// configure is what a daemon does at its start: nothing is known of what was before.
func (d *node) configure(n subnet.Network) {
	d.Helper()
	b, err := New(n, d.underlay())
	if err != nil {
		d.Fatal(err)
	}
	d.backend = b
}

func (d *node) index(dev string) int {
	d.Helper()
	var links []struct{ Ifindex int }
	d.json("ip -j link show dev "+dev, &links)
	return links[0].Ifindex
}

func (d *node) json(command string, v any) {
	d.Helper()
	if err := json.Unmarshal([]byte(d.run(command)), v); err != nil {
		d.Fatal(command, err)
	}
}

// run runs a command whose words have no spaces.
func (d *node) run(command string) string {
	d.Helper()
	words := strings.Fields(command)
	out, err := d.Run(words[0], words[1:]...)
	if err != nil {
		d.Fatal(err)
	}
	return out
}

func (d *node) try(peers []subnet.Lease) (r backend.Report, err error) {
	_ = d.Do(func() error {
		r, err = d.backend.Apply(context.Background(), d.self, peers)
		return nil
	})
	return r, err
}

// apply demands that all goes well.
func (d *node) apply(peers []subnet.Lease) backend.Report {
	d.Helper()
	r, err := d.try(peers)
	if err != nil {
		d.Fatal(err)
	}
	for _, f := range r.Failed {
		d.Error(f)
	}
	return r
}

// wantInSync demands that a pass finds nothing to do, and all peers.
func (d *node) wantInSync(peers []subnet.Lease) {
	d.Helper()
	if r := d.apply(peers); len(r.Ops) != 0 || r.Peers != len(peers) {
		d.Errorf("a pass over a settled kernel: %d of %d peers, and wrote:\n%s", r.Peers, len(peers), texts(r.Ops))
	}
}

// texts is one operation a line; those that put back what somebody changed end in "(drift)".
func texts(ops []kernel.Op) string {
	var b strings.Builder
	for _, op := range ops {
		b.WriteString(op.String())
		if op.Drift {
			b.WriteString(" (drift)")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// wantOps compares operations with lines of text. Spaces before a line do not count.
func wantOps(t testing.TB, ops []kernel.Op, want string) {
	t.Helper()
	var lines strings.Builder
	for line := range strings.Lines(want) {
		if line = strings.TrimSpace(line); line != "" {
			lines.WriteString(line + "\n")
		}
	}
	if got := texts(ops); got != lines.String() {
		t.Errorf("operations:\n%swant:\n%s", got, &lines)
	}
}

// sorted is a text with its lines in order and without spaces at their ends.
func sorted(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
