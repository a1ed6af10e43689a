package vxlan

import (
	"strings"
	"testing"

	"github.com/podlane/podlane/subnet"
)

// TestDeviceAttributeChanges changes each attribute of a VXLAN device. Harmful changes are repaired, in place if the
// kernel can do that. Harmless ones, such as marks, belong to the operator.
func TestDeviceAttributeChanges(t *testing.T) {
	for name, c := range map[string]struct{ command, want string }{
		"ttl":               {"ip link set podlane.1 type vxlan ttl 1", "set link podlane.1 ttl auto (drift)"},
		"don't fragment":    {"ip link set podlane.1 type vxlan df set", "set link podlane.1 df unset (drift)"},
		"df of the packet":  {"ip link set podlane.1 type vxlan df inherit", "set link podlane.1 df unset (drift)"},
		"a remote":          {"ip link set podlane.1 type vxlan remote 198.18.0.9", "set link podlane.1 remote 0.0.0.0 (drift)"},
		"several at once":   {"ip link set podlane.1 type vxlan ttl 1 df set learning local 198.18.0.9", localRewritten("set link podlane.1 local 198.18.0.1 (drift)\nset link podlane.1 nolearning (drift)\nset link podlane.1 ttl auto (drift)\nset link podlane.1 df unset (drift)", "podlane.1", map[string]string{"4e:3f:c8:0a:91:05": "198.18.0.2", "e6:ad:78:43:1a:d0": "198.18.0.3"})},
		"protodown":         {"ip link set podlane.1 protodown on", "set link podlane.1 protodown off (drift)"},
		"protodown, reason": {"ip link set podlane.1 protodown on\nip link set podlane.1 protodown_reason 3 on", "set link podlane.1 protodown off (drift)"},
		"arp off":           {"ip link set podlane.1 arp off", "set link podlane.1 arp on (drift)" + driftNeighbours},
		"arp off, pinged":   {"ip link set podlane.1 arp off\nip neigh replace 10.5.2.0 dev podlane.1 nud noarp", "set link podlane.1 arp on (drift)" + driftNeighbours},
		"bound":             {"ip link set podlane.1 type vxlan dev u0", deviceRecreated()},
		"tos":               {"ip link set podlane.1 type vxlan tos 0x10", ""},
		"ageing":            {"ip link set podlane.1 type vxlan ageing 5", ""},
		"promisc":           {"ip link set podlane.1 promisc on", ""},
		"allmulticast":      {"ip link set podlane.1 allmulticast on", ""},
		"multicast off":     {"ip link set podlane.1 multicast off", ""},
		"broadcast":         {"ip link set podlane.1 broadcast 02:00:00:00:00:01", strings.TrimSpace(driftNeighbours)},
		"group of devices":  {"ip link set podlane.1 group 7", ""},
		"queue length":      {"ip link set podlane.1 txqueuelen 7", ""},
		"alias":             {"ip link set podlane.1 alias overlay", ""},
		"mode":              {"ip link set podlane.1 mode dormant", ""},
		"queueing":          {"tc qdisc add dev podlane.1 root pfifo", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newNode(t, network(t, configIPv4, ""))
			d.apply(leases(3))
			for command := range strings.Lines(c.command) {
				d.run(command)
			}
			wantOps(t, d.apply(leases(3)).Ops, c.want)
			d.wantInSync(leases(3))
			if got := d.run("ip -d link show podlane.1"); strings.Contains(got, "remote") || strings.Contains(got, "NO-CARRIER") {
				t.Error(got)
			}
		})
	}
}

// deviceRecreated returns the operations that replace a wrong device and restore everything on it.
func deviceRecreated() string {
	return "delete link podlane.1 type vxlan id 1 dstport 8472 local 198.18.0.1 mtu 1450 address 8e:ca:98:f1:de:ac (drift)\n" +
		strings.ReplaceAll(strings.TrimSpace(startOps), "\n", " (drift)\n") + " (drift)"
}

// Some attributes are fixed when a device is created. A device with our name and a harmful attribute is created
// again.
func TestDeviceMadeWithOtherAttributes(t *testing.T) {
	for attributes, harms := range map[string]bool{
		"id 1": false, "external": true, "id 2": true, "id 1 dev u0": true, "id 1 ttl inherit": true, "id 1 proxy": true, "id 1 rsc": true, "id 1 l2miss": true, "id 1 l3miss": true, "id 1 noudpcsum": true,
		"id 1 udp6zerocsumtx": true, "id 1 udp6zerocsumrx": true, "id 1 remcsumtx": true, "id 1 remcsumrx": true, "id 1 maxaddress 2": true,
		"id 1 gbp": true, "id 1 srcport 40000 50000": false, "id 1 ageing 5": false, "id 1 tos inherit": false,
	} {
		t.Run(attributes, func(t *testing.T) {
			d := newNode(t, network(t, configIPv4, ""))
			d.run("ip link add podlane.1 mtu 1450 address 8e:ca:98:f1:de:ac type vxlan dstport 8472 local 198.18.0.1 nolearning " + attributes)
			index := d.index("podlane.1")
			d.apply(leases(4))
			if created := d.index("podlane.1") != index; created != harms {
				t.Errorf("created again: %v, want %v", created, harms)
			}
			d.wantInSync(leases(4))
		})
	}
}

func TestIPv6DeviceAttributeChanges(t *testing.T) {
	for name, c := range map[string]struct{ command, want string }{
		"a remote":   {"ip link set podlane-v6.1 type vxlan remote 2001:db8::9", "set link podlane-v6.1 remote :: (drift)"},
		"ttl":        {"ip link set podlane-v6.1 type vxlan ttl 1", "set link podlane-v6.1 ttl auto (drift)"},
		"flow label": {"ip link set podlane-v6.1 type vxlan flowlabel 5", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newNode(t, network(t, configIPv6, ""))
			d.apply(leases(3))
			d.run(c.command)
			wantOps(t, d.apply(leases(3)).Ops, c.want)
			d.wantInSync(leases(3))
		})
	}
}

// The kernel refuses a multicast address as MAC. Everything else is programmed all the same.
func TestKernelRefusesAnAttribute(t *testing.T) {
	d := newNode(t, network(t, configIPv4, ""))
	d.apply(leases(2))
	d.self.IPv4.MAC = subnet.MAC{1, 0, 0, 0, 0, 1}
	for range 2 {
		r, err := d.try(leases(4))
		if err != nil || r.Peers != 3 || len(r.Failed) != 1 || r.Failed[0].Op.Object != "link podlane.1 address 01:00:00:00:00:01" {
			t.Errorf("%d peers, failed %v, %v", r.Peers, r.Failed, err)
		}
	}
	d.self = lease(1)
	d.apply(leases(4))
	d.wantInSync(leases(4))
}
