package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/podlane/podlane/subnet/etcd"
	"github.com/podlane/podlane/subnet/store"
)

// etcdStore is the lease store in etcd. It explains etcd's errors.
type etcdStore struct {
	*etcd.Store
	config config
}

func openStore(c config, observe func(call string, took time.Duration, err error)) (leaseStore, error) {
	s, err := c.etcd.Open(observe)
	if err != nil {
		return nil, err
	}
	return etcdStore{s, c}, nil
}

// Close implements leaseStore.
func (s etcdStore) Close() { s.Store.Close() }

// Run implements leaseStore.
func (s etcdStore) Run(ctx context.Context, n storeNode, deliver func(store.State)) error {
	opts := etcd.Options{Self: n.self, Changes: n.changes, Saved: n.saved, TTL: s.config.leaseTTL, Check: n.check}
	err := s.Store.Run(ctx, opts, func(st store.State) {
		st.Err = explain(s.config, st.Err)
		deliver(st)
	})
	return explain(s.config, err)
}

// explain adds to an error of etcd the key or setting, and how to correct it.
func explain(c config, err error) error {
	key := c.etcd.Prefix + "/config"
	switch {
	case errors.Is(err, etcd.ErrNoConfig) && !strings.HasPrefix(err.Error(), key):
		return fmt.Errorf("%s: %w", key, err)
	case errors.Is(err, etcd.ErrConfig):
		return fmt.Errorf("%s: %w; correct it with `podlaned config set FILE`", key, err)
	case errors.Is(err, etcd.ErrPermission):
		return fmt.Errorf("%w; give the user's role both rights with `etcdctl role grant-permission ROLE --prefix=true readwrite %s/`, or see the settings etcd-username and etcd-password-file",
			err, c.etcd.Prefix)
	case errors.Is(err, etcd.ErrNoSpace):
		return fmt.Errorf("%w; make room with `etcdctl compact REVISION` and `etcdctl defrag`, or give etcd a larger --quota-backend-bytes, then run `etcdctl alarm disarm`", err)
	case errors.Is(err, etcd.ErrCorrupt):
		return fmt.Errorf("%w; `etcdctl alarm list` names the member: replace it, then run `etcdctl alarm disarm`", err)
	case errors.Is(err, etcd.ErrDenied):
		return fmt.Errorf("%w; see the settings etcd-username and etcd-password-file", err)
	}
	return err
}
