package nft

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"
)

// Set is a set of addresses of one family, or of interface names. Elements are added and deleted singly.
type Set struct {
	Name     string
	KeyType  nftables.SetDatatype
	Elements []Element
	Dynamic  Dynamic
}

// Dynamic bounds a set to which packets add elements. Forged packets cannot fill the memory. With the zero value a set is not
// dynamic.
type Dynamic struct {
	Size    uint32
	Timeout time.Duration // of each element, after its last packet
}

// Element is an element of a set.
type Element struct {
	Key string // the bytes of an address, or a name padded with zeros
}

// AddrElement returns the element of an address.
func AddrElement(a netip.Addr) Element { return Element{string(a.AsSlice())} }

// InterfaceElement returns the element of an interface's name.
func InterfaceElement(name string) Element {
	var key [unix.IFNAMSIZ]byte
	copy(key[:], name)
	return Element{string(key[:])}
}

// word returns an element as nft prints it.
func (s Set) word(e Element) string {
	if s.isOfNames() {
		return unix.ByteSliceToString([]byte(e.Key))
	}
	if a, ok := netip.AddrFromSlice([]byte(e.Key)); ok {
		return a.String()
	}
	return fmt.Sprintf("%#x", e.Key)
}

func (s Set) isOfNames() bool { return s.KeyType.Name == nftables.TypeIFName.Name }

// sameFrame compares everything but the elements with a set of the kernel.
func (s Set) sameFrame(k KernelSet) bool {
	frame := KernelSet{Name: s.Name, Size: s.Dynamic.Size, Timeout: s.Dynamic.Timeout}
	frame.KeyType, frame.KeyLength = s.KeyType.GetNFTMagic(), s.KeyType.Bytes
	if s.Dynamic != (Dynamic{}) {
		frame.Flags = unix.NFT_SET_EVAL | unix.NFT_SET_TIMEOUT
	}
	return k.Flags == frame.Flags && k.Size == frame.Size && k.Timeout == frame.Timeout &&
		k.KeyType == frame.KeyType && k.KeyLength == frame.KeyLength && !k.unsupported
}

// compare returns the missing elements of the kernel's set, and its unwanted ones.
func (s Set) compare(k KernelSet) (missing, extra []Element) {
	if s.Dynamic != (Dynamic{}) {
		return nil, nil
	}
	wanted := make(map[Element]bool, len(k.Elements)) // by the elements in the kernel
	for _, e := range k.Elements {
		wanted[e] = false
	}
	for _, e := range s.Elements {
		if _, ok := wanted[e]; ok {
			wanted[e] = true
		} else {
			missing = append(missing, e)
		}
	}
	for _, e := range k.Elements {
		if !wanted[e] {
			extra = append(extra, e)
		}
	}
	return missing, extra
}

func (s Set) nft(id ID) *nftables.Set {
	n := &nftables.Set{Table: id.nft(), Name: s.Name, KeyType: s.KeyType}
	if s.isOfNames() {
		n.KeyByteOrder = binaryutil.NativeEndian // stored for nft, which otherwise does not print the names
	}
	if d := s.Dynamic; d != (Dynamic{}) {
		n.Dynamic, n.HasTimeout, n.Timeout, n.Size = true, true, d.Timeout, d.Size
	}
	return n
}
