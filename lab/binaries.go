package lab

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// CheckTools returns an error that names missing tools: podlane's binaries in the folder bin, or programs that the
// lab runs.
func CheckTools(bin string) error {
	var missing []string
	for _, name := range []string{"podlaned", "podlane-cni", "podlane-gate", "lab", "cni/bridge", "cni/host-local", "cni/portmap"} {
		if !executable(filepath.Join(bin, name)) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s: not in %s; run `make build` first", strings.Join(missing, ", "), bin)
	}
	for _, name := range []string{"ip", "ping", "iperf3", "nft", "setpriv"} {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s: not installed; run lab/deps.sh first", strings.Join(missing, ", "))
	}
	return nil
}
