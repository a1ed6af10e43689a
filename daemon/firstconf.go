package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// firstConf says of the CNI configuration that we write that the container runtime does not use it, since another comes
// before it: runtimes take the first one of the folder by name.
func firstConf(path string) error {
	dir, own := filepath.Split(path)
	entries, err := os.ReadDir(dir) // by name
	if err != nil {
		return err
	}
	for _, e := range entries {
		kind := filepath.Ext(e.Name())
		if e.Name() < own && !e.IsDir() && slices.Contains([]string{".conf", ".conflist", ".json"}, kind) {
			return fmt.Errorf("%s comes before %s in %s, and container runtimes use the first: pods get another network than podlane's; take it away, or give --cni-conf a name before it",
				e.Name(), own, filepath.Clean(dir))
		}
	}
	return nil
}
