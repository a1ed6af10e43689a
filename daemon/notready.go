package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"time"

	"github.com/podlane/podlane/subnet"
)

// notReady returns why no pod may be attached now, for the node file, or nothing. It matches /readyz/attach, as far as
// podlaned can write the file. The text does not change while the reason lasts.
func (l *loop) notReady(now time.Time) string {
	problem := l.kernelProblem()
	switch {
	case l.state.Conflict != "":
		return l.state.Conflict
	case !l.state.Expiry.IsZero() && !now.Before(l.state.Expiry):
		return fmt.Sprintf("the lease of %s ran out at %s: another node may lease the pod subnet; `podlaned status` prints why podlaned cannot renew it",
			l.state.Own.Pair(), l.state.Expiry.UTC().Format(time.DateTime+" UTC"))
	case problem != "":
		return "this node's part of the overlay is incomplete: " + problem
	}
	return ""
}

// kernelProblem returns why the last reconciliation of the kernel failed, or nothing.
func (l *loop) kernelProblem() string {
	return cmp.Or(l.problems.Get("overlay"), l.problems.Get("forwarding"), l.problems.Get("firewall"))
}

// expiresIn returns the time until a lease runs out, because the node file changes then. It is 0 if the lease never does,
// or already has.
func expiresIn(expiry, now time.Time) time.Duration {
	if expiry.IsZero() || !now.Before(expiry) {
		return 0
	}
	return max(expiry.Sub(now), minInterval)
}

// refusePods makes the node file of an earlier run refuse pods. This run has no lease, and another node may have leased the
// pod subnet since. Attached pods are not affected.
func (l *loop) refusePods() {
	path := filepath.Join(l.config.runDir, nodeFile)
	file, err := subnet.ReadNodeFile(path)
	if err != nil || file.NotReady != "" {
		return // without a valid file no pod is attached
	}
	file.NotReady = "podlaned has started and has no valid lease of this node; `podlaned status` prints why"
	l.problems.Check("node file", confined(l.write(path, file.Marshal())))
}
