package apiserver

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// watch sends changes until the client or the server ends it. It begins with:
//
//   - sendInitialEvents: all objects of a copy that is not older than the resource version, and a bookmark
//   - no resource version, or 0: all objects of any copy
//   - N: the changes after N. If the server is older, it sends nothing until it has passed N
func (s *Server) watch(w http.ResponseWriter, r *http.Request, q query) *failure {
	if q.initial && s.options.NoWatchList {
		return invalid(`ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled`)
	}
	at, problem := parseRevision(q.revision)
	if problem != nil {
		return problem
	}
	s.mu.Lock()
	ended, oldest := s.ended, s.oldest
	s.mu.Unlock()
	stream := stream{w, json.NewEncoder(w), kinds[q.key.resource]}
	w.Header().Set("Content-Type", "application/json")
	switch {
	case q.initial || at == 0:
		if !q.initial {
			q.revision = "0"
		}
		from, problem := s.choose(r.Context(), q)
		if problem != nil {
			return problem
		}
		for _, o := range from.find(q) {
			stream.send("ADDED", o)
		}
		if at = from.revision; q.initial && q.bookmarks {
			stream.bookmark(at, true)
		}
	case at < oldest:
		stream.send("ERROR", tooOld(at, oldest).status())
		return nil
	}
	stream.flush()
	s.follow(stream, r, q, at, ended)
	return nil
}

// follow sends the changes after a revision.
func (s *Server) follow(stream stream, r *http.Request, q query, at int64, ended <-chan struct{}) {
	bookmarks := time.NewTicker(s.options.Bookmarks)
	defer bookmarks.Stop()
	var over <-chan time.Time
	if q.timeout > 0 {
		timer := time.NewTimer(time.Duration(q.timeout) * time.Second)
		defer timer.Stop()
		over = timer.C
	}
	for s.running(r.Context()) {
		s.mu.Lock()
		seen, woken := s.seen().revision, s.woken
		var changes []change
		for _, c := range s.history {
			if c.revision > at && c.revision <= seen && q.matches(c.key) {
				changes = append(changes, c)
			}
		}
		s.mu.Unlock()
		for _, c := range changes {
			stream.send(c.event, c.object)
		}
		if len(changes) > 0 {
			at = changes[len(changes)-1].revision
		}
		select {
		case <-r.Context().Done():
			return
		case <-ended:
			return
		case <-over:
			return
		case <-woken:
			continue
		case <-bookmarks.C:
		}
		if q.bookmarks && seen > at {
			at = seen
			stream.bookmark(at, false)
		}
	}
}

// stream writes the events of a watch. An error means that the client is gone, which its context shows.
type stream struct {
	w    http.ResponseWriter
	json *json.Encoder
	kind string
}

func (s stream) send(event string, o object) {
	_ = s.json.Encode(object{"type": event, "object": o})
	s.flush()
}

// bookmark sends the revision up to which all changes were sent. initial marks the end of the initial objects.
func (s stream) bookmark(revision int64, initial bool) {
	meta := object{"resourceVersion": strconv.FormatInt(revision, 10), "creationTimestamp": nil}
	if initial {
		meta["annotations"] = object{"k8s.io/initial-events-end": "true"}
	}
	s.send("BOOKMARK", object{"kind": s.kind, "apiVersion": "v1", "metadata": meta})
}

func (s stream) flush() {
	_ = http.NewResponseController(s.w).Flush()
}
