package kubernetes

import (
	"fmt"
	"net/netip"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/subnet"
)

// overwrite returns this node with the public addresses that annotations of its Node give it. Each annotation is a warning. It
// may be invalid, or an operator may not expect another address than that of the interface.
func overwrite(self subnet.Self, node channel.Own, network subnet.Network) (subnet.Self, []string) {
	var warnings []string
	for _, o := range []struct {
		family           subnet.Family
		annotation, text string
		address          *netip.Addr
	}{
		{subnet.IPv4, "public-ip-overwrite", node.PublicIP, &self.PublicIP},
		{subnet.IPv6, "public-ipv6-overwrite", node.PublicIPv6, &self.PublicIPv6},
	} {
		if o.text == "" {
			continue
		}
		a, err := netip.ParseAddr(o.text)
		switch {
		case err != nil || subnet.FamilyOf(a) != o.family || a.Is4In6() || a.Zone() != "":
			err = fmt.Errorf("%.60q is not an %s address", o.text, o.family)
		default:
			err = network.CheckPublicIP(nil, a)
		}
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("the annotation %s of the Node %s is ignored: %v", o.annotation, self.Node.Name, err))
			continue
		}
		warnings = append(warnings, fmt.Sprintf("the other nodes reach this node at %s, because the annotation %s of the Node %s sets it", a, o.annotation, self.Node.Name))
		*o.address = a
	}
	return self, warnings
}
