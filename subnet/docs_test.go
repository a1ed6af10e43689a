package subnet

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// The keys of flannel's that mean nothing here are not in the table.
func TestDocumentedKeysAreThoseThereAre(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var have, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:Backend\\.)?[A-Z][A-Za-z0-9]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		have = append(have, m[1])
	}
	for _, key := range knownKeys {
		if key != "Backend" && key != "EnableNFTables" {
			want = append(want, key)
		}
	}
	for _, key := range knownBackendKeys {
		if key != "Name" && key != "MacPrefix" {
			want = append(want, "Backend."+key)
		}
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("docs/configuration.md has %q, want %q", have, want)
	}
}
