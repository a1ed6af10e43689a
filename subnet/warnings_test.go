package subnet

import (
	"slices"
	"testing"
)

func TestFieldOfTheParsedStructIsAKnownKey(t *testing.T) {
	type withNewFields struct {
		Network     string
		NewKey      int
		A, B        bool
		Tagged      string `json:"Renamed,omitempty"`
		TaggedFlags bool   `json:",omitempty"`
	}
	want := []string{"Network", "NewKey", "A", "B", "Renamed", "TaggedFlags"}
	if got := keysOf[withNewFields](); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	object := []byte(`{"network":"","NEWKEY":1,"A":true,"renamed":"","Tagged":"","TaggedFlags":true}`)
	warnings := keyWarnings("", object, want)
	if want := []string{`network configuration: unknown key "Tagged" is ignored`}; !slices.Equal(warnings, want) {
		t.Errorf("got %q, want %q", warnings, want)
	}
}
