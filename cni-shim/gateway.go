package main

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/podlane/podlane/subnet"
)

// errStaleGateway is our own error code (the spec leaves 100 and above to plugins): the bridge has another gateway.
const errStaleGateway = 100

// staleGateway finds the gateway address of an earlier pod subnet on the bridge, which the bridge plugin would refuse
// ("already has an IP address different from") after it has begun, and without saying what to do. Since the process is
// the bridge plugin's by then, it is looked for before. conf is the bridge plugin's configuration.
//
// Taking the address away is what mends it: the bridge and the pods on it stay, and the bridge plugin gives it the new
// one. Pods attached before must be recreated in any case, since the other nodes route their addresses elsewhere.
func staleGateway(conf []byte, n subnet.NodeFile) error {
	b := struct {
		Bridge                                    string
		IsGateway, IsDefaultGateway, ForceAddress bool
		Vlan                                      int
	}{Bridge: "cni0"}
	if err := json.Unmarshal(conf, &b); err != nil {
		return nil //nolint:nilerr // the bridge plugin reads the same and says what is wrong
	}
	if !b.IsGateway && !b.IsDefaultGateway || b.ForceAddress || b.Vlan != 0 {
		return nil // no address, a new one by force, or one on another device
	}
	have, want := stale(addresses(b.Bridge), n)
	if !have.IsValid() {
		return nil
	}
	return types.NewError(errStaleGateway,
		fmt.Sprintf("bridge %s has the address %s of an earlier pod subnet, but this node's gateway is now %s", b.Bridge, have, want),
		fmt.Sprintf("recreate the pods that were attached before (kubectl drain): other nodes no longer reach them; "+
			"then run `ip address del %s dev %s`", have, b.Bridge))
}

// stale returns the first address that does not belong on the bridge of this node, and the one that does. In either
// family that is any other address in the pod network: its connected route would catch what belongs to another node.
// The bridge plugin refuses further an address that overlaps the pod subnet, and any IPv4 address before its own.
func stale(addrs []netip.Prefix, n subnet.NodeFile) (have, gateway netip.Prefix) {
	for _, f := range subnet.Families {
		half, network := n.Subnet.Half(f), n.Network.Half(f)
		if !half.IsValid() {
			continue
		}
		gateway := netip.PrefixFrom(subnet.Gateway(half), half.Bits())
		found := false
		for _, a := range addrs {
			switch {
			case subnet.FamilyOf(a.Addr()) != f || a.Addr().IsLinkLocalUnicast():
			case a == gateway:
				found = true
			case network.Contains(a.Addr()), a.Overlaps(half), f == subnet.IPv4 && !found:
				return a, gateway
			}
		}
	}
	return netip.Prefix{}, netip.Prefix{}
}
