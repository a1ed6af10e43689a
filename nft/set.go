package nft

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"
)

// Set is the wanted content of a set of addresses of one family, or of interface names. Elements are added and deleted one by
// one.
type Set struct {
	Name     string
	KeyType  nftables.SetDatatype
	Elements []Element
	Dynamic  Dynamic
}

// Dynamic holds the limits of a set to which packets add elements. Without limits, forged packets could fill the memory. The
// zero value means that packets add no elements.
type Dynamic struct {
	Size    uint32        // largest number of elements
	Timeout time.Duration // of each element, after its last packet
}

// Element is an element of a set.
type Element struct {
	Key string // the bytes of an address, or a name padded with zeros
}

// AddrElements returns the elements of addresses, which must be of one family. It iterates twice, to allocate their memory once.
func AddrElements(addrs iter.Seq[netip.Addr]) []Element {
	count, length := 0, 0
	for a := range addrs {
		count, length = count+1, a.BitLen()/8
	}
	keys := make([]byte, 0, count*length)
	for a := range addrs {
		keys = append(keys, a.AsSlice()...)
	}
	return splitKeys(keys, length)
}

// splitKeys returns an element for each key. keys holds keys of one length, one after the other. All elements share one string,
// because there may be tens of thousands.
func splitKeys(keys []byte, length int) []Element {
	if length == 0 {
		return nil
	}
	elements := make([]Element, 0, len(keys)/length)
	for all := string(keys); len(all) >= length; all = all[length:] {
		elements = append(elements, Element{all[:length]})
	}
	return elements
}

// InterfaceElement returns the element of an interface's name.
func InterfaceElement(name string) Element {
	var key [unix.IFNAMSIZ]byte
	copy(key[:], name)
	return Element{string(key[:])}
}

// elementText returns an element as nft prints it.
func (s Set) elementText(e Element) string {
	if s.isOfNames() {
		return unix.ByteSliceToString([]byte(e.Key))
	}
	if a, ok := netip.AddrFromSlice([]byte(e.Key)); ok {
		return a.String()
	}
	return fmt.Sprintf("%#x", e.Key)
}

func (s Set) isOfNames() bool { return s.KeyType.Name == nftables.TypeIFName.Name }

// sameDeclaration reports whether a set of the kernel equals this one, except for the elements.
func (s Set) sameDeclaration(k KernelSet) bool {
	want := KernelSet{Name: s.Name, Size: s.Dynamic.Size, Timeout: s.Dynamic.Timeout}
	want.KeyType, want.KeyLength = s.KeyType.GetNFTMagic(), s.KeyType.Bytes
	if s.Dynamic != (Dynamic{}) {
		want.Flags = unix.NFT_SET_EVAL | unix.NFT_SET_TIMEOUT
	}
	return k.Flags == want.Flags && k.Size == want.Size && k.Timeout == want.Timeout &&
		k.KeyType == want.KeyType && k.KeyLength == want.KeyLength && !k.unsupported
}

// compare returns the elements that the kernel's set lacks, and those that are not wanted.
func (s Set) compare(k KernelSet) (missing, extra []Element) {
	if s.Dynamic != (Dynamic{}) {
		return nil, nil
	}
	byKey := func(a, b Element) int { return strings.Compare(a.Key, b.Key) }
	wanted := s.Elements
	if !slices.IsSortedFunc(wanted, byKey) {
		wanted = slices.SortedFunc(slices.Values(wanted), byKey)
	}
	installed := make([]bool, len(wanted))
	for _, e := range k.Elements {
		if i, ok := slices.BinarySearchFunc(wanted, e, byKey); ok {
			installed[i] = true
		} else {
			extra = append(extra, e)
		}
	}
	for i, e := range wanted {
		if duplicate := i > 0 && wanted[i-1] == e; !installed[i] && !duplicate {
			missing = append(missing, e)
		}
	}
	return missing, extra
}

func (s Set) nft(id ID) *nftables.Set {
	n := &nftables.Set{Table: id.nft(), Name: s.Name, KeyType: s.KeyType}
	if s.isOfNames() {
		n.KeyByteOrder = binaryutil.NativeEndian // the kernel stores it for nft, which needs it to print the names
	}
	if d := s.Dynamic; d != (Dynamic{}) {
		n.Dynamic, n.HasTimeout, n.Timeout, n.Size = true, true, d.Timeout, d.Size
	}
	return n
}
