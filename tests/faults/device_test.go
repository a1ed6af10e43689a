package faults

import "testing"

// Another program changes the VXLAN devices, or settings that they need.
var deviceFaults = disturbances([]disturbance{
	{"IPv4 device deleted", "device", "add link podlane.1", peers4, 2 * second, []string{"ip link del podlane.1"}},
	{"IPv6 device deleted", "device", "add link podlane-v6.1", peers6, 2 * second, []string{"ip link del podlane-v6.1"}},
	{"both devices deleted", "device", "add link podlane.1", peers, 2 * second, []string{"ip link del podlane.1", "ip link del podlane-v6.1"}},
	{"device renamed", "device", "device", peers4, 2 * second, []string{"ip link set podlane.1 down name vx0"}},
	{"IPv4 device down", "device", "podlane.1 up", peers4, second, []string{"ip link set podlane.1 down"}},
	{"IPv6 device down, which takes its address", "device", "podlane-v6.1 up", peers6, second, []string{"ip link set podlane-v6.1 down"}},
	{"IPv4 device down and up", "route", "route", peers4, 2 * second, []string{"ip link set podlane.1 down", "ip link set podlane.1 up"}},
	{"IPv6 device down and up", "route", "route", peers6, 2 * second, []string{"ip link set podlane-v6.1 down", "ip link set podlane-v6.1 up"}},
	{"IPv4 device's address deleted", "address", "OWN4/32", peers4, second, []string{"ip address del OWN4/32 dev podlane.1"}},
	{"IPv6 device's address deleted", "address", "OWN6/128", peers6, second, []string{"ip address del OWN6/128 dev podlane-v6.1"}},
	{"IPv4 device's addresses flushed", "address", "OWN4/32", peers4, 2 * second, []string{"ip address flush dev podlane.1"}},
	{"IPv6 device's addresses flushed", "address", "OWN6/128", peers6, 2 * second, []string{"ip address flush dev podlane-v6.1"}},
	{"device with an address too many", "address", "address 10.77.0.1/24", nothing, second, []string{"ip address add 10.77.0.1/24 dev podlane.1"}},
	{"IPv4 device's MTU changed", "device", "mtu 1430", nothing, second, []string{"ip link set podlane.1 mtu 1400"}},
	{"IPv6 device's MTU changed", "device", "mtu 1430", nothing, second, []string{"ip link set podlane-v6.1 mtu 1400"}},
	{"IPv4 device's MAC changed", "device", "podlane.1 address", peers4, second, []string{"ip link set podlane.1 address 02:00:00:00:00:98"}},
	{"IPv6 device's MAC changed", "device", "podlane-v6.1 address", peers6, second, []string{"ip link set podlane-v6.1 address 02:00:00:00:00:98"}},
	{"IPv4 device's local address changed", "device", "podlane.1 local", peers4, second, []string{"ip link set podlane.1 type vxlan local 198.18.1.3"}},
	{"IPv6 device's local address changed", "device", "podlane-v6.1 local", peers6, second, []string{"ip link set podlane-v6.1 type vxlan local fd98:18::103"}},
	{"device in a bridge", "device", "podlane.1 nomaster", peers4, second, []string{"ip link set podlane.1 master cni0"}},
	{"device without ARP", "device", "arp on", peers4, second, []string{"ip link set podlane.1 arp off"}},
	{"device learns", "device", "nolearning", nothing, second, []string{"ip link set podlane.1 type vxlan learning"}},
	{"device's reverse path filter strict", "device", "rp_filter", nothing, second, []string{"sysctl -w net/ipv4/conf/podlane.1/rp_filter=1"}},
	{"device with a link-local address", "device", "addrgenmode", nothing, second, []string{"ip link set podlane-v6.1 addrgenmode eui64"}},
	{"IPv4 forwarding off", "sysctl", "ip_forward", peers4, second, []string{"sysctl -w net.ipv4.ip_forward=0"}},
	{"IPv6 forwarding off", "sysctl", "ipv6.conf.all.forwarding", peers6, second, []string{"sysctl -w net.ipv6.conf.all.forwarding=0"}},
})

func TestDevice(t *testing.T) { runFaultsAround(t, deviceFaults) }
