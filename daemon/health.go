package main

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/podlane/podlane/status"
)

const (
	// stuck is how long the loop may go without a heartbeat. Programming 20,000 peers takes about a second.
	stuck = 30 * time.Second
	// beatEvery is the time between two heartbeats of a loop that waits.
	beatEvery = 10 * time.Second
)

// answerChecks answers /readyz and /readyz/attach: 200 if every check holds, else 503 with the list of checks. With
// ?verbose it always sends the list.
func answerChecks(checks []status.Check, w http.ResponseWriter, r *http.Request) {
	ready := status.AllHold(checks)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if !ready || r.URL.Query().Has("verbose") {
		status.WriteChecks(w, checks)
	}
	_, _ = io.WriteString(w, map[bool]string{true: "ready\n", false: "not ready\n"}[ready])
}

// answerHealth answers /healthz: 200 if the loop is alive, 503 if it is stuck.
func answerHealth(silence time.Duration, w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if silence > stuck {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "the loop has been stuck for %s\n", silence.Round(time.Second))
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}
