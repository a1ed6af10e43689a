package etcd

import (
	"errors"
	"os"
	"testing"
)

// The first nodes of a cluster start at once, with different files. One configuration is written, and all use it.
func TestNewEtcdGetsOneConfiguration(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	configs := []string{ipv4Config, newConfig}
	var nodes []*node
	for i := range 4 {
		opts := quick(i)
		opts.Config = func() []byte { return []byte(configs[i%2]) }
		nodes = append(nodes, run(t, etcd.open(t), opts))
	}
	for _, n := range nodes {
		if got := string(n.held(t).Config); got != etcd.keys("config")[""].value {
			t.Errorf("%s uses %s; etcd has %s", n.name, got, etcd.keys("config")[""].value)
		}
	}
}

// etcd denies access. A patient node waits until that is over.
func TestPatientNodeWaitsForAccess(t *testing.T) {
	t.Parallel()
	_, cfg := startWithUser(t)
	cfg.PasswordFile = passwordFile(t, "wrong")
	opts := quick(1)
	opts.RetryForever = true
	n := run(t, openStore(t, cfg), opts)
	n.wait(t, "denial", func(s State) bool { return errors.Is(s.Err, ErrDenied) })
	if err := os.WriteFile(cfg.PasswordFile, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.held(t)
}

// There is no configuration, and none is offered.
func TestPatientNodeWaitsForAConfiguration(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	opts := quick(1)
	opts.RetryForever = true
	n := run(t, etcd.open(t), opts)
	n.wait(t, "error", func(s State) bool { return errors.Is(s.Err, ErrNoConfig) })
	etcd.put("config", ipv4Config)
	n.held(t)
}
