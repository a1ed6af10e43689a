package faults

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// etcd answers reads and refuses writes. Nodes start and run on their leases.
var refusalFaults = []fault{
	{"podlaned starts and a node boots while etcd has no space", func(t *testing.T, b *bed) {
		traffic := cluster.StartFlood(t, b.pairs(b.Nodes[0], b.Nodes[2])...)
		kernel := cluster.WatchKernel(t, b.Nodes[0].Place)
		cluster.Stop(t, b.Nodes[0])
		end := b.raise(t, etcdserverpb.AlarmType_NOSPACE)
		b.reboot(t, b.Nodes[1:2])
		b.expectComeback(t, b.Nodes[:2])
		for _, n := range b.Nodes[:2] {
			expectRefusal(t, n, "alarm NOSPACE", "`etcdctl alarm disarm`")
		}
		end()
		cluster.AwaitPeers(t, b.Lab, soon, 2)
		expectUntouched(t, kernel)
		traffic.ExpectNothingLost(t)
	}},
	{"podlaned starts without its state while a member of etcd is corrupt", func(t *testing.T, b *bed) {
		traffic, n := b.flood(t), b.Nodes[0]
		cluster.Stop(t, n)
		cluster.Check(t, errors.Join(os.Remove(filepath.Join(n.StateDir(), "state.json")), os.Remove(n.NodeFile())))
		newcomer.put(t, b.Lab)
		end := b.raise(t, etcdserverpb.AlarmType_CORRUPT)
		cluster.Check(t, n.Launch(cluster.Within(t)))
		newcomer.await(t, n, bootLimit, true)
		expectRefusal(t, n, "alarm CORRUPT", "`etcdctl alarm list`")
		end()
		newcomer.leave(t, b.Lab)
		traffic.ExpectNothingLost(t)
	}},
	{"the underlay address changes while etcd has no space", moveWhileRefused},
	{"the network configuration is deleted", func(t *testing.T, b *bed) {
		traffic, n := b.flood(t), b.Nodes[0]
		const key = lab.DefaultPrefix + "/config"
		text, _, err := b.Etcd.Get(cluster.Within(t), key)
		cluster.Check(t, err)
		cluster.Stop(t, n)
		cluster.Check(t, errors.Join(os.Remove(filepath.Join(n.StateDir(), "state.json")), os.Remove(n.NodeFile())))
		change(t, func(ctx context.Context) error { return b.Etcd.Delete(ctx, key) })
		began := time.Now()
		cluster.Check(t, n.Launch(cluster.Within(t))) // as a node without saved state
		cluster.Until(t, 2*second, "the configuration is restored", func() (bool, string) {
			now, _, err := b.Etcd.Get(cluster.Within(t), key)
			return err == nil && now == text, now
		})
		t.Logf("restored after %v", since(began))
		cluster.Check(t, n.Ready(cluster.Within(t)))
		traffic.ExpectNothingLost(t)
	}},
}

func TestEtcdRefusesWrites(t *testing.T) { runFaults(t, refusalFaults) }

// raise raises an alarm of etcd. end disarms it.
func (b *bed) raise(t *testing.T, alarm etcdserverpb.AlarmType) (end func()) {
	t.Helper()
	set := func(action etcdserverpb.AlarmRequest_AlarmAction) {
		t.Helper()
		change(t, func(ctx context.Context) error {
			status, err := b.Etcd.Client.Status(ctx, b.Etcd.Endpoints()[0])
			if err != nil {
				return err
			}
			request := &etcdserverpb.AlarmRequest{Action: action, MemberID: status.Header.MemberId, Alarm: alarm}
			_, err = etcdserverpb.NewMaintenanceClient(b.Etcd.Client.ActiveConnection()).Alarm(ctx, request)
			return err
		})
	}
	set(etcdserverpb.AlarmRequest_ACTIVATE)
	return func() { set(etcdserverpb.AlarmRequest_DEACTIVATE) }
}

// expectRefusal expects that a node attaches pods. Its readiness must name the refusal and the command that ends it.
func expectRefusal(t *testing.T, n *lab.Node, words ...string) {
	t.Helper()
	if code, body := cluster.Get(t, n, "/readyz/attach?verbose"); code != http.StatusOK {
		t.Errorf("%s: /readyz/attach: got %d, want 200: %s", n.Name, code, body)
	}
	code, _ := cluster.Get(t, n, "/readyz")
	ok, text := cluster.ReadyCheck(t, n, "etcd")
	if code != http.StatusServiceUnavailable {
		t.Errorf("%s: /readyz: got %d, want 503", n.Name, code)
	}
	if ok {
		t.Errorf("%s: readiness check etcd holds, want a failure", n.Name)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%s: readiness check etcd: %q, want %q in it", n.Name, text, word)
		}
	}
}

// moveWhileRefused changes the first node's addresses. Until the write succeeds, the peers keep the old ones. The node
// is not ready until then. The log has one line for the start and one for the end.
func moveWhileRefused(t *testing.T, b *bed) {
	n, words := b.Nodes[0], b.wordsOf(t)
	logged := len(n.LogText())
	end := b.raise(t, etcdserverpb.AlarmType_NOSPACE)
	b.do(t, words, "ip address del HOST4/16 dev eth0", "ip address del HOST6/64 dev eth0",
		"ip address add 198.18.9.9/16 dev eth0", "ip address add fd98:18::909/64 dev eth0", default4, default6)
	cluster.Until(t, underlayLimit, "readiness names the refusal", func() (bool, string) {
		ok, text := cluster.ReadyCheck(t, n, "etcd")
		return !ok && strings.Contains(text, "alarm NOSPACE"), text
	})
	for began := time.Now(); since(began) < 4*second; {
		expectRefusal(t, n, "alarm NOSPACE")
	}
	end()
	took := cluster.Until(t, soon, "the peers have the new address", func() (bool, string) {
		now := cluster.Run(t, b.Nodes[1].Place, "bridge fdb show")
		return strings.Contains(now, " dst 198.18.9.9 "), now
	})
	t.Logf("the new address is written %v after the alarm", took)
	cluster.AwaitStatus(t, n, underlayLimit, "ready", func(s cluster.Status) bool { return s.Ready })
	count := func(level, text string) int {
		return strings.Count(n.LogText()[logged:], "level="+level+` msg="etcd: `+text)
	}
	cluster.Until(t, soon, "the recovery is logged", func() (bool, string) { return count("info", "recovered") > 0, n.LogText()[logged:] })
	if count("warning", "") != 1 || count("info", "recovered") != 1 {
		t.Errorf("want one warning at the start and one info at the end:\n%s", n.LogText()[logged:])
	}
	b.expectFollowed(t, words.Replace("HOST4"), words.Replace("HOST6"), func() {
		b.do(t, words, "ip address del 198.18.9.9/16 dev eth0", "ip address del fd98:18::909/64 dev eth0",
			"ip address add HOST4/16 dev eth0", "ip address add HOST6/64 dev eth0", default4, default6)
	})
}
