package vxlan

import (
	"strconv"
	"strings"

	"github.com/podlane/podlane/subnet"
)

// maxName is the longest name of a device in bytes (IFNAMSIZ without the final zero).
const maxName = 15

// names holds the forms of a family's device names. The normal form is prefix and decimal VNI. If that is too long,
// it is hex and hexadecimal VNI.
var names = [len(subnet.Families)]struct{ prefix, hex string }{
	subnet.IPv4: {"podlane.", "podlane.x"},
	subnet.IPv6: {"podlane-v6.", "pl-v6.x"},
}

// DeviceName returns the name of a family's device: podlane.1, podlane-v6.1, podlane.xffffff, pl-v6.xffffff.
func DeviceName(f subnet.Family, vni uint32) string {
	name := names[f].prefix + strconv.FormatUint(uint64(vni), 10)
	if len(name) > maxName {
		name = names[f].hex + strconv.FormatUint(uint64(vni), 16)
	}
	return name
}

// ownName reports whether a name has the form of the family's device names.
func ownName(f subnet.Family, name string) bool {
	for _, form := range []struct {
		prefix string
		base   int
	}{{names[f].prefix, 10}, {names[f].hex, 16}} {
		digits, found := strings.CutPrefix(name, form.prefix)
		if vni, err := strconv.ParseUint(digits, form.base, 24); found && err == nil && vni > 0 {
			return DeviceName(f, uint32(vni)) == name
		}
	}
	return false
}
