package etcd

import (
	"errors"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

func TestConfigGetAndSet(t *testing.T) {
	etcd := startEtcd(t)
	store := etcd.open(t)
	if _, _, err := store.Config(t.Context()); !errors.Is(err, ErrNoConfig) || !strings.Contains(err.Error(), "podlaned config set") {
		t.Errorf("no configuration: %v", err)
	}
	if err := store.SetConfig(t.Context(), []byte(`{"Network":"10.5.0.0/31"}`)); err == nil || len(etcd.keys("")) != 0 {
		t.Errorf("an invalid configuration was written: %v", err)
	}
	for _, text := range []string{ipv4Config, dualConfig} {
		if err := store.SetConfig(t.Context(), []byte(text)); err != nil {
			t.Fatal(err)
		}
		raw, revision, err := store.Config(t.Context())
		if err != nil || string(raw) != text || revision != etcd.keys("config")[""].modified {
			t.Errorf("read %s at %d, %v", raw, revision, err)
		}
	}
}

func TestConfigIsChangedBySomebodyElse(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	store := etcd.open(t)
	intercept(store, func(_ *etcdserverpb.TxnRequest, commit func() error) error {
		etcd.put("config", dualConfig)
		return commit()
	})
	if err := store.SetConfig(t.Context(), []byte(ipv4Config)); !errors.Is(err, ErrConfigChanged) {
		t.Error(err)
	}
	if etcd.keys("config")[""].value != dualConfig {
		t.Error("it was overwritten")
	}
}

func TestRunWithoutConfiguration(t *testing.T) {
	etcd := startEtcd(t)
	run(t, etcd.open(t), quick(1)).fails(t, ErrNoConfig)
	for _, bad := range []string{"", "{", `{"Network":"10.5.0.0/31"}`, `{"Network":"10.5.0.0/16","Backend":{"Type":"udp"}}`} {
		etcd.put("config", bad)
		run(t, etcd.open(t), quick(1)).fails(t, ErrConfig)
	}
}

func TestOtherPrefix(t *testing.T) {
	etcd := startEtcd(t)
	for _, prefix := range []string{"/coreos.com/network", "plain/", "/podlane/network2"} {
		works(t, Config{Endpoints: []string{etcd.url}, Prefix: prefix})
	}
	if k := etcd.keys(""); len(k) != 0 {
		t.Errorf("keys %v under another's prefix", k)
	}
}
