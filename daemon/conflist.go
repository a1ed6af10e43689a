package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/podlane/podlane/dist/cni"
)

// The names of our CNI plugins.
const (
	shimPlugin = "podlane-cni"
	gatePlugin = "podlane-gate"
)

// conflist returns the CNI configuration list for this node. It is the shipped one with two changes. It has the node
// file's path if that is not the default. It does not name podlane-gate if that is not installed.
func conflist(runDir string, gate bool) ([]byte, error) {
	file := filepath.Join(runDir, nodeFile)
	usual := file == "/run/podlane/"+nodeFile
	if usual && gate {
		return cni.Conflist, nil
	}
	var list map[string]any // unknown keys are kept
	if err := json.Unmarshal(cni.Conflist, &list); err != nil {
		return nil, fmt.Errorf("read the shipped CNI configuration list: %w", err)
	}
	plugins, _ := list["plugins"].([]any)
	list["plugins"] = slices.DeleteFunc(plugins, func(p any) bool {
		plugin, _ := p.(map[string]any)
		if plugin["type"] == shimPlugin && !usual {
			plugin["nodeFile"] = file
		}
		return plugin["type"] == gatePlugin && !gate
	})
	data, err := json.MarshalIndent(list, "", "  ")
	return append(data, '\n'), err
}

// gateMissing returns why the CNI configuration list must not name podlane-gate, or nothing. podlaned does not know in
// which of the folders the runtime looks for plugins. So podlane-gate must be in each that has podlane-cni. If the list
// names a plugin that is not installed, every ADD fails.
func gateMissing(folders []string) string {
	const harm = "; without it a pod with the address of an earlier pod may be unreachable for up to 45 seconds"
	used := slices.DeleteFunc(slices.Clone(folders), func(folder string) bool { return !hasPlugin(folder, shimPlugin) })
	if len(used) == 0 {
		return fmt.Sprintf("the CNI configuration does not name %s: %s is in none of %s%s; set --cni-bin to the folder in which the container runtime looks for CNI plugins",
			gatePlugin, shimPlugin, strings.Join(folders, ", "), harm)
	}
	for _, folder := range used {
		if !hasPlugin(folder, gatePlugin) {
			return fmt.Sprintf("the CNI configuration does not name %s: %s has %s only%s; install %s of this release there",
				gatePlugin, folder, shimPlugin, harm, gatePlugin)
		}
	}
	return ""
}

// hasPlugin reports whether a folder has a plugin of this name.
func hasPlugin(folder, name string) bool {
	info, err := os.Stat(filepath.Join(folder, name))
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
