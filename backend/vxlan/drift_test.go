package vxlan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// The operations that restore what is lost with the device, when it is created again or was down.
const (
	driftNeighbours = `
		add neigh 10.5.2.0 lladdr 4e:3f:c8:0a:91:05 dev podlane.1 (drift)
		add neigh 10.5.3.0 lladdr e6:ad:78:43:1a:d0 dev podlane.1 (drift)`
	driftFDB = `
		add fdb 4e:3f:c8:0a:91:05 dst 198.18.0.2 dev podlane.1 (drift)
		add fdb e6:ad:78:43:1a:d0 dst 198.18.0.3 dev podlane.1 (drift)`
	driftRoutes = `
		add route 10.5.2.0/24 via 10.5.2.0 dev podlane.1 proto 112 metric 131074 onlink (drift)
		add route 10.5.3.0/24 via 10.5.3.0 dev podlane.1 proto 112 metric 131075 onlink (drift)`
	ours = "route 10.5.2.0/24 via 10.5.2.0 dev podlane.1 proto 112 metric 131074 onlink"
)

// TestDriftIsRepaired changes the kernel in every possible way and checks what the next Apply does.
func TestDriftIsRepaired(t *testing.T) {
	for name, c := range map[string]struct {
		disturb string // commands
		want    string // operations
	}{
		"route deleted":          {"ip route del 10.5.2.0/24", "add " + ours + " (drift)"},
		"route to another place": {"ip route replace 10.5.2.0/24 via 10.5.3.0 dev podlane.1 proto 112 metric 131074 onlink", "replace " + ours + " (drift)"},
		"route without its mark": {"ip route replace 10.5.2.0/24 via 10.5.2.0 dev podlane.1 metric 131074 onlink", "add " + ours + " (drift)"},
		"route through another":  {"ip route replace 10.5.2.0/24 via 198.18.0.9 dev u0 proto 112 metric 131074", "replace " + ours + " (drift)"},
		"route with a source":    {"ip route replace 10.5.2.0/24 via 10.5.2.0 dev podlane.1 proto 112 metric 131074 onlink src 10.5.1.0", "replace " + ours + " (drift)"},
		"route with an MTU":      {"ip route replace 10.5.2.0/24 via 10.5.2.0 dev podlane.1 proto 112 metric 131074 onlink mtu 1300", "replace " + ours + " (drift)"},
		"route is a blackhole":   {"ip route replace blackhole 10.5.2.0/24 proto 112 metric 131074", "replace " + ours + " (drift)"},
		"route of several hops":  {"ip route replace 10.5.2.0/24 proto 112 metric 131074 nexthop via 198.18.0.8 dev u0 nexthop via 198.18.0.9 dev u0", "replace " + ours + " (drift)"},
		"a second of the key":    {"ip route append 10.5.2.0/24 via 198.18.0.9 dev u0 proto 112 metric 131074", "delete route 10.5.2.0/24 via 198.18.0.9 dev u0 proto 112 metric 131074 (drift)"},
		"a first of the key":     {"ip route prepend 10.5.2.0/24 via 198.18.0.9 dev u0 proto 112 metric 131074", "delete " + ours + " (drift)\nreplace " + ours + " (drift)"},
		"a route too many":       {"ip route add 10.9.0.0/24 via 198.18.0.9 dev u0 proto 112", "delete route 10.9.0.0/24 via 198.18.0.9 dev u0 proto 112 metric 0 (drift)"},
		"a route for a service":  {"ip route add 10.5.2.0/24 tos 0x10 via 198.18.0.9 dev u0 proto 112", "delete route 10.5.2.0/24 tos 0x10 via 198.18.0.9 dev u0 proto 112 metric 0 (drift)"},
		"neighbour deleted":      {"ip neigh del 10.5.2.0 dev podlane.1", "add neigh 10.5.2.0 lladdr 4e:3f:c8:0a:91:05 dev podlane.1 (drift)"},
		"neighbour elsewhere":    {"ip neigh replace 10.5.2.0 lladdr 02:00:00:00:00:99 dev podlane.1 nud permanent", "replace neigh 10.5.2.0 lladdr 4e:3f:c8:0a:91:05 dev podlane.1 (drift)"},
		"neighbour ages":         {"ip neigh replace 10.5.2.0 lladdr 4e:3f:c8:0a:91:05 dev podlane.1 nud reachable", "replace neigh 10.5.2.0 lladdr 4e:3f:c8:0a:91:05 dev podlane.1 (drift)"},
		"neighbour failed":       {"ip neigh change 10.5.2.0 dev podlane.1 nud failed", "add neigh 10.5.2.0 lladdr 4e:3f:c8:0a:91:05 dev podlane.1 (drift)"},
		"neighbour too many":     {"ip neigh add 10.5.9.0 lladdr 02:00:00:00:00:99 dev podlane.1 nud permanent", "delete neigh 10.5.9.0 lladdr 02:00:00:00:00:99 dev podlane.1 (drift)"},
		"neighbours flushed":     {"ip neigh flush dev podlane.1 nud permanent", driftNeighbours},
		"fdb deleted":            {"bridge fdb del 4e:3f:c8:0a:91:05 dev podlane.1 self", "add fdb 4e:3f:c8:0a:91:05 dst 198.18.0.2 dev podlane.1 (drift)"},
		"fdb elsewhere":          {"bridge fdb replace 4e:3f:c8:0a:91:05 dst 198.18.0.9 dev podlane.1 self permanent", "replace fdb 4e:3f:c8:0a:91:05 dst 198.18.0.2 dev podlane.1 (drift)"},
		"fdb with another port":  {"bridge fdb replace 4e:3f:c8:0a:91:05 dst 198.18.0.2 port 4789 dev podlane.1 self permanent", "replace fdb 4e:3f:c8:0a:91:05 dst 198.18.0.2 dev podlane.1 (drift)"},
		"fdb with another VNI":   {"bridge fdb replace 4e:3f:c8:0a:91:05 dst 198.18.0.2 vni 9 dev podlane.1 self permanent", "replace fdb 4e:3f:c8:0a:91:05 dst 198.18.0.2 dev podlane.1 (drift)"},
		"fdb through a device":   {"bridge fdb replace 4e:3f:c8:0a:91:05 dst 198.18.0.2 via u0 dev podlane.1 self permanent", "replace fdb 4e:3f:c8:0a:91:05 dst 198.18.0.2 dev podlane.1 (drift)"},
		"fdb ages":               {"bridge fdb replace 4e:3f:c8:0a:91:05 dst 198.18.0.2 dev podlane.1 self dynamic", "replace fdb 4e:3f:c8:0a:91:05 dst 198.18.0.2 dev podlane.1 (drift)"},
		"fdb too many":           {"bridge fdb add 02:00:00:00:00:99 dst 198.18.0.9 dev podlane.1 self permanent", "delete fdb 02:00:00:00:00:99 dst 198.18.0.9 dev podlane.1 (drift)"},
		"fdb learned":            {"bridge fdb add 02:00:00:00:00:99 dst 198.18.0.9 dev podlane.1 self dynamic", "delete fdb 02:00:00:00:00:99 dev podlane.1 (drift)"},
		"fdb default":            {"bridge fdb append 00:00:00:00:00:00 dst 198.18.0.9 dev podlane.1 self permanent", "delete fdb 00:00:00:00:00:00 dst 198.18.0.9 dev podlane.1 (drift)"},
		"fdb defaults":           {"bridge fdb append 00:00:00:00:00:00 dst 198.18.0.8 dev podlane.1 self permanent\nbridge fdb append 00:00:00:00:00:00 dst 198.18.0.9 dev podlane.1 self permanent", "delete fdb 00:00:00:00:00:00 dev podlane.1 (drift)"},
		"fdb multicast":          {"bridge fdb append 33:33:00:00:00:01 dst 198.18.0.9 dev podlane.1 self permanent", "delete fdb 33:33:00:00:00:01 dst 198.18.0.9 dev podlane.1 (drift)"},
		"fdb by a next hop":      {"ip nexthop add id 9 via 198.18.0.9 fdb\nip nexthop add id 10 group 9 fdb\nbridge fdb del 4e:3f:c8:0a:91:05 dev podlane.1 self\nbridge fdb add 4e:3f:c8:0a:91:05 nhid 10 dev podlane.1 self permanent", "delete fdb 4e:3f:c8:0a:91:05 dev podlane.1 (drift)\nadd fdb 4e:3f:c8:0a:91:05 dst 198.18.0.2 dev podlane.1 (drift)"},
		"address deleted":        {"ip addr del 10.5.1.0/32 dev podlane.1", "add address 10.5.1.0/32 dev podlane.1 (drift)" + driftNeighbours + driftRoutes},
		"address too many":       {"ip addr add 192.0.2.1/24 dev podlane.1", "delete address 192.0.2.1/24 dev podlane.1 (drift)"},
		"IPv6 address too many":  {"ip addr add 2001:db8:9::1/64 dev podlane.1 nodad", "delete address 2001:db8:9::1/64 dev podlane.1 (drift)"},
		"MTU":                    {"ip link set podlane.1 mtu 1300", "set link podlane.1 mtu 1450 (drift)"},
		"MAC":                    {"ip link set podlane.1 address 02:00:00:00:00:99", "set link podlane.1 address 8e:ca:98:f1:de:ac (drift)" + driftNeighbours},
		"local address":          {"ip link set podlane.1 type vxlan local 198.18.0.9", localRewritten("set link podlane.1 local 198.18.0.1 (drift)", "podlane.1", map[string]string{"4e:3f:c8:0a:91:05": "198.18.0.2", "e6:ad:78:43:1a:d0": "198.18.0.3"})},
		"learning":               {"ip link set podlane.1 type vxlan learning", "set link podlane.1 nolearning (drift)"},
		"down":                   {"ip link set podlane.1 down", "set link podlane.1 up (drift)" + driftNeighbours + driftRoutes},
		"rp_filter":              {"sysctl -qw net/ipv4/conf/podlane.1/rp_filter=1", "set link podlane.1 rp_filter loose (drift)"},
		"forwarding":             {"sysctl -qw net/ipv4/conf/podlane.1/forwarding=0", "set link podlane.1 forwarding on (drift)"},
		"port of a bridge":       {"ip link add br0 type bridge\nip link set podlane.1 master br0", "set link podlane.1 nomaster (drift)"},
		"device deleted":         {"ip link del podlane.1", strings.ReplaceAll(strings.TrimSpace(startOps), "\n", " (drift)\n") + " (drift)"},
		"another device by name": {"ip link del podlane.1\nip link add podlane.1 address 02:00:00:00:00:99 type vxlan id 1 dstport 8472 local 198.18.0.1 dev u0 nolearning", "delete link podlane.1 type vxlan id 1 dstport 8472 local 198.18.0.1 mtu 1450 address 02:00:00:00:00:99 (drift)\n" + strings.ReplaceAll(strings.TrimSpace(startOps), "\n", " (drift)\n") + " (drift)"},
		"device renamed":         {"ip link set podlane.1 down\nip link set podlane.1 name foo0\nip link set foo0 up", "delete link foo0 type vxlan id 1 dstport 8472 local 198.18.0.1 mtu 1450 address 8e:ca:98:f1:de:ac (drift)\n" + strings.ReplaceAll(strings.TrimSpace(startOps), "\n", " (drift)\n") + " (drift)"},
		"a device of ours more":  {"ip link add podlane.9 address 02:00:00:00:00:99 type vxlan id 9 dstport 8472 local 198.18.0.1 nolearning", "delete link podlane.9 type vxlan id 9 dstport 8472 local 198.18.0.1 mtu 1500 address 02:00:00:00:00:99 (drift)"},
		"nothing":                {"ip route add 10.9.0.0/24 via 198.18.0.9 dev u0", ""},
		"underlay down and up":   {"ip link set u0 down\nip link set u0 up", ""},
		"failed neighbour":       {"ip neigh replace 10.5.9.0 dev podlane.1 nud failed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newNode(t, network(t, configIPv4, ""))
			d.apply(leases(3))
			for command := range strings.Lines(c.disturb) {
				d.run(command)
			}
			r := d.apply(leases(3))
			wantOps(t, r.Ops, c.want)
			d.wantInSync(leases(3))
		})
	}
}

func TestDriftIsRepairedForIPv6(t *testing.T) {
	const ours = "route fd00:5:2::/64 via fd00:5:2:: dev podlane-v6.1 proto 112 metric 131074 onlink"
	for name, c := range map[string]struct{ disturb, want string }{
		"route deleted":        {"ip route del fd00:5:2::/64", "add " + ours + " (drift)"},
		"route is a blackhole": {"ip route replace blackhole fd00:5:2::/64 proto 112 metric 131074", "delete route fd00:5:2::/64 proto 112 metric 131074 (drift)\nreplace " + ours + " (drift)"},
		"route of two hops":    {"ip route append fd00:5:2::/64 via 2001:db8::9 dev u0 proto 112 metric 131074", "delete route fd00:5:2::/64 proto 112 metric 131074 (drift)\nreplace " + ours + " (drift)"},
		"route elsewhere":      {"ip route replace fd00:5:2::/64 via 2001:db8::9 dev u0 proto 112 metric 131074", "delete route fd00:5:2::/64 via 2001:db8::9 dev u0 proto 112 metric 131074 (drift)\nreplace " + ours + " (drift)"},
		"route without mark":   {"ip route replace fd00:5:2::/64 via fd00:5:2:: dev podlane-v6.1 metric 131074 onlink", "add " + ours + " (drift)"},
		"route too many":       {"ip route add fd00:9::/64 via 2001:db8::9 dev u0 proto 112", "delete route fd00:9::/64 via 2001:db8::9 dev u0 proto 112 metric 1024 (drift)"},
		"neighbour deleted":    {"ip neigh del fd00:5:2:: dev podlane-v6.1", "add neigh fd00:5:2:: lladdr 3e:8b:ea:97:ec:8f dev podlane-v6.1 (drift)"},
		"fdb elsewhere":        {"bridge fdb replace 3e:8b:ea:97:ec:8f dst 2001:db8::9 dev podlane-v6.1 self permanent", "replace fdb 3e:8b:ea:97:ec:8f dst 2001:db8::2 dev podlane-v6.1 (drift)"},
		"address deleted":      {"ip addr del fd00:5:1::/128 dev podlane-v6.1", "add address fd00:5:1::/128 dev podlane-v6.1 (drift)"},
		"local address":        {"ip link set podlane-v6.1 type vxlan local 2001:db8::9", localRewritten("set link podlane-v6.1 local 2001:db8::1 (drift)", "podlane-v6.1", map[string]string{"3e:8b:ea:97:ec:8f": "2001:db8::2", "c2:14:33:0d:f1:52": "2001:db8::3"})},
		"IPv6 disabled":        {"sysctl -qw net/ipv6/conf/podlane-v6.1/disable_ipv6=1", ipv6Drift},
		"link-local address":   {"ip link set podlane-v6.1 addrgenmode eui64", "set link podlane-v6.1 addrgenmode none (drift)"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newNode(t, network(t, configIPv6, ""))
			d.apply(leases(3))
			for command := range strings.Lines(c.disturb) {
				d.run(strings.Replace(command, "ip route", "ip -6 route", 1))
			}
			wantOps(t, d.apply(leases(3)).Ops, c.want)
			d.wantInSync(leases(3))
		})
	}
}

const ipv6Drift = `
	set net.ipv6.conf.podlane-v6/1.disable_ipv6 = 0 (drift)
	add address fd00:5:1::/128 dev podlane-v6.1 (drift)
	add neigh fd00:5:2:: lladdr 3e:8b:ea:97:ec:8f dev podlane-v6.1 (drift)
	add neigh fd00:5:3:: lladdr c2:14:33:0d:f1:52 dev podlane-v6.1 (drift)
	add route fd00:5:2::/64 via fd00:5:2:: dev podlane-v6.1 proto 112 metric 131074 onlink (drift)
	add route fd00:5:3::/64 via fd00:5:3:: dev podlane-v6.1 proto 112 metric 131075 onlink (drift)`

// On a hardened node IPv6 is off on new interfaces by default.
func TestIPv6IsOffByDefault(t *testing.T) {
	d := newNode(t, network(t, configBoth, ""))
	d.run("sysctl -qw net/ipv6/conf/default/disable_ipv6=1")
	d.apply(leases(3))
	d.wantInSync(leases(3))
	if got := strings.TrimSpace(d.run("cat /proc/sys/net/ipv6/conf/podlane.1/disable_ipv6")); got != "1" {
		t.Errorf("on the device for IPv4, which needs none, it is %s", got)
	}
}

// Writes for a new lease set are not drift, even if another program changed the kernel too.
func TestNewLeasesAreNotDrift(t *testing.T) {
	d := newNode(t, network(t, configIPv4, ""))
	d.apply(leases(3))
	d.run("ip neigh del 10.5.2.0 dev podlane.1")
	wantOps(t, d.apply(leases(4)[:2]).Ops[:1], `add neigh 10.5.2.0 lladdr 4e:3f:c8:0a:91:05 dev podlane.1 (drift)`)
	for _, op := range d.apply(leases(4)).Ops {
		if op.Drift {
			t.Errorf("%s is labelled as drift", op)
		}
	}
	d.configure(network(t, configIPv4, ""))
	d.run("ip neigh del 10.5.2.0 dev podlane.1")
	wantOps(t, d.apply(leases(4)).Ops, `add neigh 10.5.2.0 lladdr 4e:3f:c8:0a:91:05 dev podlane.1`)
}

// localRewritten returns the writes around a change of the local address. Before it each FDB entry is bound to the
// underlay interface, and after it unbound.
func localRewritten(change, device string, fdb map[string]string) string {
	var by, plain string
	for _, mac := range slices.Sorted(maps.Keys(fdb)) {
		entry := fmt.Sprintf("set fdb %s dst %s dev %s", mac, fdb[mac], device)
		by, plain = by+entry+" via u0\n", plain+"\n"+entry
	}
	return by + change + plain
}
