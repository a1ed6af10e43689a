package promises

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
)

// disturbance is what somebody else may do to a node's kernel. The repairs that status names have to speak of a word.
type disturbance struct {
	name, word string
	limit      time.Duration
	commands   []string // PEER is the first address of the peer's pod subnet, MAC its VTEP's, OWN the node's own first
}

var disturbances = []disturbance{
	{"route deleted", "route PEER/24", second, []string{"ip route del PEER/24"}},
	{"route changed", "route PEER/24", second, []string{"ip route change PEER/24 via 198.18.1.3 dev eth0 proto 112 metric METRIC"}},
	{"routes flushed", "route", second, []string{"ip route flush proto 112"}},
	{"route left over", "route 10.99.0.0/16", second, []string{"ip route add 10.99.0.0/16 via PEER dev podlane.1 onlink proto 112"}},
	{"FDB entry deleted", "MAC", second, []string{"bridge fdb del MAC dev podlane.1 dst 198.18.1.2"}},
	{"FDB entry changed", "MAC", second, []string{"bridge fdb replace MAC dev podlane.1 dst 198.18.1.77"}},
	{"FDB entry left over", "02:00:00:00:00:99", second, []string{"bridge fdb append 02:00:00:00:00:99 dev podlane.1 dst 198.18.1.77"}},
	{"neighbour deleted", "neigh PEER", second, []string{"ip neigh del PEER dev podlane.1"}},
	{"neighbour changed", "neigh PEER", second, []string{"ip neigh replace PEER lladdr 02:00:00:00:00:99 nud permanent dev podlane.1"}},
	{"neighbours flushed", "neigh", second, []string{"ip neigh flush dev podlane.1 nud permanent"}},
	{"device deleted", "podlane.1", 2 * second, []string{"ip link del podlane.1"}},
	{"device down", "podlane.1 up", second, []string{"ip link set podlane.1 down"}},
	{"device's address deleted", "OWN/32", second, []string{"ip address del OWN/32 dev podlane.1"}},
	{"device's MTU changed", "mtu 1450", second, []string{"ip link set podlane.1 mtu 1400"}},
	{"device's MAC changed", "podlane.1 address", second, []string{"ip link set podlane.1 address 02:00:00:00:00:98"}},
	{"device's local address changed", "podlane.1 local", second, []string{"ip link set podlane.1 type vxlan local 198.18.1.3"}},
	{"device in a bridge", "podlane.1 nomaster", second, []string{"ip link set podlane.1 master cni0"}},
	{"device's reverse path filter strict", "rp_filter", second, []string{"sysctl -w net/ipv4/conf/podlane.1/rp_filter=1"}},
	{"nft table flushed", "rule inet podlane", second, []string{"nft flush table inet podlane"}},
	{"nft table deleted", "table inet podlane", second, []string{"nft delete table inet podlane"}},
	{"nft ruleset flushed", "table inet podlane", second, []string{"nft flush ruleset"}},
	{"nft rule added", "rule inet podlane", second, []string{"nft add rule inet podlane postrouting ip saddr OWN accept"}},
	{"forwarding off", "ip_forward", second, []string{"sysctl -w net.ipv4.ip_forward=0"}},
	{"all at once", "podlane.1", 2 * second, []string{
		"ip link del podlane.1", "nft flush ruleset", "ip route add PEER/24 dev lo proto 112 metric 1"}},
}

var disturbances6 = []disturbance{
	{"route deleted", "route PEER/64", second, []string{"ip route del PEER/64"}},
	{"routes flushed", "route", second, []string{"ip -6 route flush proto 112"}},
	{"FDB entry deleted", "MAC", second, []string{"bridge fdb del MAC dev podlane-v6.1 dst fd98:18::102"}},
	{"neighbour deleted", "neigh PEER", second, []string{"ip neigh del PEER dev podlane-v6.1"}},
	{"device deleted", "podlane-v6.1", 2 * second, []string{"ip link del podlane-v6.1"}},
	{"device down, which takes its IPv6 address", "podlane-v6.1 up", second, []string{"ip link set podlane-v6.1 down"}},
	{"device's address deleted", "OWN/128", second, []string{"ip address del OWN/128 dev podlane-v6.1"}},
	{"device with a link-local address", "addrgenmode", second, []string{"ip link set podlane-v6.1 addrgenmode eui64"}},
	{"forwarding off", "ipv6.conf.all.forwarding", second, []string{"sysctl -w net.ipv6.conf.all.forwarding=0"}},
	{"nft table deleted", "table inet podlane", second, []string{"nft delete table inet podlane"}},
}

const (
	second  = time.Second
	within5 = 5 * time.Second // for what is not promised within a time
)

func TestDisturbedKernelIsPutRight(t *testing.T) {
	l := start(t, lab.Options{Nodes: 2}, 1)
	expectRepairs(t, l, 0, disturbances)
}

func TestDisturbedKernelIsPutRightInIPv6(t *testing.T) {
	l := start(t, lab.Options{Nodes: 2, IPv6: true, Config: dualStack}, 1)
	expectRepairs(t, l, 1, disturbances6)
}

// expectRepairs disturbs the first of two nodes. The pods speak by the address with that index.
func expectRepairs(t *testing.T, l *lab.Lab, address int, list []disturbance) {
	t.Helper()
	awaitPeers(t, l, within5, 1)
	n, from, to := l.Nodes[0], l.Pods()[0], l.Pods()[1]
	names := namesOf(t, n, l.Nodes[1], to.Addrs[address])
	mirror := newMirror(t, to.Place, netip.AddrPortFrom(to.Addrs[address], 0))
	want := kernelOf(t, n)
	for _, d := range list {
		t.Run(d.name, func(t *testing.T) {
			before, err := statusOf(within(t), n)
			check(t, err)
			for _, c := range d.commands {
				run(t, n.Place, names.Replace(c))
			}
			took := until(t, 5*d.limit, "the kernel is as it was", func() (bool, string) {
				now, err := readKernel(within(t), n)
				return err == nil && now == want, differences(want, now)
			})
			t.Logf("put right after %v", took)
			if took.least > d.limit {
				t.Errorf("that is more than %v", d.limit)
			}
			if err := sees(within(t), from.Place, mirror, from.Addrs[address]); err != nil {
				t.Error(err)
			}
			word := names.Replace(d.word)
			awaitStatus(t, n, within5, "a repair that speaks of "+word, func(s status) bool {
				return s.Ready && s.Repaired > before.Repaired && speaks(s, word)
			})
		})
	}
}

// speaks tells whether one of the last repairs speaks of a word: what was repaired in two passes is two repairs.
func speaks(s status, word string) bool {
	for _, r := range s.Repairs[max(0, len(s.Repairs)-3):] {
		if strings.Contains(r.What, word) {
			return true
		}
	}
	return false
}

// namesOf fills in what the commands of the disturbances name.
func namesOf(t *testing.T, n, peer *lab.Node, family netip.Addr) *strings.Replacer {
	t.Helper()
	a := overlayAddr(t, peer, family)
	show := map[bool]string{true: "ip route show %s/24", false: "ip -6 route show %s/64"}[a.Is4()]
	route := strings.Fields(run(t, n.Place, fmt.Sprintf(show, a)))
	neighbour := strings.Fields(run(t, n.Place, "ip neigh show "+a.String()))
	return strings.NewReplacer("PEER", a.String(), "OWN", overlayAddr(t, n, family).String(),
		"MAC", after(t, neighbour, "lladdr"), "METRIC", after(t, route, "metric"))
}

// after is the word that follows a word.
func after(t *testing.T, words []string, word string) string {
	t.Helper()
	for i, w := range words[:max(0, len(words)-1)] {
		if w == word {
			return words[i+1]
		}
	}
	t.Fatalf("no %s in %q", word, words)
	return ""
}
