package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/podlane/podlane/problems"
	"github.com/podlane/podlane/subnet"
)

// fakeStore is a lease store. Unlike the real one, it releases a lease without asking the holder.
type fakeStore struct {
	mu    sync.Mutex
	set   subnet.Set
	err   error
	lists int
}

func (s *fakeStore) Leases(context.Context) (subnet.Set, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	return subnet.Set{Records: slices.Clone(s.set.Records)}, s.err
}

func (s *fakeStore) Release(_ context.Context, records []subnet.Record, _ time.Duration) ([]subnet.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set.Records = slices.DeleteFunc(s.set.Records, func(r subnet.Record) bool { return slices.Contains(records, r) })
	return records, s.err
}

func (s *fakeStore) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return namesIn(s.set.Records)
}

func (s *fakeStore) listed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists > 0
}

func (s *fakeStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func metadataOf(t *testing.T, names ...string) *fake.FakeMetadataClient {
	t.Helper()
	scheme := fake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	var objects []runtime.Object
	for _, name := range names {
		objects = append(objects, &metav1.PartialObjectMetadata{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metav1.ObjectMeta{Name: name},
		})
	}
	return fake.NewSimpleMetadataClient(scheme, objects...)
}

// plainMetadata is like plainNodes.
type plainMetadata struct{ metadata.ResourceInterface }

func (plainMetadata) IsWatchListSemanticsUnSupported() bool { return true }

func startReleaser(t *testing.T, api *fake.FakeMetadataClient, s *fakeStore, grace time.Duration) *logBuffer {
	t.Helper()
	text := &logBuffer{}
	log := newLogger(text)
	r := &releaser{grace: grace, nodes: plainMetadata{nodesOf(api)}, leases: s, problems: problems.New(log), log: log}
	runUntilEnd(t, r.run)
	return text
}

func deleteNode(t *testing.T, api *fake.FakeMetadataClient, name string) {
	t.Helper()
	if err := nodesOf(api).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func watching(api *fake.FakeMetadataClient) func() bool {
	return func() bool {
		return slices.ContainsFunc(api.Actions(), func(a clienttesting.Action) bool { return a.GetVerb() == "watch" })
	}
}

func TestDeletedNodeLosesItsLease(t *testing.T) {
	api, s := metadataOf(t, "n1", "n2"), &fakeStore{set: setOf(leaseOf(1, "n1"), leaseOf(2, "n2"), leaseOf(3, "before"))}
	log := startReleaser(t, api, s, time.Hour)
	until(t, "watching", watching(api))
	until(t, "the leases are listed", s.listed)
	deleteNode(t, api, "n2")
	until(t, "n2's lease is released", func() bool { return slices.Equal(s.names(), []string{"n1", "before"}) })
	until(t, "the release is logged", func() bool { return strings.Contains(log.String(), "released the lease 10.5.2.0/24 of n2") })
}

func TestNodeThatTheWatchHasMissedKeepsItsLease(t *testing.T) {
	api, s := metadataOf(t, "n1", "n2"), &fakeStore{set: setOf(leaseOf(2, "n2"))}
	log := newLogger(&logBuffer{})
	r := &releaser{nodes: nodesOf(api), leases: s, problems: problems.New(log), log: log}
	r.compare(t.Context(), nodesNamed("n1"), time.Now()) // the watch is late
	if got := s.names(); len(got) != 1 {
		t.Errorf("left %q", got)
	}
	deleteNode(t, api, "n2")
	r.deadlines = deadlines{}
	r.compare(t.Context(), nodesNamed("n1"), time.Now())
	if got := s.names(); len(got) != 0 {
		t.Errorf("left %q", got)
	}
}

func TestErrorOfTheAPIServerKeepsTheLease(t *testing.T) {
	api, s := metadataOf(t, "n1"), &fakeStore{set: setOf(leaseOf(2, "n2"))}
	api.PrependReactor("get", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("etcdserver: no leader")
	})
	text := &logBuffer{}
	log := newLogger(text)
	r := &releaser{nodes: nodesOf(api), leases: s, problems: problems.New(log), log: log}
	r.compare(t.Context(), nodesNamed("n1"), time.Now())
	if got := s.names(); len(got) != 1 || !strings.Contains(text.String(), "no leader") {
		t.Errorf("left %q; the log: %s", got, text)
	}
}

func TestNotFoundFromAProxyKeepsTheLease(t *testing.T) {
	proxy := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(proxy.Close)
	api, err := metadata.NewForConfig(&rest.Config{Host: proxy.URL})
	if err != nil {
		t.Fatal(err)
	}
	s, text := &fakeStore{set: setOf(leaseOf(2, "n2"))}, &logBuffer{}
	log := newLogger(text)
	r := &releaser{nodes: nodesOf(api), leases: s, problems: problems.New(log), log: log}
	r.compare(t.Context(), nodesNamed("n1"), time.Now())
	if got := s.names(); len(got) != 1 || !strings.Contains(text.String(), "could not find the requested resource") {
		t.Errorf("left %q; the log: %s", got, text)
	}
}

func TestOutageOfEtcdIsLoggedOnce(t *testing.T) {
	api, s := metadataOf(t, "n1"), &fakeStore{set: setOf(leaseOf(2, "n2"))}
	text := &logBuffer{}
	log := newLogger(text)
	r := &releaser{nodes: nodesOf(api), leases: s, problems: problems.New(log), log: log}
	s.fail(errors.New("etcd does not answer"))
	for range 3 {
		r.compare(t.Context(), nodesNamed("n1"), time.Now())
	}
	if got := strings.Count(text.String(), "level=warning"); got != 1 || len(s.names()) != 1 {
		t.Errorf("%d warnings, leases of %q left; want 1 and one lease", got, s.names())
	}
	s.fail(nil)
	r.compare(t.Context(), nodesNamed("n1"), time.Now())
	r.problems.Close()
	if len(s.names()) != 0 || !strings.Contains(text.String(), "recovered") {
		t.Errorf("left %q; the log: %s", s.names(), text)
	}
}
