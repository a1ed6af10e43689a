package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/podlane/podlane/channel"
)

func TestCleanupRemovesOnlyOurFiles(t *testing.T) {
	dir := t.TempDir()
	c := config{runDir: filepath.Join(dir, "run"), stateDir: filepath.Join(dir, "state"), cniConf: filepath.Join(dir, "cni", "10-podlane.conflist")}
	other := filepath.Join(c.runDir, "other")
	ours := []string{filepath.Join(c.runDir, nodeFile), filepath.Join(c.runDir, channel.Socket), filepath.Join(c.stateDir, stateName), c.cniConf}
	for _, path := range append(slices.Clone(ours), other) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var removed []string
	record := func(path string) { removed = append(removed, path) }
	if err := removeFiles(c, record); err != nil || !slices.Equal(removed, ours) {
		t.Errorf("removed %q, %v; want %q", removed, err, ours)
	}
	for path, want := range map[string]bool{c.runDir: true, other: true, c.stateDir: false, filepath.Dir(c.cniConf): true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s exists: %v, want %v", path, err == nil, want)
		}
	}
	removed = nil
	if err := removeFiles(c, record); err != nil || len(removed) > 0 {
		t.Errorf("the second time: %q, %v; want nothing", removed, err)
	}
	if err := os.MkdirAll(filepath.Join(c.runDir, nodeFile, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := removeFiles(c, record); err == nil {
		t.Error("a node file that cannot be removed is not an error")
	}
}
