package eval

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCompareBits(t *testing.T) {
	known := knownBits([]byte{10, 5})
	prefix := bits{value: []byte{10, 0}, known: []byte{0xff, 0xf0}} // 10.0 to 10.15
	for name, c := range map[string]struct {
		bits  bits
		op    uint32
		value []byte
		want  match
	}{
		"equal":                       {known, unix.NFT_CMP_EQ, []byte{10, 5}, always},
		"not equal":                   {known, unix.NFT_CMP_NEQ, []byte{10, 5}, never},
		"a value in the prefix":       {prefix, unix.NFT_CMP_EQ, []byte{10, 5}, some},
		"a value outside the prefix":  {prefix, unix.NFT_CMP_EQ, []byte{10, 16}, never},
		"not one outside the prefix":  {prefix, unix.NFT_CMP_NEQ, []byte{10, 16}, always},
		"less than the next prefix":   {prefix, unix.NFT_CMP_LT, []byte{10, 16}, always},
		"less than one in the prefix": {prefix, unix.NFT_CMP_LT, []byte{10, 8}, some},
		"at most the last":            {prefix, unix.NFT_CMP_LTE, []byte{10, 15}, always},
		"more than the last":          {prefix, unix.NFT_CMP_GT, []byte{10, 15}, never},
		"at least the first":          {prefix, unix.NFT_CMP_GTE, []byte{10, 0}, always},
		"an unsupported source":       {unsupportedBits(2), unix.NFT_CMP_EQ, []byte{10, 5}, unsupported},
		"an unknown operation":        {known, 99, []byte{10, 5}, unsupported},
	} {
		if got := c.bits.compare(c.op, c.value); got != c.want {
			t.Errorf("%s: got match %d, want %d", name, got, c.want)
		}
	}
}

func TestPrefixBitsAreThoseOfAllAddresses(t *testing.T) {
	b := prefixBits(netip.MustParsePrefix("10.5.32.7/19"))
	if first, last := netip.AddrFrom4([4]byte(b.fill(0))), netip.AddrFrom4([4]byte(b.fill(0xff))); first.String() != "10.5.32.0" || last.String() != "10.5.63.255" {
		t.Errorf("got %s to %s, want 10.5.32.0 to 10.5.63.255", first, last)
	}
}
