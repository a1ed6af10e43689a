package main

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/podlane/podlane/subnet"
)

// errStaleGateway is our own error code for a bridge with another gateway. The spec leaves 100 and above to plugins.
const errStaleGateway = 100

// staleGateway returns an error if the bridge has the gateway address of an earlier pod subnet. The bridge plugin would
// fail in the middle of an ADD ("already has an IP address different from"), without the command that fixes it. This
// process is the bridge plugin by then, so it checks before. conf is the bridge plugin's configuration.
//
// The fix is to remove the address. The bridge and its pods stay, and the bridge plugin adds the new address. Earlier pods
// must be recreated in any case, because the other nodes route their addresses elsewhere.
func staleGateway(conf []byte, n subnet.NodeFile) error {
	b := struct {
		Bridge                                    string
		IsGateway, IsDefaultGateway, ForceAddress bool
		Vlan                                      int
	}{Bridge: "cni0"}
	if err := json.Unmarshal(conf, &b); err != nil {
		return nil //nolint:nilerr // the bridge plugin reads the same and reports the error
	}
	if !b.IsGateway && !b.IsDefaultGateway || b.ForceAddress || b.Vlan != 0 {
		return nil // the bridge gets no address, replaces it, or has it on another device
	}
	have, want := staleAddress(addresses(b.Bridge), n)
	if !have.IsValid() {
		return nil
	}
	return types.NewError(errStaleGateway,
		fmt.Sprintf("bridge %s has the address %s of an earlier pod subnet, but this node's gateway is now %s", b.Bridge, have, want),
		fmt.Sprintf("recreate the pods that were attached before (kubectl drain): other nodes no longer reach them; "+
			"then run `ip address del %s dev %s`", have, b.Bridge))
}

// staleAddress returns the first address that must not be on this node's bridge, and the correct one. It is one of these:
//
//   - another address in the pod network: its connected route would divert packets for another node;
//   - an address that overlaps the pod subnet, which the bridge plugin refuses;
//   - an IPv4 address before the plugin's own, which the bridge plugin refuses too.
func staleAddress(addrs []netip.Prefix, n subnet.NodeFile) (have, gateway netip.Prefix) {
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
