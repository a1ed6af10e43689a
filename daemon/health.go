package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"time"
)

// check is one of the things that have to be so for a node to be ready. Each can go false and true again.
type check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // what is not so
}

const (
	// lately is how old etcd's last answer may be: it is asked every 30 s.
	lately = 90 * time.Second
	// periods is how many of config.resync may pass without a verified pass.
	periods = 3
	// stuck is how long the loop may take for one turn: programming 20,000 peers takes about a second.
	stuck = 30 * time.Second
	// beatEvery is how often a loop that waits shows that it turns.
	beatEvery = 10 * time.Second
)

// judge says of each check whether it holds. It is a pure function: what grows old fails by itself.
func (s status) judge(now time.Time) []check {
	held := func(name string, fault string) check { return check{name, fault == "", fault} }
	checks := []check{
		held("underlay", s.Underlay.Trouble),
		held("lease", s.Lease.fault(now)),
		held("etcd", s.Etcd.fault(now)),
		held("kernel", s.kernelFault(now)),
		held("node-file", s.nodeFileFault()),
		held("conflict", s.Lease.Conflict),
	}
	if s.BridgeNetfilter != nil {
		checks = append(checks, held(bridgeNetfilter, *s.BridgeNetfilter))
	}
	return checks
}

func (l leaseStatus) fault(now time.Time) string {
	switch {
	case len(l.Subnet) == 0:
		return "none yet"
	case !l.Expiry.IsZero() && !now.Before(l.Expiry):
		return fmt.Sprintf("%s ran out %s: the pods go on, until another node takes the pod subnet", join(l.Subnet), ago(l.Expiry, now))
	case !l.Held:
		return join(l.Subnet) + " does not stand in etcd just now; it is put back"
	}
	return ""
}

func (e etcdStatus) fault(now time.Time) string {
	switch {
	case e.Trouble != "":
		return e.Trouble
	case e.Seen.IsZero():
		return "it has not answered yet"
	case now.Sub(e.Seen) > lately:
		return fmt.Sprintf("it answered %s for the last time", ago(e.Seen, now))
	}
	return ""
}

func (s status) kernelFault(now time.Time) string {
	switch {
	case s.Trouble != "":
		return s.Trouble
	case s.Verified.IsZero():
		return "no verified pass over the kernel yet"
	case now.Sub(s.Verified) > periods*s.Resync:
		return fmt.Sprintf("the last verified pass was %s", ago(s.Verified, now))
	}
	return ""
}

func (s status) nodeFileFault() string {
	if s.NodeFile {
		return ""
	}
	return "not written yet"
}

// answerReady answers /readyz: 200 where every check holds, 503 with the list of them where one does not. With ?verbose
// the list always comes.
func answerReady(s status, w http.ResponseWriter, r *http.Request) {
	verbose := r.URL.Query().Has("verbose") || !s.Ready
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if !s.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if verbose {
		for _, c := range s.Checks {
			mark := map[bool]string{true: "+", false: "-"}[c.OK]
			fmt.Fprintf(w, "[%s] %s: %s\n", mark, c.Name, cmp.Or(c.Detail, "ok"))
		}
	}
	_, _ = io.WriteString(w, map[bool]string{true: "ready\n", false: "not ready\n"}[s.Ready])
}

// answerHealth answers /healthz: 200 where the loop turns, 503 where it hangs.
func answerHealth(idle time.Duration, w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if idle > stuck {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "the loop has not turned for %s\n", idle.Round(time.Second))
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}
