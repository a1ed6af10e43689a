package main

import "strconv"

// revisions follows the revision of the API server's etcd. So podlane-kube notices that an older state of etcd was restored.
//
// An API server may answer from its cache, which may be older than what this node has seen. So a list with a lower revision
// proves nothing until a quorum read confirms it. podlaned has a saved state, and may have seen a higher revision than
// podlane-kube. A list below the target must be confirmed before it is given to listed.
type revisions struct {
	current int64 // of the set; 0: there is none yet
	target  int64 // the highest revision that was seen; a set below it is not used
	refuted int64 // the highest revision that a confirmed list has shown to be lost
	losses  int   // how often etcd lost data
}

// listed records a complete list.
func (r *revisions) listed(revision int64) {
	if revision < r.target {
		r.losses++
		r.refuted = max(r.refuted, r.target)
	}
	r.current, r.target = revision, revision
}

// advanced records a change.
func (r *revisions) advanced(revision int64) {
	r.current = max(r.current, revision)
	r.target = max(r.target, r.current)
}

// raise records the highest revision that podlaned has seen. It ignores a lost one, which podlaned sends again.
func (r *revisions) raise(revision int64) {
	if revision > r.refuted {
		r.target = max(r.target, revision)
	}
}

// due reports whether the Nodes must be listed, because the set is older than what was seen.
func (r revisions) due() bool { return r.current == 0 || r.current < r.target }

// parseRevision returns a resource version as a number. Since 1.35 Kubernetes promises that resource versions compare as numbers.
// They were numbers before, too. For another text it returns 1, so that podlane-kube never reports a loss of data.
func parseRevision(resourceVersion string) int64 {
	revision, err := strconv.ParseInt(resourceVersion, 10, 64)
	if err != nil || revision < 1 {
		return 1
	}
	return revision
}
