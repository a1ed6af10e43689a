package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"time"
)

// Socket is the name of podlaned's local socket in its run folder.
const Socket = "podlaned.sock"

// askTimeout bounds one request to podlaned.
const askTimeout = 5 * time.Second

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
