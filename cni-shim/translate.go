package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"github.com/podlane/podlane/subnet"
)

// translate is the delegate's configuration on a node. Each key below is only what stands where neither the runtime
// nor the user gives it.
func (c config) translate(n subnet.NodeFile) ([]byte, error) {
	ipam, err := c.translateIPAM(n)
	if err != nil {
		return nil, err
	}
	defaults := map[string]any{
		"mtu": n.MTU,
		// bridge would masquerade what goes to pods of other nodes too. podlaned knows which addresses are pods'; where
		// it does not masquerade, the operator wants none.
		"ipMasq": false,
	}
	if c.plugin == bridge {
		layer3 := string(c.keys["isGateway"]) != "false" // isDefaultGateway would overrule it
		defaults["isGateway"] = true
		// Pods reach the outside through the node. flannel's shim leaves this to its conflist, which every user copies.
		defaults["isDefaultGateway"] = layer3
		// A pod may reach itself through its service's address; the bridge plugin refuses it with promiscMode.
		defaults["hairpinMode"] = string(c.keys["promiscMode"]) != "true"
	}
	keys := c.keys.over(defaults)
	keys["type"], keys["ipam"] = c.plugin, ipam
	conf, err := json.Marshal(keys)
	if err != nil {
		return nil, fmt.Errorf("write the configuration of %s: %w", c.plugin, err)
	}
	return conf, nil
}

// translateIPAM is the "ipam" of the delegate. Only host-local is told the node's part; any other plugin has its own
// idea of where addresses come from.
func (c config) translateIPAM(n subnet.NodeFile) (map[string]any, error) {
	if c.ipamType != hostLocal {
		return c.ipam.over(map[string]any{"type": c.ipamType}), nil
	}
	routes, err := c.routes(n)
	if err != nil {
		return nil, err
	}
	defaults := map[string]any{}
	if _, own := c.ipam["subnet"]; !own { // the old way to give a single range
		defaults["ranges"] = ranges(n)
	}
	ipam := c.ipam.over(defaults)
	ipam["type"], ipam["routes"] = hostLocal, routes
	return ipam, nil
}

type ipRange struct {
	Subnet netip.Prefix `json:"subnet"`
}

type route struct {
	Dst netip.Prefix `json:"dst"`
}

// ranges is one range set for each family: a pod gets one address of each set.
func ranges(n subnet.NodeFile) (sets [][]ipRange) {
	for _, f := range subnet.Families {
		if half := n.Subnet.Half(f); half.IsValid() {
			sets = append(sets, []ipRange{{half}})
		}
	}
	return sets
}

// routes is the user's routes and one to the whole pod network in each family. The default route leads there too, but
// another plugin may take that over (a second network, a VPN), and pods must go on reaching pods.
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
		if network.IsValid() && !slices.ContainsFunc(known, same) { // the kernel refuses a route that is there
			all = append(all, route{network})
		}
	}
	return all, nil
}
