package cluster

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
)

const kernelScript = `
for d in $(ip -o link show type vxlan | sed -n 's/^[0-9]*: \(p[^:@]*\).*/\1/p' | sort); do
	ip -o -d link show dev $d
	ip -o address show dev $d | sort
	bridge fdb show dev $d | sort
	ip neigh show dev $d | sort
	ip -6 neigh show dev $d | sort
	sysctl -e net.ipv4.conf.$(echo $d | tr . /).rp_filter net.ipv4.conf.$(echo $d | tr . /).forwarding
done
ip -4 route show table all | grep 'proto 112'
ip -6 route show table all | grep 'proto 112'
sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding
nft -s list table inet podlane
nft -s list ruleset | sed -n '/chain FORWARD/,/}/p'
`

// indexes are interface indexes. A device that is created again gets another one.
var indexes = regexp.MustCompile(`(?m)^\d+: `)

// elements are the elements of an nftables set, which nft prints as one list.
var elements = regexp.MustCompile(`\t*elements = \{[^}]*\}`)

// ReadKernel returns all that podlane programs in a node's kernel. The operator's tools print it, one item a line.
func ReadKernel(ctx context.Context, n *lab.Node) (string, error) {
	out, err := n.Run(ctx, "sh", "-c", kernelScript)
	out = elements.ReplaceAllStringFunc(out, func(list string) string {
		items := strings.Fields(strings.Trim(strings.TrimPrefix(strings.TrimLeft(list, "\t"), "elements = "), "{ }"))
		return "element " + strings.Join(items, "\nelement ")
	})
	out = strings.ReplaceAll(out, ",\n", "\n")
	return indexes.ReplaceAllString(out, ""), err
}

// KernelOf is ReadKernel that ends the test on an error.
func KernelOf(t *testing.T, n *lab.Node) string {
	t.Helper()
	text, err := ReadKernel(Within(t), n)
	Check(t, err)
	return text
}

// AwaitBridges waits until the nodes' firewalls have the bridge of the first pod. podlaned adds it after the kernel's
// notification. A test that starts earlier would see that write.
func AwaitBridges(t *testing.T, nodes ...*lab.Node) {
	t.Helper()
	for _, n := range nodes {
		Until(t, time.Second, n.Name+": the firewall knows the bridge", func() (bool, string) {
			set := Run(t, n.Place, "nft list set inet podlane pod_interfaces")
			return strings.Contains(set, `"cni0"`), set
		})
	}
}

// ExpectKernel compares a node's kernel with want and reports the differences.
func ExpectKernel(t *testing.T, n *lab.Node, want string) {
	t.Helper()
	if got := KernelOf(t, n); got != want {
		t.Errorf("the kernel of %s differs:\n%s", n.Name, Differences(want, got))
	}
}

// Differences returns the lines that only one of two texts has.
func Differences(before, after string) string {
	var b strings.Builder
	only := func(mark, text, other string) {
		lines := strings.Split(other, "\n")
		for line := range strings.Lines(text) {
			if line = strings.TrimRight(line, "\n"); !slices.Contains(lines, line) {
				b.WriteString(mark + line + "\n")
			}
		}
	}
	only("- ", before, after)
	only("+ ", after, before)
	if b.Len() == 0 && before != after {
		return "the same lines in another order, or another number of times"
	}
	return b.String()
}
