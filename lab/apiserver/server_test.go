package apiserver

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	v1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}

// clientOf returns a client as podlane-kube makes it, from a kubeconfig.
func clientOf(t *testing.T, s *Server, ca []byte, token string) *v1.CoreV1Client {
	t.Helper()
	config, err := clientcmd.RESTConfigFromKubeConfig(s.Kubeconfig(ca, token))
	check(t, err)
	config.QPS = -1
	client, err := v1.NewForConfig(config)
	check(t, err)
	return client
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(15 * time.Second); !so(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatalf("not within 15 s: %s", what)
		}
	}
}

func namesOf(list *corev1.NodeList) string {
	var names []string
	for _, n := range list.Items {
		names = append(names, n.Name)
	}
	return strings.Join(names, " ")
}

func TestLists(t *testing.T) {
	s := start(t, Options{})
	for i := range 5 {
		s.SetNode(fmt.Sprintf("n%d", i), fmt.Sprintf("10.5.%d.0/24", i))
	}
	old := s.Snapshot()
	s.SetNode("n5")
	s.DeleteNode("n0")
	s.Lag(old)
	nodes := clientOf(t, s, nil, "").Nodes()
	newest, copied := fmt.Sprint(s.Revision()), fmt.Sprint(old.state.revision)
	for name, row := range map[string]struct {
		opts           metav1.ListOptions
		names, version string
	}{
		"the newest":             {metav1.ListOptions{}, "n1 n2 n3 n4 n5", newest},
		"any copy":               {metav1.ListOptions{ResourceVersion: "0", Limit: 2}, "n0 n1 n2 n3 n4", copied},
		"a copy that is not old": {metav1.ListOptions{ResourceVersion: copied}, "n0 n1 n2 n3 n4", copied},
		"one name":               {metav1.ListOptions{FieldSelector: "metadata.name=n3"}, "n3", newest},
		"the first page":         {metav1.ListOptions{Limit: 2}, "n1 n2", newest},
	} {
		list, err := nodes.List(t.Context(), row.opts)
		check(t, err)
		if namesOf(list) != row.names || list.ResourceVersion != row.version {
			t.Errorf("%s: %q at %s, want %q at %s", name, namesOf(list), list.ResourceVersion, row.names, row.version)
		}
		if (list.Continue != "") != (row.opts.Limit == 2 && row.opts.ResourceVersion == "") {
			t.Errorf("%s: continue %q", name, list.Continue)
		}
	}
	first, err := nodes.List(t.Context(), metav1.ListOptions{Limit: 3})
	check(t, err)
	rest, err := nodes.List(t.Context(), metav1.ListOptions{Limit: 3, Continue: first.Continue})
	check(t, err)
	if namesOf(first)+" "+namesOf(rest) != "n1 n2 n3 n4 n5" || rest.Continue != "" {
		t.Errorf("pages %q and %q", namesOf(first), namesOf(rest))
	}
	s.SetNode("n6")
	if _, err := nodes.List(t.Context(), metav1.ListOptions{Limit: 3, Continue: first.Continue}); !apierrors.IsResourceExpired(err) {
		t.Errorf("a page of an old list: %v", err)
	}
	if _, err := nodes.List(t.Context(), metav1.ListOptions{ResourceVersion: newest}); !apierrors.IsTimeout(err) || !apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge) {
		t.Errorf("a list that the copy is too old for: %v", err)
	}
	old0, err := nodes.Get(t.Context(), "n0", metav1.GetOptions{ResourceVersion: "0"})
	if err != nil || old0.Spec.PodCIDR != "10.5.0.0/24" {
		t.Errorf("an old copy of n0: %v, %v", old0, err)
	}
	if _, err := nodes.Get(t.Context(), "n0", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the deleted n0: %v", err)
	}
}

// informer runs an informer of all Nodes, with WatchList or without it.
func informer(t *testing.T, client *v1.CoreV1Client) cache.Store {
	t.Helper()
	lw := cache.ToListWatcherWithWatchListSemantics(cache.NewListWatchFromClient(client.RESTClient(), "nodes", "", fields.Everything()), client)
	i := cache.NewSharedIndexInformer(lw, &corev1.Node{}, 0, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		i.RunWithContext(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return i.GetStore()
}

func has(store cache.Store, name, podCIDR string) func() bool {
	return func() bool {
		o, ok, err := store.GetByKey(name)
		if err != nil || !ok {
			return podCIDR == "gone"
		}
		return o.(*corev1.Node).Spec.PodCIDR == podCIDR
	}
}

func TestInformer(t *testing.T) {
	for name, o := range map[string]Options{
		"by WatchList": {Bookmarks: 20 * time.Millisecond},
		"by list":      {Bookmarks: 20 * time.Millisecond, NoWatchList: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, o)
			s.SetNode("n1", "10.5.1.0/24")
			store := informer(t, clientOf(t, s, nil, ""))
			until(t, "the first Node", has(store, "n1", "10.5.1.0/24"))
			if lists := s.Calls("list nodes"); (lists > 0) != o.NoWatchList {
				t.Errorf("%d lists", lists)
			}
			backup := s.Snapshot()
			s.SetNode("n2", "10.5.2.0/24")
			s.SetNode("n1", "10.5.9.0/24")
			until(t, "a new Node", has(store, "n2", "10.5.2.0/24"))
			until(t, "a changed Node", has(store, "n1", "10.5.9.0/24"))
			s.DeleteNode("n1")
			until(t, "a deleted Node", has(store, "n1", "gone"))

			check(t, s.Refuse())
			s.SetNode("n3", "10.5.3.0/24")
			check(t, s.Accept())
			until(t, "a change while it refused connections", has(store, "n3", "10.5.3.0/24"))

			s.Hang(true)
			s.SetNode("n4", "10.5.4.0/24")
			s.Hang(false)
			until(t, "a change while it hung", has(store, "n4", "10.5.4.0/24"))

			s.SetNode("n5", "10.5.5.0/24")
			s.Compact()
			s.SetNode("n6", "10.5.6.0/24")
			until(t, "a change after the compaction", has(store, "n6", "10.5.6.0/24"))

			s.Restore(backup)
			s.Compact()
			for s.Revision() < 20 {
				s.SetNode("n7", "10.5.7.0/24")
			}
			s.Compact() // so that the revision that the client knows is too old
			until(t, "a change after the restore", has(store, "n7", "10.5.7.0/24"))
			until(t, "a Node that the backup does not have", has(store, "n3", "gone"))
		})
	}
}

// A watch from a revision that a restored server does not have yet sends nothing, as with the real one.
func TestWatchFromTheFuture(t *testing.T) {
	s := start(t, Options{Bookmarks: 5 * time.Millisecond})
	backup := s.Snapshot()
	s.SetNode("n1")
	s.SetNode("n2")
	known := s.Revision()
	s.Restore(backup)
	w, err := clientOf(t, s, nil, "").Nodes().Watch(t.Context(), metav1.ListOptions{ResourceVersion: fmt.Sprint(known), AllowWatchBookmarks: true})
	check(t, err)
	defer w.Stop()
	for s.Revision() < known {
		s.SetNode("n3")
	}
	s.SetNode("n4")
	e := <-w.ResultChan()
	if n, ok := e.Object.(*corev1.Node); !ok || e.Type != watch.Added || n.Name != "n4" {
		t.Errorf("first event %s %v, want that n4 was added", e.Type, e.Object)
	}
}

func TestLaggingWatchCatchesUp(t *testing.T) {
	s := start(t, Options{})
	s.SetNode("n1", "10.5.1.0/24")
	s.Lag(s.Snapshot())
	s.SetNode("n2", "10.5.2.0/24")
	w, err := clientOf(t, s, nil, "").Nodes().Watch(t.Context(), metav1.ListOptions{ResourceVersion: "0"})
	check(t, err)
	defer w.Stop()
	if n := (<-w.ResultChan()).Object.(*corev1.Node); n.Name != "n1" {
		t.Errorf("first event about %s", n.Name)
	}
	s.DeleteNode("n1")
	s.Lag(nil)
	for i, want := range []watch.EventType{watch.Added, watch.Deleted} {
		if e := <-w.ResultChan(); e.Type != want {
			t.Errorf("event %d is %s, want %s", i, e.Type, want)
		}
	}
}

func TestPatches(t *testing.T) {
	s := start(t, Options{})
	s.SetNode("n1", "10.5.1.0/24")
	s.UpdateNode("n1", func(n map[string]any) {
		child(n, "status")["conditions"] = []any{object{"type": "Ready", "status": "True"}, object{"type": "NetworkUnavailable", "status": "True"}}
	})
	nodes := clientOf(t, s, nil, "").Nodes()
	before := s.Revision()
	patch := `{"metadata":{"annotations":{"a/b":"c"}},"spec":{"podCIDR":"10.9.9.0/24"},"status":{"$setElementOrder/conditions":[{"type":"NetworkUnavailable"}],"conditions":[{"type":"NetworkUnavailable","status":"False"}]}}`
	for range 2 {
		n, err := nodes.Patch(t.Context(), "n1", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
		check(t, err)
		if n.Annotations["a/b"] != "c" || n.Spec.PodCIDR != "10.5.1.0/24" || len(n.Status.Conditions) != 2 {
			t.Errorf("after the patch of the status: %+v", n)
		}
	}
	if s.Condition("n1", "NetworkUnavailable").Status != "False" || s.Condition("n1", "Ready").Status != "True" || s.Revision() != before+1 {
		t.Errorf("the Node is %+v at revision %d, want one write after %d", s.now, s.Revision(), before)
	}
	n, err := nodes.Patch(t.Context(), "n1", types.MergePatchType, []byte(`{"metadata":{"annotations":{"a/b":null}},"status":{"conditions":null}}`), metav1.PatchOptions{})
	if err != nil || len(n.Annotations) != 0 || len(n.Status.Conditions) != 2 {
		t.Errorf("after the patch of the Node: %+v, %v", n, err)
	}
	if _, err := nodes.Patch(t.Context(), "n1", types.MergePatchType, []byte(`{"metadata":{"resourceVersion":"1"}}`), metav1.PatchOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("a patch of an older version: %v", err)
	}
	if _, err := nodes.Patch(t.Context(), "n2", types.MergePatchType, []byte(`{}`), metav1.PatchOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a patch of no Node: %v", err)
	}
}

func TestEventsAndConfigMaps(t *testing.T) {
	s := start(t, Options{})
	s.SetConfigMap("kube-system", "kubeadm-config", "ClusterConfiguration", "networking: {}")
	client := clientOf(t, s, nil, "")
	m, err := client.ConfigMaps("kube-system").Get(t.Context(), "kubeadm-config", metav1.GetOptions{})
	if err != nil || m.Data["ClusterConfiguration"] != "networking: {}" {
		t.Errorf("%v, %v", m, err)
	}
	e := corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "n1.1"}, InvolvedObject: corev1.ObjectReference{Kind: "Node", Name: "n1"}, Type: "Warning", Reason: "EtcdAway", Count: 1}
	e.LastTimestamp, e.Source = metav1.Now(), corev1.EventSource{Component: "podlane"}
	_, err = client.Events("default").Create(t.Context(), &e, metav1.CreateOptions{})
	check(t, err)
	if _, err = client.Events("default").Create(t.Context(), &e, metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("the same Event again: %v", err)
	}
	if _, err = client.Events("podlane").Create(t.Context(), &e, metav1.CreateOptions{}); err == nil {
		t.Error("an Event of a Node in another namespace than default was accepted")
	}
	_, err = client.Events("default").Patch(t.Context(), "n1.1", types.StrategicMergePatchType, []byte(`{"count":2}`), metav1.PatchOptions{})
	check(t, err)
	read, err := client.Events("default").Get(t.Context(), "n1.1", metav1.GetOptions{})
	if err != nil || read.LastTimestamp.Unix() != e.LastTimestamp.Unix() || read.Source != e.Source || read.Type != "Warning" {
		t.Errorf("the Event is %+v, %v", read, err)
	}
	if got := s.Events(); len(got) != 1 || got[0].Count != 2 || got[0].InvolvedObject.Name != "n1" || got[0].Namespace != "default" {
		t.Errorf("Events %+v", got)
	}
}

// The client sends a token only by TLS.
func TestRights(t *testing.T) {
	certificate, err := NewCertificate(net.IPv4(127, 0, 0, 1), time.Now().Add(-time.Minute))
	check(t, err)
	s := start(t, Options{Certificate: certificate})
	s.SetNode("n1")
	nodes := clientOf(t, s, nil, "right").Nodes()
	s.Deny("list nodes", "patch nodes/status")
	_, err = nodes.List(t.Context(), metav1.ListOptions{})
	if want := `nodes is forbidden: User "system:serviceaccount:podlane:podlane" cannot list resource "nodes" in API group "" at the cluster scope`; !apierrors.IsForbidden(err) || err.Error() != want {
		t.Errorf("list: %v, want %s", err, want)
	}
	_, err = nodes.PatchStatus(t.Context(), "n1", []byte(`{}`))
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `nodes "n1" is forbidden`) || !strings.Contains(err.Error(), `"nodes/status"`) {
		t.Errorf("patch: %v", err)
	}
	_, err = nodes.Get(t.Context(), "n1", metav1.GetOptions{})
	check(t, err)
	s.Deny()
	s.SetToken("another")
	if _, err := nodes.List(t.Context(), metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("a wrong token: %v", err)
	}
	s.SetToken("right")
	_, err = nodes.List(t.Context(), metav1.ListOptions{})
	check(t, err)
	if n := s.Calls("list nodes"); n != 3 {
		t.Errorf("%d calls counted, want 3", n)
	}
}

func TestCertificates(t *testing.T) {
	local := net.IPv4(127, 0, 0, 1)
	good, err := NewCertificate(local, time.Now().Add(-time.Minute))
	check(t, err)
	other, err := NewCertificate(local, time.Now().Add(-time.Minute))
	check(t, err)
	past, err := NewCertificate(local, time.Now().Add(-24*time.Hour))
	check(t, err)
	future, err := NewCertificate(local, time.Now().Add(24*time.Hour))
	check(t, err)
	for name, row := range map[string]struct {
		certificate *Certificate
		ca          []byte
		want        string
	}{
		"valid":         {good, nil, ""},
		"another CA":    {good, other.CA, "certificate signed by unknown authority"},
		"expired":       {past, nil, "certificate has expired"},
		"not valid yet": {future, nil, "certificate has expired or is not yet valid"},
	} {
		s := start(t, Options{Certificate: row.certificate})
		_, err := clientOf(t, s, row.ca, "").Nodes().List(t.Context(), metav1.ListOptions{})
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
		}
	}
}

func TestRejectedRequests(t *testing.T) {
	s := start(t, Options{})
	for name, row := range map[string]struct {
		method, path, kind, body string
		want                     int
	}{
		"another resource":    {"GET", "/api/v1/pods", "", "", http.StatusNotFound},
		"another group":       {"GET", "/apis/apps/v1/nodes", "", "", http.StatusNotFound},
		"a namespaced Node":   {"GET", "/api/v1/namespaces/a/nodes", "", "", http.StatusNotFound},
		"a delete":            {"DELETE", "/api/v1/nodes/n1", "", "", http.StatusMethodNotAllowed},
		"a protobuf body":     {"POST", "/api/v1/namespaces/default/configmaps", protobufType, "k8s", http.StatusUnsupportedMediaType},
		"a short protobuf":    {"POST", "/api/v1/namespaces/default/events", protobufType, "k8s\x00\x12\x05x", http.StatusBadRequest},
		"a body as no JSON":   {"POST", "/api/v1/namespaces/default/events", "application/json", "{", http.StatusBadRequest},
		"a name that is none": {"POST", "/api/v1/namespaces/default/events", "application/json", "{}", http.StatusUnprocessableEntity},
		"a wrong version":     {"GET", "/api/v1/nodes?resourceVersion=x", "", "", http.StatusBadRequest},
		"another selector":    {"GET", "/api/v1/nodes?fieldSelector=spec.x%3Dy", "", "", http.StatusBadRequest},
	} {
		r := httptest.NewRequestWithContext(t.Context(), row.method, row.path, strings.NewReader(row.body))
		r.Header.Set("Content-Type", row.kind)
		w := httptest.NewRecorder()
		s.serve(w, r)
		if w.Code != row.want || !strings.Contains(w.Body.String(), `"status":"Failure"`) {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, row.want)
		}
	}
}
