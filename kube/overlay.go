package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/podlane/podlane/status"
	"github.com/podlane/podlane/subnet"
)

// nodeFile is the name of podlaned's node file in its run folder.
const nodeFile = "subnet.env"

// overlay is the state of the overlay on this node.
type overlay struct {
	subnet subnet.Pair // of the pods that can be attached; zero: no pod can
	reason string      // why no pod can be attached
}

// readOverlay reads the node file, like the CNI plugin. The file refuses pods for the same reasons as podlaned's
// /readyz/attach. podlaned writes it when the overlay is first verified after a boot. It exists until the next boot, even if
// podlaned ends. If it does not exist, readOverlay asks podlaned for the reason.
func readOverlay(ctx context.Context, runDir string) overlay {
	file, err := subnet.ReadNodeFile(filepath.Join(runDir, nodeFile))
	switch {
	case err == nil && file.NotReady == "":
		return overlay{subnet: file.Subnet}
	case err == nil:
		return overlay{reason: file.NotReady}
	case !errors.Is(err, fs.ErrNotExist):
		return overlay{reason: err.Error()}
	}
	return overlay{reason: askReason(ctx, filepath.Join(runDir, status.Socket))}
}

// askReason returns why there is no node file: the checks of podlaned's /readyz that do not hold.
func askReason(ctx context.Context, socket string) string {
	faults, err := status.AskProblems(ctx, socket)
	switch {
	case err != nil:
		return "podlaned does not answer: " + err.Error()
	case len(faults.Checks) == 0:
		return "podlaned has just started"
	}
	return strings.Join(faults.Checks, "; ")
}
