package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"time"
)

// Socket is the name of podlaned's local socket in its run folder.
const Socket = "podlaned.sock"

const (
	// askTimeout bounds one request to podlaned.
	askTimeout = 5 * time.Second
	// maxChecks bounds how many bytes of checks are read.
	maxChecks = 64 << 10
)

// Ask returns the status from podlaned's local socket, with the peers sorted by public address. It waits at most 5 s. The
// error ends with what the operator can do.
func Ask(ctx context.Context, socket string) (s Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	response, err := get(ctx, socket, "/status")
	if err != nil {
		return s, fmt.Errorf("ask podlaned on this node: %w; %s", err, advice(err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return s, fmt.Errorf("ask podlaned on this node: it answers %s", response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("read podlaned's answer: %w", err)
	}
	slices.SortFunc(s.Peers, func(a, b Peer) int { return a.PublicIP.Compare(b.PublicIP) })
	return s, nil
}

// AskFailedChecks returns the checks of /readyz that do not hold, from podlaned's local socket. Each is "name: reason". It
// waits at most 5 s and reads at most 64 KiB.
func AskFailedChecks(ctx context.Context, socket string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	response, err := get(ctx, socket, "/readyz?verbose")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxChecks))
	if err != nil {
		return nil, fmt.Errorf("read its answer: %w", err)
	}
	return failedChecks(string(text)), nil
}

// get requests a page on a local socket. If the connection fails, the error is only the *net.OpError: the URL has no
// meaning on a socket.
func get(ctx context.Context, socket, page string) (*http.Response, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://podlaned"+page, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	var op *net.OpError
	if errors.As(err, &op) {
		return nil, op
	}
	return response, err
}

// advice returns what an operator can do if podlaned could not be asked.
func advice(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "run it as root"
	}
	return "is it running? See `systemctl status podlaned`"
}
