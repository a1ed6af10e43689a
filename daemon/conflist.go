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
	var list struct {
		CNIVersion string           `json:"cniVersion"`
		Name       string           `json:"name"`
		Plugins    []map[string]any `json:"plugins"`
	}
	if err := json.Unmarshal(cni.Conflist, &list); err != nil {
		return nil, fmt.Errorf("read the shipped CNI configuration list: %w", err)
	}
	if file := filepath.Join(runDir, nodeName); file != "/run/podlane/"+nodeName {
		list.Plugins[0]["nodeFile"] = file
	}
	data, err := json.MarshalIndent(list, "", "  ")
	return append(data, '\n'), err
}
