package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/podlane/podlane/subnet"
)

// The names of podlaned's files in its run folder.
const (
	nodeFile   = "subnet.env"
	socketName = "podlaned.sock"
)

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
	return overlay{reason: askWhy(ctx, filepath.Join(runDir, socketName))}
}

// askWhy returns the checks of /readyz that fail, from podlaned's local socket. There is no lease yet, and these checks
// give the reason.
func askWhy(ctx context.Context, socket string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	text, err := get(ctx, socket, "/readyz?verbose")
	if err != nil {
		return "podlaned does not answer: " + err.Error()
	}
	return failedChecks(text)
}

// failedChecks takes from the lines of /readyz those of checks that do not hold.
func failedChecks(text string) string {
	var failed []string
	for line := range strings.Lines(text) {
		if detail, ok := strings.CutPrefix(strings.TrimSpace(line), "[-] "); ok {
			failed = append(failed, detail)
		}
	}
	if len(failed) == 0 {
		return "podlaned has just begun"
	}
	return strings.Join(failed, "; ")
}

// get reads at most 64 KiB of a page on a local socket, whatever its status code.
func get(ctx context.Context, socket, path string) (string, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://podlaned"+path, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op
		}
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return "", fmt.Errorf("read its answer: %w", err)
	}
	return string(text), nil
}
