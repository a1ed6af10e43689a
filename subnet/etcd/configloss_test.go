package etcd

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet/store"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const newConfig = `{"Network":"10.5.0.0/16","SubnetMax":"10.5.200.0"}`

// The configuration alone is deleted while nodes run. Its last version is restored soon, and a node that starts meanwhile
// joins.
func TestDeletedConfigurationIsRestored(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	running := peers(t, etcd, 3, nil)
	etcd.put("config", newConfig)
	began := time.Now()
	etcd.delete("config")
	newcomer := run(t, etcd.open(t), quick(4))
	eventually(t, "the configuration is restored", func() bool { return etcd.keys("config")[""].value == newConfig })
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	newcomer.held(t)
	for _, n := range running {
		s := n.wait(t, "all peers and no warning", func(s State) bool { return held(s) && len(s.Set.Records) == 4 && len(s.Warnings) == 0 })
		if string(s.Config) != newConfig || s.Losses != 0 {
			t.Errorf("%s: configuration %s, %d losses", n.name, s.Config, s.Losses)
		}
	}
}

// A node that starts with an older configuration leaves the restoration to those that know a newer one, also after all data
// was lost.
func TestNodeWithAnOlderConfigurationDoesNotRestoreIt(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	running := peers(t, etcd, 2, nil)
	old := running[0].held(t)
	running[0].stop(t)
	etcd.put("config", newConfig)
	running[1].wait(t, "new configuration", func(s State) bool { return string(s.Config) == newConfig })
	etcd.stop()
	etcd.start(t.TempDir())
	saved, opts := old.Save(), quick(0)
	opts.Saved = &saved
	again := run(t, etcd.open(t), opts)
	eventually(t, "a configuration is restored", func() bool { return etcd.keys("config")[""].value != "" })
	if c := etcd.keys("config")[""].value; c != newConfig {
		t.Errorf("configuration %s", c)
	}
	again.wait(t, "new configuration", func(s State) bool { return held(s) && string(s.Config) == newConfig })
}

// A node that may write leases but not the configuration reports that it cannot restore it. Everything else works.
func TestNodeMayNotRestoreTheConfiguration(t *testing.T) {
	t.Parallel()
	etcd, cfg := startWithUser(t)
	root := rootOf(t, etcd)
	n := run(t, openStore(t, cfg), quick(1))
	own := n.held(t).Own
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	do := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	all, leases := DefaultPrefix+"/", DefaultPrefix+"/"+subnets
	do(root.RoleGrantPermission(ctx, "node", all, clientv3.GetPrefixRangeEnd(all), clientv3.PermissionType(clientv3.PermRead)))
	do(root.RoleGrantPermission(ctx, "node", leases, clientv3.GetPrefixRangeEnd(leases), clientv3.PermissionType(clientv3.PermReadWrite)))
	do(root.Delete(ctx, DefaultPrefix+"/config"))
	s := n.wait(t, "refusal", func(s State) bool { return errors.Is(s.Err, ErrPermission) })
	if !strings.Contains(s.Err.Error(), "the network configuration is missing from etcd and this node cannot restore it: ") || len(s.Warnings) != 0 || !s.Held {
		t.Errorf("err %v, warnings %q, held %v", s.Err, s.Warnings, s.Held)
	}
	do(root.Delete(ctx, leases+own.Pair().Key()))
	n.wait(t, "lease restored, and the refusal", func(s State) bool { return s.Held && s.Losses == 1 && errors.Is(s.Err, ErrPermission) })
	do(root.Put(ctx, DefaultPrefix+"/config", ipv4Config))
	n.held(t)
}

// A read that shows that the configuration is gone does not show whether it was changed before. The watch does, and brings
// that to other nodes already.
func TestReadThatShowsADeletedConfiguration(t *testing.T) {
	now := time.Now()
	s := newSession(Options{Self: self(1)})
	m := newMirror(5)
	m.put(configName, &mvccpb.KeyValue{Value: []byte(ipv4Config), ModRevision: 5})
	s.replace(m, false, now, time.Minute)
	s.learn(configName, nil, 9)
	if s.restoresConfig(now); s.restoring.at.Before(now.Add(listPatience)) {
		t.Errorf("it is restored after %v, want at least %v", s.restoring.at.Sub(now), listPatience)
	}
}

func TestWhenTheConfigurationIsRestored(t *testing.T) {
	now := time.Now()
	kv := func(value string, revision int64) *mvccpb.KeyValue {
		return &mvccpb.KeyValue{Key: []byte("/p/config"), Value: []byte(value), ModRevision: revision}
	}
	listed := func(s *session) {
		m := newMirror(5)
		m.put(configName, kv(ipv4Config, 5))
		s.replace(m, false, now, time.Minute)
	}
	for name, c := range map[string]struct {
		want        string
		least, most time.Duration
		happens     func(*session)
	}{
		"it is there":                        {"", 0, 0, listed},
		"it was gone before the start":       {"", 0, 0, func(s *session) { s.replace(newMirror(9), false, now, time.Minute) }},
		"all data was lost before the start": {ipv4Config, savedPatience, savedPatience + restoreSpread, func(s *session) { s.replace(newMirror(1), false, now, time.Minute) }},
		"a list shows that it is gone":       {ipv4Config, listPatience, listPatience + restoreSpread, func(s *session) { listed(s); s.replace(newMirror(9), false, now, time.Minute) }},
		"it is changed and deleted, and back": {"", 0, 0, func(s *session) {
			listed(s)
			s.mirror.remove(configName, 6)
			s.mirror.put(configName, kv(newConfig, 7))
		}},
		"it is changed and deleted at once": {newConfig, 0, restoreSpread, func(s *session) {
			listed(s)
			s.absorb("/p", clientv3.WatchResponse{Events: []*clientv3.Event{
				{Type: clientv3.EventTypePut, Kv: kv(newConfig, 6)}, {Type: clientv3.EventTypeDelete, Kv: kv("", 7)},
			}}, now, time.Minute)
		}},
		"it is made invalid and deleted": {ipv4Config, 0, restoreSpread, func(s *session) {
			listed(s)
			s.mirror.put(configName, kv("{", 6))
			s.mirror.remove(configName, 7)
		}},
	} {
		s := newSession(Options{Self: self(1), Saved: &store.Saved{Config: []byte(ipv4Config), Revision: 4}})
		c.happens(&s)
		s.readConfig()
		if s.restoresConfig(now) && c.want == "" || (s.restoring.at.IsZero()) != (c.want == "") {
			t.Errorf("%s: restored at %v", name, s.restoring.at)
		}
		if in := s.restoring.at.Sub(now); c.want != "" && (string(s.config) != c.want || in < c.least || in > c.most || !s.restoresConfig(now.Add(c.most))) {
			t.Errorf("%s: %s is restored in %v, want %s in %v to %v", name, s.config, in, c.want, c.least, c.most)
		}
	}
}
