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
	other := etcd.open(t)
	intercept(other, func(_ *etcdserverpb.TxnRequest, commit func() error) error {
		etcd.put("config", dualConfig) // another program writes it at the same time
		return commit()
	})
	if err := other.SetConfig(t.Context(), []byte(ipv4Config)); !errors.Is(err, ErrConfigChanged) {
		t.Errorf("%v, want %v", err, ErrConfigChanged)
	}
	if got := etcd.keys("config")[""].value; got != dualConfig {
		t.Errorf("the other program's configuration was overwritten with %s", got)
	}
	etcd.deleteAll("")
	for _, prefix := range []string{"/coreos.com/network", "plain/", "/podlane/network2"} {
		works(t, Config{Endpoints: []string{etcd.url}, Prefix: prefix})
	}
	if k := etcd.keys(""); len(k) != 0 {
		t.Errorf("keys %v under another store's prefix", k)
	}
}
