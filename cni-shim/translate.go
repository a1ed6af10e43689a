package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"github.com/podlane/podlane/subnet"
)

// translate returns the delegate's configuration on a node. The keys below are defaults: keys of the runtime and of the
// user replace them.
func (c config) translate(n subnet.NodeFile) ([]byte, error) {
	ipam, err := c.translateIPAM(n)
	if err != nil {
		return nil, err
	}
	defaults := map[string]any{
		"mtu": n.MTU,
		// bridge would also masquerade packets to other nodes' pods. podlaned masquerades, because it knows which
		// addresses are pods'. If it does not, the operator turned that off.
		"ipMasq": false,
	}
	if c.plugin == bridge {
		layer3 := string(c.keys["isGateway"]) != "false" // isDefaultGateway would override it
		defaults["isGateway"] = true
		// Pods reach the outside through the node. flannel sets this in its list, which every user copies.
		defaults["isDefaultGateway"] = layer3
		// A pod can reach itself through its service's address. The bridge plugin refuses this with promiscMode.
		defaults["hairpinMode"] = string(c.keys["promiscMode"]) != "true"
	}
	keys := c.keys.withDefaults(defaults)
	keys["type"], keys["ipam"] = c.plugin, ipam
	conf, err := json.Marshal(keys)
	if err != nil {
		return nil, fmt.Errorf("write the configuration of %s: %w", c.plugin, err)
	}
	return conf, nil
}

// translateIPAM returns the delegate's "ipam". Only host-local gets the node's pod subnets. Other IPAM plugins have their
// own source of addresses.
func (c config) translateIPAM(n subnet.NodeFile) (map[string]any, error) {
	if c.ipamType != hostLocal {
		return c.ipam.withDefaults(map[string]any{"type": c.ipamType}), nil
	}
	routes, err := c.routes(n)
	if err != nil {
		return nil, err
	}
	defaults := map[string]any{}
	if _, own := c.ipam["subnet"]; !own { // the old form of a single range
		defaults["ranges"] = ranges(n)
	}
	ipam := c.ipam.withDefaults(defaults)
	ipam["type"], ipam["routes"] = hostLocal, routes
	return ipam, nil
}

type ipRange struct {
	Subnet netip.Prefix `json:"subnet"`
}

type route struct {
	Dst netip.Prefix `json:"dst"`
}

// ranges returns one range set for each family. A pod gets one address from each set.
func ranges(n subnet.NodeFile) (sets [][]ipRange) {
	for _, f := range subnet.Families {
		if half := n.Subnet.Half(f); half.IsValid() {
			sets = append(sets, []ipRange{{half}})
		}
	}
	return sets
}

// routes returns the user's routes, and one to the whole pod network in each family. The default route leads there too.
// But another plugin may replace that (a second network, a VPN), and pods must still reach pods.
func (c config) routes(n subnet.NodeFile) ([]any, error) {
	var own []json.RawMessage
	var known []route
	if raw, ok := c.ipam["routes"]; ok && (json.Unmarshal(raw, &own) != nil || json.Unmarshal(raw, &known) != nil) {
		return nil, invalid("%q is %.60s, not a list of routes like {\"dst\": \"10.0.0.0/8\"}", "ipam.routes", raw)
	}
	all := []any{}
	for _, r := range own {
		all = append(all, r)
	}
	for _, f := range subnet.Families {
		network := n.Network.Half(f)
		same := func(r route) bool { return r.Dst.Masked() == network }
		if network.IsValid() && !slices.ContainsFunc(known, same) { // the kernel refuses a duplicate route
			all = append(all, route{network})
		}
	}
	return all, nil
}
