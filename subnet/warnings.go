package subnet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Keys that mean something, and those of flannel's that mean nothing to podlane but are no mistake.
var (
	knownKeys = []string{
		"EnableIPv4", "EnableIPv6", "Network", "SubnetMin", "SubnetMax", "SubnetLen",
		"IPv6Network", "IPv6SubnetMin", "IPv6SubnetMax", "IPv6SubnetLen", "Backend",
		"EnableNFTables",
	}
	knownBackendKeys = []string{
		"Type", "VNI", "Port", "MTU", "GBP", "Learning", "DirectRouting",
		"Name", "MacPrefix",
	}
)

// maxWarnings bounds how many warnings a configuration gives, so that one full of junk does not fill the log.
const maxWarnings = 20

// warnings names what is probably a mistake in a valid configuration, in the order in which it stands there.
func (j networkJSON) warnings(data []byte) []string {
	warnings := keyWarnings("", data, knownKeys)
	warnings = append(warnings, keyWarnings("Backend.", j.Backend, knownBackendKeys)...)
	if j.IPv6Network != "" && !j.EnableIPv6 {
		warnings = append(warnings, "network configuration: IPv6Network is ignored: EnableIPv6 is not true")
	}
	return warnings[:min(len(warnings), maxWarnings)]
}

// keyWarnings looks at the keys of one JSON object, which is known to be well formed. Keys match case-insensitively,
// because encoding/json matches them so.
func keyWarnings(at string, object []byte, known []string) (warnings []string) {
	seen := map[string]bool{}
	d := json.NewDecoder(bytes.NewReader(object))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil
	}
	for d.More() && len(warnings) < maxWarnings {
		token, _ := d.Token()
		key, _ := token.(string)
		i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, key) })
		switch {
		case i < 0:
			warnings = append(warnings, fmt.Sprintf("network configuration: unknown key %.60q is ignored", at+key))
		case seen[known[i]]:
			warnings = append(warnings, fmt.Sprintf("network configuration: key %q stands there twice: the last one counts", at+known[i]))
		default:
			seen[known[i]] = true
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return warnings
		}
	}
	return warnings
}
