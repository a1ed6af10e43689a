package status

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

const (
	// maxSilence is how old etcd's last answer may be: podlaned asks it every 30 s.
	maxSilence = 90 * time.Second
	// maxResyncs is how many times Status.Resync may pass before the kernel must be verified again.
	maxResyncs = 3
)

// ReadyChecks returns the checks of /readyz at a time. It is a pure function: a status that becomes too old fails by
// itself.
func (s Status) ReadyChecks(now time.Time) []Check {
	checks := []Check{
		check("underlay", s.Underlay.Trouble),
		check("lease", s.leaseFault(now)),
		check("etcd", s.Etcd.fault(now)),
		check("kernel", s.kernelFault(now)),
		check("node-file", s.nodeFileFault()),
		check("conflict", s.Lease.Conflict),
	}
	if s.BridgeNetfilter != nil {
		checks = append(checks, check("bridge-netfilter", *s.BridgeNetfilter))
	}
	return checks
}

// AttachChecks returns the checks of /readyz/attach: whether this node can attach pods. They hold as long as the node's
// lease is valid, in etcd or in the saved state. They do not depend on etcd or on a peer.
func (s Status) AttachChecks(now time.Time) []Check {
	return []Check{
		check("lease", s.Lease.invalid(now)),
		check("kernel", s.kernelFault(now)),
		check("node-file", s.nodeFileFault()),
		check("conflict", s.Lease.Conflict),
	}
}

// check returns a check that holds if there is no fault.
func check(name, fault string) Check { return Check{name, fault == "", fault} }

// AllHold reports whether every check holds.
func AllHold(checks []Check) bool {
	return !slices.ContainsFunc(checks, func(c Check) bool { return !c.OK })
}

// WriteChecks writes a line for each check: "[+] lease: ok", or "[-] lease: " with the reason.
func WriteChecks(w io.Writer, checks []Check) {
	for _, c := range checks {
		mark := map[bool]string{true: "+", false: "-"}[c.OK]
		fmt.Fprintf(w, "[%s] %s: %s\n", mark, c.Name, cmp.Or(c.Detail, "ok"))
	}
}

// failedChecks returns "name: reason" of each check that does not hold, from what WriteChecks has written.
func failedChecks(text string) (failed []string) {
	for line := range strings.Lines(text) {
		if detail, ok := strings.CutPrefix(strings.TrimSpace(line), "[-] "); ok {
			failed = append(failed, detail)
		}
	}
	return failed
}

// leaseFault returns why the lease is not held in etcd, or nothing. In a conflict it is not restored, and another check
// reports that. Before etcd has answered, it is unknown whether the lease is missing.
func (s Status) leaseFault(now time.Time) string {
	switch invalid := s.Lease.invalid(now); {
	case invalid != "" || s.Lease.Held || s.Lease.Conflict != "":
		return invalid
	case s.Etcd.Seen.IsZero():
		return Join(s.Lease.Subnet) + " comes from the saved state; etcd has not confirmed it yet"
	}
	return Join(s.Lease.Subnet) + " is missing from etcd; restoring it"
}

// invalid returns why the node has no pod subnet to use, or nothing. A lease that exists only in the saved state is valid.
func (l Lease) invalid(now time.Time) string {
	switch {
	case len(l.Subnet) == 0:
		return "none yet"
	case !l.Expiry.IsZero() && !now.Before(l.Expiry):
		return fmt.Sprintf("%s ran out %s: running pods keep working until another node leases the pod subnet", Join(l.Subnet), Ago(l.Expiry, now))
	}
	return ""
}

func (e Etcd) fault(now time.Time) string {
	switch {
	case e.Trouble != "":
		return e.Trouble
	case e.Seen.IsZero():
		return "it has not answered yet"
	case now.Sub(e.Seen) > maxSilence:
		return fmt.Sprintf("its last answer was %s", Ago(e.Seen, now))
	}
	return ""
}

func (s Status) kernelFault(now time.Time) string {
	switch {
	case s.Trouble != "":
		return s.Trouble
	case s.Verified.IsZero():
		return "the kernel is not verified yet"
	case now.Sub(s.Verified) > maxResyncs*s.Resync:
		return fmt.Sprintf("the kernel was last verified %s", Ago(s.Verified, now))
	}
	return ""
}

func (s Status) nodeFileFault() string {
	if s.NodeFile {
		return ""
	}
	return "not written yet"
}
