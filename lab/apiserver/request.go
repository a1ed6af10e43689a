package apiserver

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

var discard = log.New(io.Discard, "", 0)

// kinds are the kinds of the resources.
var kinds = map[string]string{"nodes": "Node", "events": "Event", "configmaps": "ConfigMap"}

// query is a parsed request.
type query struct {
	verb        string // get, list, watch, create, patch
	key         key    // without a name: all of the resource
	subresource string
	revision    string // the parameter resourceVersion
	initial     bool   // the parameter sendInitialEvents
	bookmarks   bool   // the parameter allowWatchBookmarks
	limit       int
	next        string // the parameter continue
	timeout     int    // of a watch, in seconds; 0: none
}

// matches reports whether an object is one of those that the request is about.
func (q query) matches(k key) bool {
	return k.resource == q.key.resource && (q.key.namespace == "" || k.namespace == q.key.namespace) && (q.key.name == "" || k.name == q.key.name)
}

// resource returns the resource with its subresource, as in rules of RBAC.
func (q query) resource() string {
	if q.subresource != "" {
		return q.key.resource + "/" + q.subresource
	}
	return q.key.resource
}

// parse reads a request's path and parameters.
func parse(r *http.Request) (q query, problem *failure) {
	path, ok := strings.CutPrefix(r.URL.Path, "/api/v1/")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) >= 3 && parts[0] == "namespaces" {
		q.key.namespace, parts = parts[1], parts[2:]
	}
	q.key.resource = parts[0]
	if len(parts) > 1 {
		q.key.name = parts[1]
	}
	if len(parts) > 2 {
		q.subresource = parts[2]
	}
	cluster := q.key.resource == "nodes" // the others are in namespaces
	if !ok || kinds[q.key.resource] == "" || len(parts) > 3 || cluster && q.key.namespace != "" || !cluster && q.key.namespace == "" && q.key.name != "" ||
		q.subresource != "" && q.resource() != "nodes/status" {
		return q, fail(http.StatusNotFound, "NotFound", "the server could not find the requested resource")
	}
	v := r.URL.Query()
	q.revision, q.next = v.Get("resourceVersion"), v.Get("continue")
	q.initial, _ = strconv.ParseBool(v.Get("sendInitialEvents"))
	q.bookmarks, _ = strconv.ParseBool(v.Get("allowWatchBookmarks"))
	q.limit, _ = strconv.Atoi(v.Get("limit"))
	q.timeout, _ = strconv.Atoi(v.Get("timeoutSeconds"))
	watch, _ := strconv.ParseBool(v.Get("watch"))
	switch {
	case r.Method == http.MethodGet && watch:
		q.verb = "watch"
	case r.Method == http.MethodGet && q.key.name == "":
		q.verb = "list"
	case r.Method == http.MethodGet:
		q.verb = "get"
	case r.Method == http.MethodPost && q.key.name == "":
		q.verb = "create"
	case r.Method == http.MethodPatch && q.key.name != "":
		q.verb = "patch"
	default:
		return q, fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "the server does not allow this method on the requested resource")
	}
	if selector := v.Get("fieldSelector"); selector != "" {
		name, ok := strings.CutPrefix(selector, "metadata.name=")
		if !ok {
			return q, fail(http.StatusBadRequest, "BadRequest", fmt.Sprintf("field label not supported: %s", selector))
		}
		q.key.name = name
	}
	return q, nil
}

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/version" {
		reply(w, http.StatusOK, object{"major": "1", "minor": "35", "gitVersion": "v1.35.0"})
		return
	}
	q, problem := parse(r)
	if problem == nil {
		s.count(q)
	}
	if !s.running(r.Context()) {
		return
	}
	if problem == nil {
		problem = s.authorize(r, q)
	}
	if problem == nil {
		switch q.verb {
		case "watch":
			problem = s.watch(w, r, q)
		case "list":
			problem = s.list(w, r, q)
		case "get":
			problem = s.get(w, q)
		case "create":
			problem = s.create(w, r, q)
		case "patch":
			problem = s.patch(w, r, q)
		}
	}
	if problem != nil {
		reply(w, problem.code, problem.status())
	}
}

func (s *Server) count(q query) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[q.verb+" "+q.resource()]++
}

// authorize checks whether requests fail, the token and the rules.
func (s *Server) authorize(r *http.Request, q query) *failure {
	s.mu.Lock()
	token, denied, failing := s.token, s.denied, s.failing
	s.mu.Unlock()
	switch {
	case failing != nil:
		return failing
	case token != "" && r.Header.Get("Authorization") != "Bearer "+token:
		return fail(http.StatusUnauthorized, "Unauthorized", "Unauthorized")
	case slices.Contains(denied, "*") || slices.Contains(denied, q.verb+" "+q.resource()):
		return forbidden(q)
	}
	return nil
}

// reply writes a JSON answer. An error means that the client is gone.
func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}
