package firewall

import (
	"net/netip"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// dual holds the rules of a dual-stack node with one peer.
var dual = Rules{
	Network: subnet.Network{
		IPv4:  subnet.Range{Prefix: netip.MustParsePrefix("10.5.0.0/16"), SubnetLen: 24},
		IPv6:  subnet.Range{Prefix: netip.MustParsePrefix("fd00:5::/48"), SubnetLen: 64},
		VXLAN: subnet.VXLAN{VNI: 1, Port: 8472},
	},
	Subnet:     subnet.Pair{IPv4: netip.MustParsePrefix("10.5.34.0/24"), IPv6: netip.MustParsePrefix("fd00:5:0:22::/64")},
	Masquerade: true,
	Peers: []netip.Addr{
		netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("198.18.0.2"), netip.MustParseAddr("::ffff:198.18.0.2"), {},
	},
	PodInterfaces: []string{"pod0", "pod0"},
	HTTPPort:      8470,
}

// node is a namespace with a firewall.
type node struct {
	ns sandbox.Namespace
	*testing.T
	Firewall
}

func newNode(t *testing.T, name string) *node {
	t.Helper()
	return &node{ns: sandbox.Test(t, name), T: t}
}

// sh runs a shell script in the namespace and returns what it printed.
func (n *node) sh(script string) string {
	n.Helper()
	out, err := n.ns.Run("sh", "-e", "-c", script)
	if err != nil {
		n.Fatal(err)
	}
	return out
}

// here runs f in a namespace.
func here[T any](n sandbox.Namespace, f func() (T, error)) (value T, err error) {
	err = n.Do(func() (err error) {
		value, err = f()
		return err
	})
	return value, err
}

func (n *node) apply(r Rules) []kernel.Op {
	n.Helper()
	ops, err := here(n.ns, func() ([]kernel.Op, error) { return n.Apply(n.Context(), r) })
	if err != nil {
		n.Fatal(err)
	}
	return ops
}

func (n *node) cleanup() []kernel.Op {
	n.Helper()
	ops, err := here(n.ns, func() ([]kernel.Op, error) { return Cleanup(n.Context()) })
	if err != nil {
		n.Fatal(err)
	}
	return ops
}

// quiet checks that another Apply writes nothing: the generation of the rule set does not change.
func (n *node) quiet(r Rules) {
	n.Helper()
	before := n.generation()
	if ops := n.apply(r); len(ops) > 0 {
		n.Errorf("nothing has changed, but Apply wrote:\n%s", words(ops))
	}
	if after := n.generation(); after != before {
		n.Errorf("nothing has changed, but the generation went from %d to %d", before, after)
	}
}

func (n *node) generation() uint32 {
	n.Helper()
	g, err := here(n.ns, func() (uint32, error) {
		c, err := nft.Dial()
		if err != nil {
			return 0, err
		}
		defer c.Close()
		return c.Generation()
	})
	if err != nil {
		n.Fatal(err)
	}
	return g
}

func words(ops []kernel.Op) string {
	var lines []string
	for _, op := range ops {
		line := op.String()
		if op.Drift {
			line += " (drift)"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// equal compares texts.
func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if diff := gocmp.Diff(strings.TrimSpace(want), strings.TrimSpace(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
