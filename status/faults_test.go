package status

import (
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestFaultsAreReadAsTheyWereWritten(t *testing.T) {
	for name, c := range map[string]struct {
		status Status
		want   Faults
		json   string
	}{
		"none": {readyStatus(), Faults{[]string{}, []string{}}, `{"checks":[],"problems":[]}`},
		"checks and problems": {
			Status{Checks: []Check{{"underlay", true, ""}, {"lease", false, "none yet"}, {"etcd", false, "no: answer"}}, Problems: []string{"etcd: no answer"}, Peers: readyStatus().Peers},
			Faults{[]string{"lease: none yet", "etcd: no: answer"}, []string{"etcd: no answer"}},
			`{"checks":["lease: none yet","etcd: no: answer"],"problems":["etcd: no answer"]}`,
		},
	} {
		data, err := json.Marshal(c.status.Faults())
		if err != nil || string(data) != c.json {
			t.Errorf("%s: got %s, error %v; want %s", name, data, err, c.json)
		}
		socket := serveSocket(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.String() != "/problems" {
				t.Errorf("got a request for %s", r.URL)
			}
			_, _ = w.Write(data)
		})
		got, err := AskProblems(t.Context(), socket)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: faults (-want +got):\n%s", name, diff)
		}
	}
}

func TestUnusableFaults(t *testing.T) {
	if _, err := AskProblems(t.Context(), filepath.Join(t.TempDir(), Socket)); !errors.Is(err, unix.ENOENT) {
		t.Errorf("no podlaned: got error %v, want %v", err, unix.ENOENT)
	}
	for want, answer := range map[string]http.HandlerFunc{
		"it answers 404 Not Found":        http.NotFound,
		"read its answer: unexpected EOF": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"checks":`)) },
		"read its answer: ": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"checks":["` + strings.Repeat("x", maxFaults)))
		},
	} {
		got, err := AskProblems(t.Context(), serveSocket(t, answer))
		if err == nil || !strings.Contains(err.Error(), want) || len(got.Checks) != 0 {
			t.Errorf("got %d checks, error %v; want none, %q", len(got.Checks), err, want)
		}
	}
}
