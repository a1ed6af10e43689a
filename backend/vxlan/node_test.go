package vxlan

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/kernel"
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

// network parses a configuration. more holds further keys of its Backend: `"VNI":7`.
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

// lease returns the lease of the i-th node. Its pod subnets and public addresses contain i.
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

// leases returns the leases of the peers, from the second node to the last.
func leases(last int) (ls []subnet.Lease) {
	for i := 2; i <= last; i++ {
		ls = append(ls, lease(i))
	}
	return ls
}

// node is a namespace with an underlay interface u0, which has the i-th node's addresses.
type node struct {
	testing.TB
	sandbox.Namespace
	i       int
	self    subnet.Lease
	backend *Backend
}

// newNode returns a node whose underlay leads nowhere.
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

// join adds the node's addresses to u0 and makes a backend.
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

// configure makes a new backend without memory, like a restart of the daemon.
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

// run runs a command. Its words contain no spaces.
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

// apply calls Apply and allows no failure.
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

// wantInSync checks that Apply has nothing to write.
func (d *node) wantInSync(peers []subnet.Lease) {
	d.Helper()
	r := d.apply(peers)
	if len(r.Ops) != 0 {
		d.Errorf("the kernel is not in sync, Apply wrote:\n%s", texts(r.Ops))
	}
	if r.Peers != len(peers) {
		d.Errorf("%d peers are installed, want %d", r.Peers, len(peers))
	}
}

// texts returns one line for each operation. Those that repair drift end in "(drift)".
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

// wantOps compares operations with lines of text, without leading spaces.
func wantOps(t testing.TB, ops []kernel.Op, want string) {
	t.Helper()
	var lines strings.Builder
	for line := range strings.Lines(want) {
		if line = strings.TrimSpace(line); line != "" {
			lines.WriteString(line + "\n")
		}
	}
	if diff := cmp.Diff(lines.String(), texts(ops)); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
}

// sorted returns the sorted lines of a text, without spaces at their ends.
func sorted(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
