package status

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"
)

const (
	// maxSilence is how old the store's last answer may be: podlaned asks etcd every 30 s, and podlane-kube answers every 5 s.
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
		check(s.storeName(), s.storeFault(now)),
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
// lease is valid, in the store or in the saved state. They do not depend on the store or on a peer.
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

// leaseFault returns why the lease is not held in the store, or nothing. In a conflict it is not restored, and another check
// reports that. Before the store has answered, it is unknown whether the lease is missing.
func (s Status) leaseFault(now time.Time) string {
	own, place := Join(s.Lease.Subnet), Place(s.Store)
	switch invalid := s.Lease.invalid(now); {
	case invalid != "" || s.Lease.Held || s.Lease.Conflict != "":
		return invalid
	case s.storeSeen().IsZero():
		return fmt.Sprintf("%s comes from the saved state; %s has not confirmed it yet", own, place)
	case s.Kubernetes != nil:
		return own + " is missing from the annotations of this node's Node; podlane-kube writes it there"
	}
	return fmt.Sprintf("%s is missing from %s; restoring it", own, place)
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
