package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
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
	// stuck is how long the loop may go without a heartbeat. Programming 20,000 peers takes about a second.
	stuck = 30 * time.Second
	// beatEvery is the time between two heartbeats of a loop that waits.
	beatEvery = 10 * time.Second
)

// judge says of each check whether it holds. It is a pure function: what grows old fails by itself.
func (s status) judge(now time.Time) []check {
	held := func(name string, fault string) check { return check{name, fault == "", fault} }
	checks := []check{
		held("underlay", s.Underlay.Trouble),
		held("lease", s.leaseFault(now)),
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

// judgeAttach returns the checks of /readyz/attach: whether this node can attach pods. They hold as long as the node's
// lease is valid, in etcd or in the saved state. They depend on neither etcd nor a peer.
func (s status) judgeAttach(now time.Time) []check {
	held := func(name string, fault string) check { return check{name, fault == "", fault} }
	return []check{
		held("lease", s.Lease.invalid(now)),
		held("kernel", s.kernelFault(now)),
		held("node-file", s.nodeFileFault()),
		held("conflict", s.Lease.Conflict),
	}
}

// allHold reports whether every check holds.
func allHold(checks []check) bool {
	return !slices.ContainsFunc(checks, func(c check) bool { return !c.OK })
}

// leaseFault returns why the lease is not held in etcd, or nothing. In a conflict it is not restored, and another check
// reports that. Before etcd has answered, it is unknown whether the lease is missing.
func (s status) leaseFault(now time.Time) string {
	switch invalid := s.Lease.invalid(now); {
	case invalid != "" || s.Lease.Held || s.Lease.Conflict != "":
		return invalid
	case s.Etcd.Seen.IsZero():
		return join(s.Lease.Subnet) + " is the saved one; etcd has not confirmed it yet"
	}
	return join(s.Lease.Subnet) + " is missing from etcd; restoring it"
}

// invalid returns why the node has no pod subnet to use, or nothing. A lease that exists only in the saved state is valid.
func (l leaseStatus) invalid(now time.Time) string {
	switch {
	case len(l.Subnet) == 0:
		return "none yet"
	case !l.Expiry.IsZero() && !now.Before(l.Expiry):
		return fmt.Sprintf("%s ran out %s: the pods go on, until another node takes the pod subnet", join(l.Subnet), ago(l.Expiry, now))
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

// answerChecks answers /readyz and /readyz/attach: 200 if every check holds, 503 with the list of checks if one does not.
// With ?verbose it always sends the list.
func answerChecks(checks []check, w http.ResponseWriter, r *http.Request) {
	ready := allHold(checks)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if !ready || r.URL.Query().Has("verbose") {
		for _, c := range checks {
			mark := map[bool]string{true: "+", false: "-"}[c.OK]
			fmt.Fprintf(w, "[%s] %s: %s\n", mark, c.Name, cmp.Or(c.Detail, "ok"))
		}
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
