package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
)

// Recreation deletes an interface of a node and creates it again with the same settings, but with another index.
type Recreation struct {
	Interface string
	Own       bool   // the interface is podlaned's
	cable     bool   // the interface is the node's end of its cable
	script    string // runs on the node
}

// Recreations are those of the underlay interface, the pods' bridge and both devices of the overlay.
var Recreations = []Recreation{
	{Interface: "eth0", script: recreateUnderlay, cable: true},
	{Interface: "cni0", script: recreateBridge},
	{Interface: "podlane.1", script: strings.NewReplacer("DEV", "podlane.1", "FAMILY", "-4").Replace(recreateDevice), Own: true},
	{Interface: "podlane-v6.1", script: strings.NewReplacer("DEV", "podlane-v6.1", "FAMILY", "-6").Replace(recreateDevice), Own: true},
}

// Do deletes the interface and creates it again. podlaned creates its own interfaces, unless it is paused. If possible, Do adds
// the routes last. So no packet uses the interface too early.
func (r Recreation) Do(t *testing.T, n *lab.Node, paused bool) {
	t.Helper()
	if r.Own && !paused {
		Run(t, n.Place, "ip link delete "+r.Interface)
		return
	}
	if r.cable {
		RunInSandbox(t, "ip link delete "+n.Name)
		RunInSandbox(t, fmt.Sprintf("ip link add %s type veth peer name eth0 address 02:00:00:00:00:%02x netns %[1]s", n.Name, n.Index))
		RunInSandbox(t, fmt.Sprintf("ip link set %s up master underlay0", n.Name))
	}
	RunScript(t, n.Place, strings.NewReplacer("ADDR4", n.Addr.String(), "ADDR6", n.Addr6.String()).Replace(r.script))
}

const recreateUnderlay = `
ip address add ADDR4/16 dev eth0
ip address add ADDR6/64 dev eth0 nodad
ip link set eth0 up
ip route replace default via 198.18.0.1
ip -6 route replace default via fd98:18::1`

// The new bridge has the same MAC address and addresses, because the pods have a neighbour entry for it. Its ports are the same.
const recreateBridge = `
mac=$(ip -o link show cni0 | sed 's/.*link.ether \([^ ]*\).*/\1/')
addrs=$(ip -o address show dev cni0 scope global | awk '{print $4}')
ports=$(ip -o link show master cni0 | sed 's/^[0-9]*: \([^:@]*\).*/\1/')
ip link delete cni0
ip link add cni0 address $mac type bridge
for a in $addrs; do case $a in *:*) ip address add $a dev cni0 nodad;; *) ip address add $a dev cni0;; esac; done
for p in $ports; do ip link set $p master cni0; done
ip link set cni0 up`

// The new VXLAN device has the same settings, neighbours, FDB entries and routes.
const recreateDevice = `
link=$(ip -d -o link show DEV)
mac=$(echo "$link" | sed 's/.*link.ether \([^ ]*\).*/\1/')
mtu=$(echo "$link" | sed 's/.* mtu \([0-9]*\).*/\1/')
local=$(echo "$link" | sed 's/.* local \([^ ]*\).*/\1/')
addr=$(ip -o FAMILY address show dev DEV scope global | awk '{print $4}')
neighbours=$(ip FAMILY neigh show dev DEV | awk '/PERMANENT/ {print "neigh add", $1, "lladdr", $3, "nud permanent dev DEV"}')
fdb=$(bridge fdb show dev DEV | awk '/ dst / {print "fdb append", $1, "dst", $3, "self permanent dev DEV"}')
routes=$(ip FAMILY route show dev DEV proto 112 | sed 's/^/route add /; s/$/ proto 112 dev DEV/')
ip link delete DEV
ip link add DEV address $mac mtu $mtu type vxlan id 1 dstport 8472 local $local nolearning
ip link set DEV addrgenmode none
ip FAMILY address add $addr dev DEV
ip link set DEV up
echo "$neighbours" | ip FAMILY -batch -
echo "$fdb" | bridge -batch -
echo "$routes" | ip FAMILY -batch -`

// AwaitIndex waits until a node's table has a rule for the current index of an interface.
func AwaitIndex(t *testing.T, n *lab.Node, name string) Elapsed {
	t.Helper()
	return Until(t, time.Second, n.Name+": the table has the index of "+name, func() (bool, string) {
		table := Run(t, n.Place, "nft list table inet podlane")
		return HasIndex(table, name), table
	})
}

// HasIndex reports whether a table has a rule for the current index of an interface. nft prints an index as a name if an interface
// has it.
func HasIndex(table, name string) bool {
	return strings.Contains(table, fmt.Sprintf("iif %q goto", name))
}

// Drops returns how many packets a node's table has dropped, by reason.
func Drops(t *testing.T, n *lab.Node) map[string]int {
	t.Helper()
	drops := map[string]int{}
	for line := range strings.Lines(Run(t, n.Place, "nft list table inet podlane")) {
		_, rest, found := strings.Cut(line, "counter packets ")
		if !found {
			continue
		}
		var packets, bytes int
		var reason string
		if _, err := fmt.Sscanf(rest, "%d bytes %d drop comment %q", &packets, &bytes, &reason); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		drops[reason] += packets
	}
	return drops
}
