package tests

import (
	"os"
	"testing"
)

// The shipped binaries stay small. Sizes are in bytes, stripped. Most of a program's file is resident while it runs.
func TestBinariesStaySmall(t *testing.T) {
	for name, limit := range map[string]int64{"podlaned": 20e6, "podlane-cni": 4e6, "podlane-gate": 4e6, "podlane-kube": 45e6} {
		info, err := os.Stat("../bin/" + name)
		if err != nil {
			t.Fatalf("%v: run `make build`", err)
		}
		t.Logf("%s: %.1f MB", name, float64(info.Size())/1e6)
		if info.Size() >= limit {
			t.Errorf("%s has %d bytes, want at most %d", name, info.Size(), limit)
		}
	}
}
