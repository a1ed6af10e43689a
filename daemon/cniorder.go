package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// checkCNIOrder returns an error if the container runtime does not use our CNI configuration. Runtimes use the first one in the
// folder, by name.
func checkCNIOrder(path string) error {
	dir, own := filepath.Split(path)
	entries, err := os.ReadDir(dir) // by name
	if err != nil {
		return err
	}
	for _, e := range entries {
		kind := filepath.Ext(e.Name())
		if e.Name() < own && !e.IsDir() && slices.Contains([]string{".conf", ".conflist", ".json"}, kind) {
			return fmt.Errorf("%s comes before %s in %s, and container runtimes use the first: pods get another network than podlane's; remove it, or give --cni-conf a name that sorts before it",
				e.Name(), own, filepath.Clean(dir))
		}
	}
	return nil
}
