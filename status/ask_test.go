package status

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// serveSocket returns the local socket of a server that runs until the test ends.
func serveSocket(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), Socket)
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l) // until it is closed
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return path
}

func TestStatusIsReadAsItWasWritten(t *testing.T) {
	want := readyStatus()
	socket := serveSocket(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/status" {
			t.Errorf("got a request for %s", r.URL)
		}
		unsorted := readyStatus()
		unsorted.Peers[0], unsorted.Peers[1] = unsorted.Peers[1], unsorted.Peers[0]
		_ = json.NewEncoder(w).Encode(unsorted)
	})
	got, err := Ask(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestPodlanedThatDoesNotAnswer(t *testing.T) {
	socket := filepath.Join(t.TempDir(), Socket)
	const advice = "ask podlaned on this node: dial unix "
	if _, err := Ask(t.Context(), socket); !errors.Is(err, unix.ENOENT) || !strings.HasPrefix(err.Error(), advice) {
		t.Errorf("got error %v, want one that begins with %q", err, advice)
	}
}
