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

// overlay is how the overlay on this node is, as far as it is podlaned's to tell.
type overlay struct {
	subnet subnet.Pair // of the pods that can be attached; zero: none can be
	reason string      // why none can be
}

// lookAtOverlay reads the node file, which refuses pods for the reasons of podlaned's /readyz/attach. It exists from the
// first verified pass after a boot until the next boot, whether podlaned runs or not: the CNI plugin reads the same file.
// If no pod can be attached, lookAtOverlay asks podlaned for the reason.
func lookAtOverlay(ctx context.Context, runDir string) overlay {
	file, err := subnet.ReadNodeFile(filepath.Join(runDir, nodeFile))
	switch {
	case err == nil && file.NotReady == "":
		return overlay{subnet: file.Subnet}
	case err == nil:
		return overlay{reason: file.NotReady}
	case !errors.Is(err, fs.ErrNotExist):
		return overlay{reason: err.Error()}
	}
	return overlay{reason: askWhy(ctx, filepath.Join(runDir, status.Socket))}
}

// askWhy returns the checks of /readyz that do not hold. Without a lease, they are the reason.
func askWhy(ctx context.Context, socket string) string {
	failed, err := status.AskFailedChecks(ctx, socket)
	switch {
	case err != nil:
		return "podlaned does not answer: " + err.Error()
	case len(failed) == 0:
		return "podlaned has just begun"
	}
	return strings.Join(failed, "; ")
}
