package subnet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Keys of flannel's that podlane ignores without a warning.
var (
	flannelKeys        = []string{"EnableNFTables"}
	flannelBackendKeys = []string{"Name", "MacPrefix"}
)

// keysOf returns the JSON keys that decoding into a struct reads.
func keysOf[T any]() (keys []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		keys = append(keys, cmp.Or(tag, f.Name))
	}
	return keys
}

// maxWarnings is the maximum number of warnings. So junk cannot fill the log.
const maxWarnings = 20

// warnings names the probable mistakes in a valid configuration, in the order of its keys.
func (j networkJSON) warnings(data []byte) []string {
	warnings := keyWarnings("", data, append(keysOf[networkJSON](), flannelKeys...))
	warnings = append(warnings, keyWarnings("Backend.", j.Backend, append(keysOf[backendJSON](), flannelBackendKeys...))...)
	if j.IPv6Network != "" && !j.EnableIPv6 {
		warnings = append(warnings, "network configuration: IPv6Network is ignored: EnableIPv6 is not true")
	}
	return warnings[:min(len(warnings), maxWarnings)]
}

// keyWarnings checks the keys of one well-formed JSON object. Keys match case-insensitively, as in encoding/json.
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
			warnings = append(warnings, fmt.Sprintf("network configuration: key %q appears twice: the last one is used", at+known[i]))
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
