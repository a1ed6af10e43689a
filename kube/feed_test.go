package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/lab/apiserver"
	"github.com/podlane/podlane/problems"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/annotation"
	"github.com/podlane/podlane/subnet/store"
)

const testNetwork = `{"Network":"10.244.0.0/16"}`

// feedWorld is an API server, a feeder for the Node n1, and podlaned's side of the channel.
type feedWorld struct {
	t    *testing.T
	api  *apiserver.Server
	dir  string
	file string // net-conf.json
	log  *logBuffer

	https        bool          // the client expects TLS from a server without it
	watchSilence time.Duration // 0: as in production

	mu    sync.Mutex
	feeds []channel.Feed
}

func newFeedWorld(t *testing.T, o apiserver.Options) *feedWorld {
	t.Helper()
	t.Parallel()
	api, err := apiserver.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &feedWorld{t: t, api: api, dir: t.TempDir(), log: &logBuffer{}}
	w.file = filepath.Join(w.dir, "net-conf.json")
	w.writeNetwork(testNetwork)
	return w
}

// newAnnouncedWorld returns a world in which the Node n1 is announced, and podlaned's side.
func newAnnouncedWorld(t *testing.T) (*feedWorld, *channel.Server) {
	t.Helper()
	w := newFeedWorld(t, apiserver.Options{})
	w.api.SetNode("n1", "10.244.1.0/24")
	podlaned := w.podlaned(0)
	w.start(nil, "")
	podlaned.Announce(channel.Announcement{Lease: ownLease("192.168.64.1")})
	w.awaitKeys("10.244.1.0-24")
	return w, podlaned
}

func (w *feedWorld) writeNetwork(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// start starts the feeder. ca and token are those of its kubeconfig.
func (w *feedWorld) start(ca []byte, token string) {
	w.t.Helper()
	kubeconfig, content := filepath.Join(w.dir, "kubeconfig"), w.api.Kubeconfig(ca, token)
	if w.https {
		content = bytes.ReplaceAll(content, []byte("http://"), []byte("https://"))
	}
	if err := os.WriteFile(kubeconfig, content, 0o600); err != nil {
		w.t.Fatal(err)
	}
	rest, err := apiConfig(kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := newClient(rest)
	if err != nil {
		w.t.Fatal(err)
	}
	log := newLogger(w.log)
	f, err := newFeeder(config{nodeName: "n1", runDir: w.dir, networkFile: w.file, annotationPrefix: annotation.DefaultPrefix}, c, problems.New(log), log)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.watchSilence > 0 {
		f.follower.watchSilence = w.watchSilence
	}
	runUntilEnd(w.t, f.run)
	w.t.Cleanup(func() { w.t.Log(w.log) })
}

// podlaned starts podlaned's side, which has seen a revision before.
func (w *feedWorld) podlaned(revision int64) *channel.Server {
	w.t.Helper()
	s, err := channel.Listen(w.t.Context(), w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	s.SetRevision(revision)
	var serving sync.WaitGroup
	serving.Go(func() {
		s.Run(w.t.Context(), channel.Hello{Version: channel.Version, Program: "podlaned v1", Node: "n1"}, func(f channel.Feed) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.feeds = append(w.feeds, f)
		})
	})
	w.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			w.t.Error(err)
		}
		serving.Wait() // its context has ended
	})
	return s
}

// last returns the newest feed.
func (w *feedWorld) last() (f channel.Feed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.feeds) > 0 {
		f = w.feeds[len(w.feeds)-1]
	}
	return f
}

// await waits until podlaned has received a lease set that matches.
func (w *feedWorld) await(what string, match func(channel.Leases) bool) channel.Leases {
	w.t.Helper()
	until(w.t, what, func() bool {
		f := w.last()
		return f.Leases != nil && match(*f.Leases)
	})
	return *w.last().Leases
}

func (w *feedWorld) awaitKeys(want string) channel.Leases {
	w.t.Helper()
	return w.await("podlaned has the leases "+want, func(l channel.Leases) bool { return leaseKeys(l) == want })
}

// awaitSource waits until podlaned knows that the API server is reached, or why not.
func (w *feedWorld) awaitSource(want string) {
	w.t.Helper()
	until(w.t, fmt.Sprintf("the source's fault has %q", want), func() bool {
		f := w.last()
		return f.Source != nil && strings.Contains(f.Source.Fault, want) && (want != "" || f.Source.Fault == "")
	})
}

// expectNoFault expects that podlaned has received no fault of the source. A start is none.
func (w *feedWorld) expectNoFault() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.feeds {
		if f.Source != nil && f.Source.Fault != "" {
			w.t.Errorf("the fault %q was sent", f.Source.Fault)
		}
	}
}

func leaseKeys(l channel.Leases) string {
	var keys []string
	for _, lease := range l.Leases {
		keys = append(keys, lease.Key)
	}
	return strings.Join(keys, " ")
}

// join adds a Node that flannel has annotated.
func (w *feedWorld) join(name, podCIDR string) {
	w.api.SetNode(name, podCIDR)
	w.api.Annotate(name, prefix+"kube-subnet-manager", "true", prefix+"backend-type", "vxlan", prefix+"backend-data", flannelData, prefix+"public-ip", "192.168.64.3")
}

func ownLease(address string) store.SavedLease {
	value := strings.Replace(leaseValue(`{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:45","NodeID":"id-1","Node":"n1","Version":"v1"}`), "192.168.64.3", address, 1)
	return store.SavedLease{Key: "10.244.1.0-24", Value: json.RawMessage(value)}
}

// apiServers are the kinds of API servers that differ in how Nodes are listed.
var apiServers = map[string]apiserver.Options{
	"streamed lists": {},
	"plain lists":    {NoWatchList: true},
}

func TestPodlanedReceivesTheNodesAndAnnouncesItself(t *testing.T) {
	for name, options := range apiServers {
		t.Run(name, func(t *testing.T) {
			w := newFeedWorld(t, options)
			w.api.SetNode("n1", "10.244.1.0/24")
			w.join("n2", "10.244.2.0/24")
			podlaned := w.podlaned(0)
			w.start(nil, "")
			got := w.awaitKeys("10.244.2.0-24")
			if string(got.Config) != testNetwork || got.Fault != "" || !got.Own.Exists || got.Own.PodCIDRs[0] != "10.244.1.0/24" || got.Revision < 2 {
				t.Errorf("received %+v", got)
			}
			w.awaitSource("")

			podlaned.Announce(channel.Announcement{Lease: ownLease("192.168.64.1")})
			got = w.awaitKeys("10.244.1.0-24 10.244.2.0-24")
			want, err := subnet.ParseLease("10.244.1.0-24", ownLease("192.168.64.1").Value)
			if err != nil {
				t.Fatal(err)
			}
			if own, err := subnet.ParseLease(got.Leases[0].Key, got.Leases[0].Value); err != nil || own != want {
				t.Errorf("the own lease is %+v, want %+v; error %v", own, want, err)
			}

			w.join("n3", "10.244.3.0/24")
			w.awaitKeys("10.244.1.0-24 10.244.2.0-24 10.244.3.0-24")
			began := time.Now()
			w.api.DeleteNode("n2")
			w.awaitKeys("10.244.1.0-24 10.244.3.0-24")
			if took := time.Since(began); took > time.Second {
				t.Errorf("the deleted Node left after %v, want 1 s at most", took)
			}
			if got := w.last().Leases.Losses; got != 0 {
				t.Errorf("%d losses", got)
			}
			w.expectNoFault()
		})
	}
}

// The API server answers from a cache that is older than what podlaned has seen. podlaned must not receive the old set: it
// would remove the peers that joined since.
func TestLaggingAPIServer(t *testing.T) {
	for name, options := range apiServers {
		for _, when := range []string{"podlaned is first", "podlane-kube is first"} {
			t.Run(name+", "+when, func(t *testing.T) {
				w := newFeedWorld(t, options)
				w.join("n1", "10.244.1.0/24")
				old := w.api.Snapshot()
				w.join("n2", "10.244.2.0/24")
				w.api.Lag(old)
				if when == "podlaned is first" {
					w.podlaned(w.api.Revision())
					w.start(nil, "")
				} else {
					w.start(nil, "")
					until(t, "the Nodes are watched", func() bool { return w.api.Calls("watch nodes") > 1 })
					w.podlaned(w.api.Revision())
				}
				if got := w.awaitKeys("10.244.1.0-24 10.244.2.0-24"); got.Losses != 0 || got.Revision != w.api.Revision() {
					t.Errorf("revision %d of %d, %d losses", got.Revision, w.api.Revision(), got.Losses)
				}
				w.mu.Lock()
				defer w.mu.Unlock()
				for _, f := range w.feeds {
					if f.Leases != nil && leaseKeys(*f.Leases) == "10.244.1.0-24" {
						t.Errorf("podlaned received the old set of revision %d", f.Leases.Revision)
					}
				}
			})
		}
	}
}

func TestRestoredCluster(t *testing.T) {
	for name, options := range apiServers {
		t.Run(name, func(t *testing.T) {
			w := newFeedWorld(t, options)
			w.join("n1", "10.244.1.0/24")
			old, revision := w.api.Snapshot(), w.api.Revision()
			w.join("n2", "10.244.2.0/24")
			w.podlaned(0)
			w.start(nil, "")
			w.awaitKeys("10.244.1.0-24 10.244.2.0-24")
			w.awaitSource("")
			w.api.Restore(old)
			if got := w.awaitKeys("10.244.1.0-24"); got.Losses != 1 || got.Revision != revision {
				t.Errorf("revision %d, %d losses; want %d and 1", got.Revision, got.Losses, revision)
			}
			w.join("n3", "10.244.3.0/24")
			if got := w.awaitKeys("10.244.1.0-24 10.244.3.0-24"); got.Losses != 1 {
				t.Errorf("%d losses, want 1", got.Losses)
			}
		})
	}
}

// The hello of the connection has a revision that two restores have lost.
func TestClusterIsRestoredTwice(t *testing.T) {
	w := newFeedWorld(t, apiserver.Options{})
	w.join("n1", "10.244.1.0/24")
	first := w.api.Snapshot()
	w.join("n2", "10.244.2.0/24")
	w.join("n3", "10.244.3.0/24")
	w.podlaned(w.api.Revision())
	w.start(nil, "")
	w.awaitKeys("10.244.1.0-24 10.244.2.0-24 10.244.3.0-24")
	w.api.Restore(first)
	w.awaitKeys("10.244.1.0-24")
	second := w.api.Snapshot()
	w.join("n4", "10.244.4.0/24")
	w.awaitKeys("10.244.1.0-24 10.244.4.0-24")
	w.api.Restore(second)
	if got := w.awaitKeys("10.244.1.0-24"); got.Losses != 2 {
		t.Errorf("%d losses, want 2", got.Losses)
	}
}

// etcd was restored while podlane-kube did not run. podlaned knows a revision that etcd does not have any more.
func TestClusterIsRestoredBeforeTheStart(t *testing.T) {
	for name, options := range apiServers {
		t.Run(name, func(t *testing.T) {
			w := newFeedWorld(t, options)
			w.join("n1", "10.244.1.0/24")
			w.podlaned(w.api.Revision() + 100)
			w.start(nil, "")
			if got := w.awaitKeys("10.244.1.0-24"); got.Losses != 1 || got.Revision != w.api.Revision() {
				t.Errorf("revision %d, %d losses; want %d and 1", got.Revision, got.Losses, w.api.Revision())
			}
		})
	}
}

// The API server has forgotten the revision at which podlane-kube watches (410 Gone).
func TestForgottenRevision(t *testing.T) {
	for name, options := range apiServers {
		t.Run(name, func(t *testing.T) {
			w := newFeedWorld(t, options)
			w.join("n1", "10.244.1.0/24")
			w.join("n2", "10.244.2.0/24")
			w.podlaned(0)
			w.start(nil, "")
			w.awaitKeys("10.244.1.0-24 10.244.2.0-24")
			if err := w.api.Refuse(); err != nil {
				t.Fatal(err)
			}
			w.api.DeleteNode("n2")
			w.join("n3", "10.244.3.0/24")
			w.api.Compact()
			if err := w.api.Accept(); err != nil {
				t.Fatal(err)
			}
			if got := w.awaitKeys("10.244.1.0-24 10.244.3.0-24"); got.Losses != 0 {
				t.Errorf("%d losses", got.Losses)
			}
			w.awaitSource("")
		})
	}
}

func TestAPIServerIsUnreachableForAWhile(t *testing.T) {
	w := newFeedWorld(t, apiserver.Options{})
	w.join("n1", "10.244.1.0/24")
	w.podlaned(0)
	w.start(nil, "")
	w.awaitKeys("10.244.1.0-24")
	w.awaitSource("")
	if err := w.api.Refuse(); err != nil {
		t.Fatal(err)
	}
	w.awaitSource("the API server does not answer: dial tcp")
	if got := leaseKeys(*w.last().Leases); got != "10.244.1.0-24" {
		t.Errorf("podlaned has the leases %q while the API server is away", got)
	}
	if err := w.api.Accept(); err != nil {
		t.Fatal(err)
	}
	w.awaitSource("")
	w.join("n2", "10.244.2.0/24")
	w.awaitKeys("10.244.1.0-24 10.244.2.0-24")
}

// An answer with an error is no loss of data and no new state.
func TestAPIServerAnswersWithErrors(t *testing.T) {
	for _, code := range []int{http.StatusNotFound, http.StatusGone, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			w := newFeedWorld(t, apiserver.Options{})
			w.join("n1", "10.244.1.0/24")
			w.join("n2", "10.244.2.0/24")
			w.podlaned(0)
			w.start(nil, "")
			before := w.awaitKeys("10.244.1.0-24 10.244.2.0-24")
			w.awaitSource("")
			w.api.Fail(code)
			w.awaitSource(http.StatusText(code))
			w.api.DeleteNode("n2")
			if got := *w.last().Leases; got.Revision != before.Revision {
				t.Errorf("podlaned received %+v while the API server fails", got)
			}
			w.api.Fail(0)
			if got := w.awaitKeys("10.244.1.0-24"); got.Losses != 0 {
				t.Errorf("%d losses", got.Losses)
			}
			w.awaitSource("")
		})
	}
}

// It keeps the connections open and sends nothing, as a proxy in front of it can.
func TestAPIServerHangsForAWhile(t *testing.T) {
	w := newFeedWorld(t, apiserver.Options{})
	w.watchSilence = 2 * time.Second
	w.join("n1", "10.244.1.0/24")
	w.podlaned(0)
	w.start(nil, "")
	w.awaitKeys("10.244.1.0-24")
	w.awaitSource("")
	w.api.Hang(true)
	w.awaitSource("the API server does not answer in time, or asks to wait")
	w.api.Hang(false)
	w.awaitSource("")
	w.join("n2", "10.244.2.0/24")
	w.awaitKeys("10.244.1.0-24 10.244.2.0-24")
}

func TestTokenGetsItsRightsLater(t *testing.T) {
	w := newFeedWorld(t, apiserver.Options{Certificate: certificateFrom(t, time.Now())})
	w.api.SetNode("n1", "10.244.1.0/24")
	w.api.SetToken("secret")
	w.api.Deny("list nodes", "watch nodes", "patch nodes/status")
	podlaned := w.podlaned(0)
	podlaned.Announce(channel.Announcement{Lease: ownLease("192.168.64.1")})
	w.start(nil, "secret")
	w.awaitSource(`no right to do that (403)`)
	w.api.Deny("patch nodes/status")
	w.awaitSource("")
	w.await("the fault of the announcement", func(l channel.Leases) bool {
		return strings.Contains(l.Own.Fault, "write the annotations of the Node n1: podlane-kube has no right to do that (403)")
	})
	until(t, "the missing right is logged", func() bool {
		return strings.Contains(w.log.String(), "announcement: write the annotations of the Node n1: podlane-kube has no right") &&
			strings.Contains(w.log.String(), `cannot patch resource \"nodes/status\"`)
	})
	w.api.Deny()
	w.await("the own lease, without a fault", func(l channel.Leases) bool { return leaseKeys(l) == "10.244.1.0-24" && l.Own.Fault == "" })
}

// certificateFrom returns a certificate that is valid for an hour from a time.
func certificateFrom(t *testing.T, begin time.Time) *apiserver.Certificate {
	t.Helper()
	c, err := apiserver.NewCertificate(net.IPv4(127, 0, 0, 1), begin)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestUntrustedAPIServers(t *testing.T) {
	now := time.Now()
	valid := certificateFrom(t, now.Add(-time.Minute))
	for name, c := range map[string]struct {
		certificate *apiserver.Certificate
		ca          []byte
		want        string
	}{
		"wrong CA":                       {valid, certificateFrom(t, now).CA, "podlane-kube's CA did not sign the API server's certificate"},
		"expired certificate":            {certificateFrom(t, now.Add(-2*time.Hour)), nil, "is not valid at this node's time"},
		"the clock is an hour too early": {certificateFrom(t, now.Add(time.Hour)), nil, "is not valid at this node's time"},
		"no TLS":                         {nil, nil, "does not answer with TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFeedWorld(t, apiserver.Options{Certificate: c.certificate})
			w.join("n1", "10.244.1.0/24")
			w.podlaned(0)
			w.https = c.certificate == nil
			w.start(c.ca, "")
			w.awaitSource(c.want)
			if w.last().Leases != nil {
				t.Error("podlaned has leases of an API server that is not trusted")
			}
		})
	}
}

func TestWrongToken(t *testing.T) {
	w := newFeedWorld(t, apiserver.Options{Certificate: certificateFrom(t, time.Now())})
	w.join("n1", "10.244.1.0/24")
	w.api.SetToken("secret")
	w.podlaned(0)
	w.start(nil, "old")
	w.awaitSource("does not accept the credentials of podlane-kube (401)")
	w.api.SetToken("old")
	w.awaitSource("")
}

func TestNetworkConfigurationIsCorrected(t *testing.T) {
	w := newFeedWorld(t, apiserver.Options{})
	w.api.SetNode("n1", "10.244.1.0/24")
	w.writeNetwork(`{"Network": 10.244.0.0/16}`)
	w.podlaned(0)
	w.start(nil, "")
	if got := w.await("a fault", func(l channel.Leases) bool { return l.Fault != "" }); !strings.Contains(got.Fault, "net-conf.json in the ConfigMap podlane-network is not JSON") || got.Config != nil {
		t.Errorf("fault %q, configuration %s", got.Fault, got.Config)
	}
	w.writeNetwork(testNetwork)
	w.await("the configuration", func(l channel.Leases) bool { return string(l.Config) == testNetwork && l.Fault == "" })
	if err := os.Remove(w.file); err != nil {
		t.Fatal(err)
	}
	w.await("a fault", func(l channel.Leases) bool { return strings.Contains(l.Fault, "there is no file") })
}

func TestNetworkOfKubeadm(t *testing.T) {
	w := newFeedWorld(t, apiserver.Options{})
	w.api.SetNode("n1", "10.244.1.0/24")
	w.api.SetConfigMap("kube-system", "kubeadm-config", "ClusterConfiguration", "networking:\n  podSubnet: 10.244.0.0/16\n")
	w.writeNetwork(`{}`)
	w.api.Deny("get configmaps")
	w.podlaned(0)
	w.start(nil, "")
	w.await("a fault", func(l channel.Leases) bool {
		return strings.Contains(l.Fault, "no pod network is set") && strings.Contains(l.Fault, "podlane-kube has no right") && strings.Contains(l.Fault, "such as 10.244.1.0/24")
	})
	w.api.Deny()
	w.await("the configuration", func(l channel.Leases) bool { return string(l.Config) == testNetwork && l.Fault == "" })
}

// kubelet writes heartbeats into each Node all the time.
func TestHeartbeatsAreNotSent(t *testing.T) {
	w := newFeedWorld(t, apiserver.Options{})
	w.join("n1", "10.244.1.0/24")
	w.podlaned(0)
	w.start(nil, "")
	before := w.awaitKeys("10.244.1.0-24").Revision
	for i := range 20 {
		w.api.UpdateNode("n1", func(n map[string]any) {
			n["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True", "message": fmt.Sprint(i)}}}
		})
	}
	w.join("n2", "10.244.2.0/24")
	w.awaitKeys("10.244.1.0-24 10.244.2.0-24")
	sets := map[int64]bool{}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.feeds {
		if f.Leases != nil && f.Leases.Revision > before {
			sets[f.Leases.Revision] = true
		}
	}
	if len(sets) > 2 { // n2, and n2 without its annotations
		t.Errorf("%d sets after 20 heartbeats and a new Node, want at most 2", len(sets))
	}
}

func TestOverwrittenAddressIsAnnounced(t *testing.T) {
	w, podlaned := newAnnouncedWorld(t)
	w.api.Annotate("n1", prefix+"public-ip-overwrite", "203.0.113.1")
	w.await("the overwritten address", func(l channel.Leases) bool { return l.Own.PublicIP == "203.0.113.1" })
	podlaned.Announce(channel.Announcement{Lease: ownLease("203.0.113.1")})
	until(t, "the address is announced", func() bool {
		n, _ := w.api.Node("n1")
		return n.Annotations[prefix+"public-ip"] == "203.0.113.1" && n.Annotations[prefix+"public-ip-overwrite"] == "203.0.113.1"
	})
}

// Another program changes the annotations, or the Node is created again.
func TestAnnouncementIsRestored(t *testing.T) {
	w, _ := newAnnouncedWorld(t)
	announced := func() bool {
		n, _ := w.api.Node("n1")
		return n.Annotations[prefix+"public-ip"] == "192.168.64.1" && n.Annotations[prefix+"kube-subnet-manager"] == "true"
	}
	w.api.Annotate("n1", prefix+"public-ip", "192.168.64.7", prefix+"kube-subnet-manager", "")
	until(t, "the annotations are restored", announced)
	w.api.DeleteNode("n1")
	w.await("the Node is deleted", func(l channel.Leases) bool { return !l.Own.Exists })
	w.api.SetNode("n1", "10.244.1.0/24")
	until(t, "the new Node is annotated", announced)
}

// The Node got another podCIDR while pods use the old one. The other nodes must still reach these pods.
func TestPodSubnetInUseStaysAnnounced(t *testing.T) {
	w, _ := newAnnouncedWorld(t)
	data := func() string {
		n, _ := w.api.Node("n1")
		return n.Annotations[prefix+"backend-data"]
	}
	if strings.Contains(data(), "Subnets") {
		t.Errorf("backend-data is %s, want no Subnets", data())
	}
	w.api.SetNode("n1", "10.244.9.0/24")
	got := w.await("the former pod subnet", func(l channel.Leases) bool {
		return leaseKeys(l) == "10.244.1.0-24" && l.Own.PodCIDRs[0] == "10.244.9.0/24"
	})
	if got.Junk != 0 || !strings.Contains(data(), `"Subnets":"10.244.1.0-24"`) {
		t.Errorf("received %+v; backend-data is %s", got, data())
	}
	w.api.SetNode("n1")
	w.await("the pod subnet without a podCIDR", func(l channel.Leases) bool { return leaseKeys(l) == "10.244.1.0-24" && len(l.Own.PodCIDRs) == 0 })
	w.join("n2", "10.244.1.0/24")
	w.await("the podCIDR of n2 alone", func(l channel.Leases) bool { return leaseKeys(l) == "10.244.1.0-24" && l.Junk == 1 })
	w.api.DeleteNode("n2")
	w.api.SetNode("n1", "10.244.1.0/24")
	until(t, "the former pod subnet is announced no more", func() bool { return !strings.Contains(data(), "Subnets") })
}

func TestChangesOfAnAnnouncement(t *testing.T) {
	a := announcer{keys: testKeys(t), name: "n1"}
	for name, c := range map[string]struct {
		own  ownNode
		want string // in backend-data; empty: nothing is written
	}{
		"the Node's podCIDR":        {ownNode{exists: true, podCIDRs: []string{"10.244.1.0/24"}}, `"Version":"v1"}`},
		"a podCIDR of IPv6 as well": {ownNode{exists: true, podCIDRs: []string{"fd00:5:1::/64", "10.244.1.0/24"}}, `"Version":"v1"}`},
		"another podCIDR":           {ownNode{exists: true, podCIDRs: []string{"10.244.9.0/24"}}, `"Subnets":"10.244.1.0-24"}`},
		"no podCIDR":                {ownNode{exists: true}, `"Subnets":"10.244.1.0-24"}`},
		"an invalid podCIDR":        {ownNode{exists: true, podCIDRs: []string{"x"}}, `"Subnets":"10.244.1.0-24"}`},
		"no Node":                   {ownNode{}, ""},
	} {
		changes, err := a.changes(c.own, channel.Announcement{Lease: ownLease("192.168.64.1")})
		data := changes[prefix+"backend-data"]
		if err != nil || (data != nil) != (c.want != "") || data != nil && !strings.HasSuffix(*data, c.want) {
			t.Errorf("%s: changes %v, error %v; want data with %s", name, changes, err, c.want)
		}
	}
	if _, err := a.changes(ownNode{exists: true}, channel.Announcement{Lease: store.SavedLease{Key: "x", Value: []byte("{}")}}); err == nil {
		t.Error("an announcement that is not a lease has no error")
	}
}
