package input

import (
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// startVoterAndLearner starts an etcd with two members and returns their endpoints.
func startVoterAndLearner(t *testing.T) (voter, learner string) {
	t.Helper()
	v, l := etcdConfig(t, "voter", 23790), etcdConfig(t, "learner", 23792)
	voter, learner = v.AdvertiseClientUrls[0].String(), l.AdvertiseClientUrls[0].String()
	startEmbedded(t, v)
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{voter}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // it returns the error of its own context
	if _, err := c.MemberAddAsLearner(t.Context(), []string{l.AdvertisePeerUrls[0].String()}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Put(t.Context(), lab.DefaultPrefix+"/config", lab.DefaultConfig); err != nil {
		t.Fatal(err)
	}
	l.InitialCluster += "," + v.InitialCluster
	l.ClusterState = embed.ClusterStateFlagExisting
	startEmbedded(t, l)
	return voter, learner
}

// While a member of etcd is replaced, the new one is a learner, which refuses every call. One voting member is enough.
// If the learner is the only member, the error names it.
func TestLearnerAmongTheEndpoints(t *testing.T) {
	l := build(t, 1)
	n := l.Nodes[0]
	voter, learner := startVoterAndLearner(t)
	const alone = "list /podlane/network/: the member at 198.18.0.1:23792 is a learner: promote it with `etcdctl member promote`, or name a voting member in etcd-endpoints"
	if err := n.Launch(t.Context(), "--etcd-endpoints="+learner); err != nil {
		t.Fatal(err)
	}
	expectProblemSoon(t, n, "etcd: etcd at "+learner+": "+alone)
	for _, endpoints := range []string{learner + "," + voter, voter + "," + learner} {
		if code, err := n.Stop(t.Context()); code != exitOK || err != nil {
			t.Fatalf("stop: exit code %d, error %v; want 0", code, err)
		}
		begun := time.Now()
		if err := n.Launch(t.Context(), "--etcd-endpoints="+endpoints); err != nil {
			t.Fatal(err)
		}
		await(t, n, "ready", func(s status) bool { return s.Ready && len(s.Problems) == 0 })
		took := time.Since(begun)
		t.Logf("ready with %s after %v", endpoints, took)
		if took > 2*time.Second {
			t.Errorf("ready with %s after %v, want at most 2s", endpoints, took)
		}
	}
	if err := n.Kill(); err != nil { // etcd would wait for its connections to end
		t.Error(err)
	}
}

// A proxy in the environment is for destinations outside the cluster. This one refuses every connection.
func TestProxyOfTheEnvironment(t *testing.T) {
	var proxies []string
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		proxies = append(proxies, name+"=http://198.18.0.1:1")
	}
	l := cluster.Build(t, lab.Options{Nodes: 1, NodeEnv: func(int) []string { return proxies }})
	n := l.Nodes[0]
	if o := run(t, n, nil, "config", "set", writeFile(t, "network.json", lab.DefaultConfig)); o.code != exitOK {
		t.Fatalf("config set: %+v", o)
	}
	if err := n.Launch(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, n, "ready", func(s status) bool { return s.Ready && len(s.Problems) == 0 })
}
