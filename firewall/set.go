package firewall

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"
)

func (s set) String() string {
	if s.dynamic {
		return fmt.Sprintf("set inet %s %s { type %s; size %d; flags dynamic,timeout; timeout %ds; }", Name, s.name, s.datatype.Name, dynamicSize, dynamicTimeout/time.Second)
	}
	return "set inet " + Name + " " + s.name + " { type " + s.datatype.Name + "; }"
}

func (s snapshot) set(name string) (heldSet, bool) {
	i := slices.IndexFunc(s.sets, func(h heldSet) bool { return h.name == name })
	if i < 0 {
		return heldSet{}, false
	}
	return s.sets[i], true
}

// element is a key as the kernel has it: the bytes of an address, or a name padded with zeros.
type element string

// word is an element as nft prints it.
func (s set) word(e element) string {
	if s.datatype.Name == nftables.TypeIFName.Name {
		return text([]byte(e))
	}
	a, _ := netip.AddrFromSlice([]byte(e))
	return a.String()
}

// ifname is the name of an interface as an element.
func ifname(name string) element {
	var key [unix.IFNAMSIZ]byte
	copy(key[:], name)
	return element(key[:])
}

// A dynamic set is bounded, so that forged packets cannot fill the memory.
const (
	dynamicSize    = 64
	dynamicTimeout = 10 * time.Second
)

// sameFrame compares all of a set but its elements.
func (s set) sameFrame(h heldSet) bool {
	frame := heldSet{}
	if s.dynamic {
		frame = heldSet{flags: unix.NFT_SET_EVAL | unix.NFT_SET_TIMEOUT, size: dynamicSize, timeout: dynamicTimeout}
	}
	return h.flags == frame.flags && h.size == frame.size && h.timeout == frame.timeout && h.keyType == s.datatype.GetNFTMagic() && h.keyLen == s.datatype.Bytes && !h.foreign
}

// compare tells which elements the kernel's set lacks, and which it has beyond the wanted ones.
func (s set) compare(have snapshot) (missing, extra []element) {
	if s.dynamic {
		return nil, nil
	}
	h, _ := have.set(s.name)
	held := make(map[element]bool, len(h.elements)) // whether it is wanted
	for _, e := range h.elements {
		held[e] = false
	}
	for _, e := range s.elements {
		if _, ok := held[e]; ok {
			held[e] = true
		} else {
			missing = append(missing, e)
		}
	}
	for _, e := range h.elements {
		if !held[e] {
			extra = append(extra, e)
		}
	}
	return missing, extra
}

// chunk is how many elements go into one message: its list may take 64 KiB, and an IPv6 element some 32 bytes.
const chunk = 1000

func setElements(elements []element) (list []nftables.SetElement) {
	for _, e := range elements {
		list = append(list, nftables.SetElement{Key: []byte(e)})
	}
	return list
}

func (s set) nft() *nftables.Set {
	n := &nftables.Set{Table: ownTable(), Name: s.name, KeyType: s.datatype}
	if s.datatype.Name == nftables.TypeIFName.Name {
		n.KeyByteOrder = binaryutil.NativeEndian // told to nft, which else prints no name
	}
	if s.dynamic {
		n.Dynamic, n.HasTimeout, n.Timeout, n.Size = true, true, dynamicTimeout, dynamicSize
	}
	return n
}

func changeElements(s set, missing, extra []element) (steps []step) {
	for part := range slices.Chunk(setElements(missing), chunk) {
		steps = append(steps, func(c *nftables.Conn) error { return c.SetAddElements(s.nft(), part) })
	}
	for part := range slices.Chunk(setElements(extra), chunk) {
		steps = append(steps, func(c *nftables.Conn) error { return c.SetDeleteElements(s.nft(), part) })
	}
	return steps
}
