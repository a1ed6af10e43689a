package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/podlane/podlane/dist/cni"
)

// conflist is the CNI configuration list for this node: the shipped one, with the node file's place where that is not
// the usual one.
func conflist(runDir string) ([]byte, error) {
	file := filepath.Join(runDir, nodeFile)
	if file == "/run/podlane/"+nodeFile {
		return cni.Conflist, nil
	}
	var list map[string]any // whatever keys it has are kept
	if err := json.Unmarshal(cni.Conflist, &list); err != nil {
		return nil, fmt.Errorf("read the shipped CNI configuration list: %w", err)
	}
	plugins, _ := list["plugins"].([]any)
	for _, p := range plugins {
		if plugin, ok := p.(map[string]any); ok && plugin["type"] == "podlane-cni" {
			plugin["nodeFile"] = file
		}
	}
	data, err := json.MarshalIndent(list, "", "  ")
	return append(data, '\n'), err
}
