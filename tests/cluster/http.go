package cluster

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
)

// Get requests a path from a node's podlaned on its local socket: /readyz?verbose, /healthz, /metrics.
func Get(t *testing.T, n *lab.Node, path string) (code int, body string) {
	t.Helper()
	code, body, err := TryGet(Within(t), n, path)
	Check(t, err)
	return code, body
}

// TryGet is Get for any goroutine. It returns an error if podlaned does not run.
func TryGet(ctx context.Context, n *lab.Node, path string) (code int, body string, err error) {
	return get(ctx, "http://podlaned"+path, func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(filepath.Dir(n.NodeFile()), "podlaned.sock"))
	})
}

// GetFrom requests a URL from a place, by TCP.
func GetFrom(ctx context.Context, p *lab.Place, url string) (code int, body string, err error) {
	return get(ctx, url, func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = p.Do(func() error {
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	})
}

func get(ctx context.Context, url string, dial func(ctx context.Context, network, address string) (net.Conn, error)) (code int, body string, err error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response.StatusCode, string(data), err
}

// Metric returns a metric of a node's podlaned, by its exported name: `podlane_repairs_total{kind="route"}`. A missing
// metric is 0, like a counter that has not counted.
func Metric(t *testing.T, n *lab.Node, name string) float64 {
	t.Helper()
	_, body := Get(t, n, "/metrics")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			Check(t, err)
			return v
		}
	}
	return 0
}

// ReadyCheck returns a check of /readyz?verbose on a node: its result and its text.
func ReadyCheck(t *testing.T, n *lab.Node, name string) (ok bool, words string) {
	t.Helper()
	_, body := Get(t, n, "/readyz?verbose")
	for line := range strings.Lines(body) {
		mark, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if words, found := strings.CutPrefix(rest, name+": "); found {
			return mark == "[+]", words
		}
	}
	t.Fatalf("%s: /readyz has no check %s: %s", n.Name, name, body)
	return false, ""
}
