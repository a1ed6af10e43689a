package apiserver

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// object is an object as JSON. One that the server holds is never changed: a write replaces it.
type object = map[string]any

// key names an object.
type key struct{ resource, namespace, name string }

// state is all objects at a revision.
type state struct {
	revision int64
	objects  map[key]object
}

func newState() state { return state{1, map[key]object{}} }

func (s state) clone() state { return state{s.revision, maps.Clone(s.objects)} }

// find returns the objects that match a request, in the order of their keys.
func (s state) find(q query) (found []object) {
	keys := slices.SortedFunc(maps.Keys(s.objects), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	})
	for _, k := range keys {
		if q.matches(k) {
			found = append(found, s.objects[k])
		}
	}
	return found
}

// change is one write.
type change struct {
	revision int64
	event    string // ADDED, MODIFIED or DELETED
	key      key
	object   object
}

// Snapshot is a copy of all data at one revision.
type Snapshot struct {
	state   state
	history []change
	oldest  int64
}

// Snapshot copies all data.
func (s *Server) Snapshot() *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Snapshot{s.now.clone(), slices.Clone(s.history), s.oldest}
}

// Without returns a copy of a snapshot that lacks a Node, as if it was made before the Node joined.
func (s *Snapshot) Without(node string) *Snapshot {
	c := &Snapshot{s.state.clone(), slices.Clone(s.history), s.oldest}
	delete(c.state.objects, key{"nodes", "", node})
	c.history = slices.DeleteFunc(c.history, func(h change) bool { return h.key.resource == "nodes" && h.key.name == node })
	return c
}

// Restore replaces all data by those of a snapshot, and ends all watches, like a restored etcd. The revision goes back.
func (s *Server) Restore(from *Snapshot) {
	s.set(func() {
		s.now, s.history, s.oldest, s.copy = from.state.clone(), slices.Clone(from.history), from.oldest, nil
		close(s.ended)
		s.ended = make(chan struct{})
	})
}

// Lag makes watches, and lists that accept an old copy, serve a snapshot: changes after it are not seen. nil ends that.
func (s *Server) Lag(at *Snapshot) {
	s.set(func() {
		s.copy = nil
		if at != nil {
			s.copy = &at.state
		}
	})
}

// Compact forgets the history. A watch from an earlier revision then gets the error 410 Gone. All watches end.
func (s *Server) Compact() {
	s.set(func() {
		s.history, s.oldest = nil, s.now.revision
		close(s.ended)
		s.ended = make(chan struct{})
	})
}

// Revision returns the newest revision.
func (s *Server) Revision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.revision
}

// seen returns the state that a copy of the server has. The caller holds mu.
func (s *Server) seen() state {
	if s.copy != nil {
		return *s.copy
	}
	return s.now
}

// put creates or replaces an object, and returns what it stored. The caller holds mu.
func (s *Server) put(k key, o object) object {
	o = clone(o)
	event := "MODIFIED"
	before, exists := s.now.objects[k]
	meta := child(o, "metadata")
	if !exists {
		event = "ADDED"
		s.uids++
		meta["uid"] = fmt.Sprintf("00000000-0000-4000-8000-%012d", s.uids)
		if meta["creationTimestamp"] == nil {
			meta["creationTimestamp"] = time.Now().UTC().Format(time.RFC3339)
		}
	} else {
		meta["uid"], meta["creationTimestamp"] = child(before, "metadata")["uid"], child(before, "metadata")["creationTimestamp"]
	}
	s.now.revision++
	meta["name"], meta["resourceVersion"] = k.name, strconv.FormatInt(s.now.revision, 10)
	if k.namespace != "" {
		meta["namespace"] = k.namespace
	}
	o["kind"], o["apiVersion"] = kinds[k.resource], "v1"
	s.record(change{s.now.revision, event, k, o})
	s.now.objects[k] = o
	return o
}

// remove deletes an object. The caller holds mu.
func (s *Server) remove(k key) bool {
	before, exists := s.now.objects[k]
	if !exists {
		return false
	}
	o := clone(before)
	s.now.revision++
	child(o, "metadata")["resourceVersion"] = strconv.FormatInt(s.now.revision, 10)
	delete(s.now.objects, k)
	s.record(change{s.now.revision, "DELETED", k, o})
	return true
}

func (s *Server) record(c change) {
	s.history = append(s.history, c)
	s.wake()
}

// clone returns a deep copy.
func clone(o object) object { return copyValue(o).(object) }

func copyValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for k, e := range v {
			c[k] = copyValue(e)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, e := range v {
			c[i] = copyValue(e)
		}
		return c
	}
	return v
}

// child returns an object inside an object, and makes it if it is missing.
func child(o object, name string) object {
	if c, ok := o[name].(map[string]any); ok {
		return c
	}
	c := object{}
	o[name] = c
	return c
}
