package apiserver

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Node is what a test reads of a Node.
type Node struct {
	Name        string
	PodCIDRs    []string
	Annotations map[string]string
	Conditions  []Condition
}

// Condition is a condition of a Node.
type Condition struct{ Type, Status, Reason, Message string }

// Event is what a test reads of an Event.
type Event struct {
	Namespace      string `json:"-"`
	Type           string // Normal or Warning
	Reason         string
	Message        string
	Count          int
	InvolvedObject struct{ Kind, Name string }
}

// SetNode creates a Node, or replaces its podCIDRs.
func (s *Server) SetNode(name string, podCIDRs ...string) {
	s.UpdateNode(name, func(n object) {
		spec := child(n, "spec")
		delete(spec, "podCIDR")
		delete(spec, "podCIDRs")
		if len(podCIDRs) > 0 {
			spec["podCIDR"], spec["podCIDRs"] = podCIDRs[0], anyOf(podCIDRs)
		}
	})
}

// Annotate sets annotations of a Node: pairs of a key and a value. An empty value removes the annotation.
func (s *Server) Annotate(name string, pairs ...string) {
	s.UpdateNode(name, func(n object) {
		annotations := child(child(n, "metadata"), "annotations")
		for i := 0; i+1 < len(pairs); i += 2 {
			annotations[pairs[i]] = pairs[i+1]
			if pairs[i+1] == "" {
				delete(annotations, pairs[i])
			}
		}
	})
}

// UpdateNode changes a Node as JSON, and creates it if there is none.
func (s *Server) UpdateNode(name string, change func(node map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{"nodes", "", name}
	o := clone(s.now.objects[k])
	change(o)
	s.put(k, o)
}

// DeleteNode deletes a Node. It reports whether there was one.
func (s *Server) DeleteNode(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(key{"nodes", "", name})
}

// Node returns a Node, and whether there is one.
func (s *Server) Node(name string) (Node, bool) {
	s.mu.Lock()
	o, ok := s.now.objects[key{"nodes", "", name}]
	s.mu.Unlock()
	var parsed struct {
		Metadata struct{ Annotations map[string]string }
		Spec     struct{ PodCIDRs []string }
		Status   struct{ Conditions []Condition }
	}
	convert(o, &parsed)
	return Node{name, parsed.Spec.PodCIDRs, parsed.Metadata.Annotations, parsed.Status.Conditions}, ok
}

// Condition returns a condition of a Node. It is zero if there is none.
func (s *Server) Condition(node, kind string) Condition {
	n, _ := s.Node(node)
	for _, c := range n.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return Condition{}
}

// SetConfigMap creates or replaces a ConfigMap: pairs of a key and a value. Without any it deletes the ConfigMap.
func (s *Server) SetConfigMap(namespace, name string, pairs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{"configmaps", namespace, name}
	if len(pairs) == 0 {
		s.remove(k)
		return
	}
	data := object{}
	for i := 0; i+1 < len(pairs); i += 2 {
		data[pairs[i]] = pairs[i+1]
	}
	s.put(k, object{"data": data})
}

// Events returns all Events in the order of their last writes.
func (s *Server) Events() (events []Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := slices.DeleteFunc(slices.Collect(maps.Keys(s.now.objects)), func(k key) bool { return k.resource != "events" })
	slices.SortFunc(keys, func(a, b key) int { return cmp.Compare(revisionOf(s.now.objects[a]), revisionOf(s.now.objects[b])) })
	for _, k := range keys {
		var e Event
		convert(s.now.objects[k], &e)
		e.Namespace = k.namespace
		events = append(events, e)
	}
	return events
}

// Fail ends all watches, and answers all requests with an HTTP status such as 429 or 500, until Fail(0).
func (s *Server) Fail(code int) {
	s.set(func() {
		s.failing = nil
		if code != 0 {
			s.failing = fail(code, "", http.StatusText(code))
		}
		close(s.ended)
		s.ended = make(chan struct{})
	})
}

// Deny refuses requests with 403 Forbidden: "patch nodes/status", "list nodes". "*" refuses all. It replaces the rules before.
func (s *Server) Deny(rules ...string) {
	s.set(func() {
		s.denied = rules
		close(s.ended) // the real one checks a watch only once, but a test waits for the effect
		s.ended = make(chan struct{})
	})
}

// SetToken refuses requests without this bearer token with 401 Unauthorized. Empty: none is refused.
func (s *Server) SetToken(token string) { s.set(func() { s.token = token }) }

// Calls returns how many requests there were, as "list nodes", "watch nodes", "patch nodes/status", "create events". Refused
// ones count too.
func (s *Server) Calls(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[what]
}

// Kubeconfig returns a kubeconfig file for this server. ca is in PEM; nil: the server's own. An empty token is left out.
func (s *Server) Kubeconfig(ca []byte, token string) []byte {
	cluster := map[string]any{"server": s.URL()}
	if c := s.Certificate(); c != nil {
		if ca == nil {
			ca = c.CA
		}
		cluster["certificate-authority-data"] = ca // encoding/json writes bytes in base64
	}
	user := map[string]any{}
	if token != "" {
		user["token"] = token
	}
	data, err := json.MarshalIndent(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "lab",
		"clusters": []any{map[string]any{"name": "lab", "cluster": cluster}},
		"users":    []any{map[string]any{"name": "lab", "user": user}},
		"contexts": []any{map[string]any{"name": "lab", "context": map[string]any{"cluster": "lab", "user": "lab"}}},
	}, "", "  ")
	if err != nil {
		panic(err) // it cannot fail: there are only strings and bytes
	}
	return append(data, '\n')
}

// convert copies an object into a struct.
func convert(from object, to any) {
	data, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(data, to)
	}
	if err != nil {
		panic(fmt.Sprintf("object of the fake API server: %v: %s", err, data))
	}
}

func anyOf(texts []string) (list []any) {
	for _, t := range texts {
		list = append(list, strings.TrimSpace(t))
	}
	return list
}
