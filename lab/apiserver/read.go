package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// get answers with one object. Resource version 0 accepts an old copy.
func (s *Server) get(w http.ResponseWriter, q query) *failure {
	s.mu.Lock()
	from := s.now
	if q.revision != "" {
		from = s.seen()
	}
	o, ok := from.objects[q.key]
	s.mu.Unlock()
	if !ok {
		return notFound(q.key)
	}
	reply(w, http.StatusOK, o)
	return nil
}

// list answers with all objects:
//
//   - no resource version: the newest ones, in pages if there is a limit
//   - 0: those of any copy
//   - N: those of a copy that is not older
func (s *Server) list(w http.ResponseWriter, r *http.Request, q query) *failure {
	if q.next != "" {
		return s.page(w, q)
	}
	from, problem := s.choose(r.Context(), q)
	if problem != nil {
		return problem
	}
	if q.revision == "" && q.limit > 0 {
		return s.replyPage(w, q, from, 0)
	}
	replyList(w, q, from.revision, from.find(q), "", 0)
	return nil
}

// choose returns the state that a list or the beginning of a watch is made from.
func (s *Server) choose(ctx context.Context, q query) (state, *failure) {
	wanted, problem := parseRevision(q.revision)
	if problem != nil {
		return state{}, problem
	}
	s.mu.Lock()
	newest := s.now.clone()
	s.mu.Unlock()
	if q.revision == "" {
		if q.verb == "list" {
			return newest, nil
		}
		wanted = newest.revision // a watch begins with a copy that is as new
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.Wait)
	defer cancel()
	var from state
	if !s.await(ctx, func() bool { from = s.seen().clone(); return from.revision >= wanted }) {
		return state{}, tooLarge(wanted, from.revision)
	}
	return from, nil
}

// page answers with the next page of a list. It ends with an error if anything was written since the first one, as if that
// revision was compacted.
func (s *Server) page(w http.ResponseWriter, q query) *failure {
	at, offset, _ := strings.Cut(q.next, ".")
	revision, problem := parseRevision(at)
	skip, err := strconv.Atoi(offset)
	if problem != nil || err != nil || skip < 0 {
		return fail(http.StatusBadRequest, "BadRequest", "continue key is not valid")
	}
	s.mu.Lock()
	from := s.now.clone()
	s.mu.Unlock()
	if from.revision != revision {
		return fail(http.StatusGone, "Expired", "The provided continue parameter is too old to display a consistent list result.")
	}
	return s.replyPage(w, q, from, skip)
}

func (s *Server) replyPage(w http.ResponseWriter, q query, from state, skip int) *failure {
	found := from.find(q)
	begin := min(skip, len(found))
	end := len(found)
	if q.limit > 0 {
		end = min(begin+q.limit, end)
	}
	next := ""
	if end < len(found) {
		next = fmt.Sprintf("%d.%d", from.revision, end)
	}
	replyList(w, q, from.revision, found[begin:end], next, len(found)-end)
	return nil
}

func replyList(w http.ResponseWriter, q query, revision int64, items []object, next string, left int) {
	meta := object{"resourceVersion": strconv.FormatInt(revision, 10)}
	if next != "" {
		meta["continue"], meta["remainingItemCount"] = next, left
	}
	if items == nil {
		items = []object{}
	}
	reply(w, http.StatusOK, object{"kind": kinds[q.key.resource] + "List", "apiVersion": "v1", "metadata": meta, "items": items})
}

func parseRevision(text string) (int64, *failure) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fail(http.StatusBadRequest, "BadRequest", fmt.Sprintf("Invalid value: %q: strconv.ParseUint: invalid syntax", text))
	}
	return int64(n), nil
}

// revisionOf returns the resource version of an object.
func revisionOf(o object) int64 {
	text, _ := child(o, "metadata")["resourceVersion"].(string)
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}
