package promises

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
)

// kernelScript prints all that podlane keeps in a node's kernel, by the operator's tools.
const kernelScript = `
for d in $(ip -o link show type vxlan | sed -n 's/^[0-9]*: \(p[^:@]*\).*/\1/p'); do
	ip -o -d link show dev $d
	ip -o address show dev $d
	bridge fdb show dev $d
	ip neigh show dev $d
	ip -6 neigh show dev $d
	sysctl -e net.ipv4.conf.$(echo $d | tr . /).rp_filter net.ipv4.conf.$(echo $d | tr . /).forwarding
done
ip -4 route show table all | grep 'proto 112'
ip -6 route show table all | grep 'proto 112'
sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding
nft -s list table inet podlane
nft -s list ruleset | sed -n '/chain FORWARD/,/}/p'
`

// indexes are the numbers of devices, which a device that is made again has another of.
var indexes = regexp.MustCompile(`(?m)^\d+: `)

func readKernel(ctx context.Context, n *lab.Node) (string, error) {
	out, err := n.Run(ctx, "sh", "-c", kernelScript)
	return indexes.ReplaceAllString(out, ""), err
}

// kernelOf is all that podlane keeps in a node's kernel.
func kernelOf(t *testing.T, n *lab.Node) string {
	t.Helper()
	text, err := readKernel(within(t), n)
	check(t, err)
	return text
}

func expectKernel(t *testing.T, n *lab.Node, want string) {
	t.Helper()
	if got := kernelOf(t, n); got != want {
		t.Errorf("the kernel of %s differs:\n%s", n.Name, differences(want, got))
	}
}

// differences is the lines that only one of two texts has.
func differences(before, after string) string {
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
