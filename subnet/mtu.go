package subnet

// MaxMTU is the highest MTU that Linux gives a VXLAN device, in bytes.
const MaxMTU = 65535

// minMTU is the lowest MTU of an overlay that carries a family, in bytes. Every IPv4 host accepts packets of 576 bytes
// (RFC 791 section 3.1). IPv6 needs 1280 on every link (RFC 8200 section 5).
var minMTU = [len(Families)]int{IPv4: 576, IPv6: 1280}

// MinMTU returns the lowest MTU of the overlay in bytes.
func (n Network) MinMTU() (least int) {
	for _, f := range Families {
		if n.Range(f).On() {
			least = max(least, minMTU[f])
		}
	}
	return least
}

// MinMTU returns the lowest MTU of the overlay on a node with these pod subnets, in bytes.
func (p Pair) MinMTU() (least int) {
	for _, f := range Families {
		if p.Half(f).IsValid() {
			least = max(least, minMTU[f])
		}
	}
	return least
}
