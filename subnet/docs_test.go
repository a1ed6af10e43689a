package subnet

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// The table has no row for Backend itself, and none for the keys of flannel's that podlane ignores.
func TestDocumentedNetworkKeys(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var have, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:Backend\\.)?[A-Z][A-Za-z0-9]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		have = append(have, m[1])
	}
	for _, key := range keysOf[networkJSON]() {
		if key != "Backend" {
			want = append(want, key)
		}
	}
	for _, key := range keysOf[backendJSON]() {
		want = append(want, "Backend."+key)
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("docs/configuration.md has %q, want %q", have, want)
	}
}
