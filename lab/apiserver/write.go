package apiserver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// maxBody is the maximum size of a request's body in bytes, as of the real server.
const maxBody = 3 << 20

// readObject reads a request's body. types are the content types that it may have.
func readObject(r *http.Request, types ...string) (o object, problem *failure) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !slices.Contains(types, kind) {
		return nil, fail(http.StatusUnsupportedMediaType, "UnsupportedMediaType", fmt.Sprintf("the body of the request was in an unknown format - accepted media types include: %s", strings.Join(types, ", ")))
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	switch {
	case err != nil:
	case kind == protobufType:
		o, err = decodeEvent(data)
	default:
		err = json.Unmarshal(data, &o)
	}
	if err != nil || o == nil {
		return nil, fail(http.StatusBadRequest, "BadRequest", fmt.Sprintf("error decoding the body: %v", err))
	}
	return o, nil
}

// create stores a new Event or ConfigMap.
func (s *Server) create(w http.ResponseWriter, r *http.Request, q query) *failure {
	types := []string{"application/json"}
	if q.key.resource == "events" {
		types = append(types, protobufType)
	}
	o, problem := readObject(r, types...)
	if problem != nil {
		return problem
	}
	name, _ := child(o, "metadata")["name"].(string)
	if name == "" {
		return invalid("metadata.name: Required value: name or generateName is required")
	}
	q.key.name = name
	if q.key.resource == "events" {
		about, _ := child(o, "involvedObject")["namespace"].(string)
		if about == "" && q.key.namespace != "default" || about != "" && about != q.key.namespace {
			return invalid(fmt.Sprintf("Event %q is invalid: involvedObject.namespace: Invalid value: %q: does not match event.namespace", name, about))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, exists := s.now.objects[q.key]; exists {
		return fail(http.StatusConflict, "AlreadyExists", fmt.Sprintf("%s %q already exists", q.key.resource, name))
	}
	reply(w, http.StatusCreated, s.put(q.key, o))
	return nil
}

// patch changes an object. A patch of the status changes the status and the metadata alone; another one does not change the
// status of a Node. A patch that changes nothing is no write.
func (s *Server) patch(w http.ResponseWriter, r *http.Request, q query) *failure {
	p, problem := readObject(r, "application/strategic-merge-patch+json", "application/merge-patch+json")
	if problem != nil {
		return problem
	}
	strategic := strings.HasPrefix(r.Header.Get("Content-Type"), "application/strategic")
	s.mu.Lock()
	defer s.mu.Unlock()
	before, exists := s.now.objects[q.key]
	if !exists {
		return notFound(q.key)
	}
	for _, field := range []string{"uid", "resourceVersion"} {
		if want, ok := child(p, "metadata")[field]; ok && want != child(before, "metadata")[field] {
			return fail(http.StatusConflict, "Conflict", fmt.Sprintf("Operation cannot be fulfilled on %s %q: the object has been modified; please apply your changes to the latest version and try again", q.key.resource, q.key.name))
		}
	}
	after := merge(before, p, strategic)
	for field := range after {
		if q.subresource == "status" && field != "status" && field != "metadata" || q.subresource == "" && q.key.resource == "nodes" && field == "status" {
			after[field] = before[field]
		}
	}
	if !reflect.DeepEqual(after, before) {
		after = s.put(q.key, after)
	}
	reply(w, http.StatusOK, after)
	return nil
}
