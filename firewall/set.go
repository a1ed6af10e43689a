package firewall

import (
	"net/netip"
	"slices"

	"github.com/google/nftables"
)

func (s set) String() string {
	return "set inet " + Name + " " + s.name + " { type " + s.datatype.Name + "; }"
}

func (s snapshot) set(name string) (heldSet, bool) {
	i := slices.IndexFunc(s.sets, func(h heldSet) bool { return h.name == name })
	if i < 0 {
		return heldSet{}, false
	}
	return s.sets[i], true
}

// sameFrame compares all of a set but its elements.
func (s set) sameFrame(h heldSet) bool {
	return h.flags == 0 && h.keyType == s.datatype.GetNFTMagic() && !h.foreign
}

// compare tells which elements the kernel's set lacks, and which it has beyond the wanted ones.
func (s set) compare(have snapshot) (missing, extra []netip.Addr) {
	h, _ := have.set(s.name)
	wanted, held := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	for _, a := range s.elements {
		wanted[a] = true
	}
	for _, a := range h.elements {
		held[a] = true
		if !wanted[a] {
			extra = append(extra, a)
		}
	}
	for _, a := range s.elements {
		if !held[a] {
			missing = append(missing, a)
		}
	}
	return missing, extra
}

// chunk is how many elements go into one message: its list may take 64 KiB, and an IPv6 element some 32 bytes.
const chunk = 1000

func setElements(addrs []netip.Addr) (elements []nftables.SetElement) {
	for _, a := range addrs {
		elements = append(elements, nftables.SetElement{Key: a.AsSlice()})
	}
	return elements
}

func (s set) nft() *nftables.Set {
	return &nftables.Set{Table: ownTable(), Name: s.name, KeyType: s.datatype}
}

func changeElements(s set, missing, extra []netip.Addr) (steps []step) {
	for part := range slices.Chunk(setElements(missing), chunk) {
		steps = append(steps, func(c *nftables.Conn) error { return c.SetAddElements(s.nft(), part) })
	}
	for part := range slices.Chunk(setElements(extra), chunk) {
		steps = append(steps, func(c *nftables.Conn) error { return c.SetDeleteElements(s.nft(), part) })
	}
	return steps
}
