package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/podlane/podlane/pause"
	"github.com/podlane/podlane/subnet/etcd"
	"github.com/podlane/podlane/subnet/kubernetes"
	"github.com/podlane/podlane/subnet/store"
)

// etcdStore is the lease store in etcd. It explains etcd's errors.
type etcdStore struct {
	config  config
	file    *networkFile
	observe func(call string, took time.Duration, err error)
	store   *etcd.Store // nil: it could not be opened yet
}

// openEvery is the time between two attempts to open the store.
const openEvery = 5 * time.Second

// openStore opens the store that the settings name. If observe is not nil, it is called after each call to etcd.
//
// It does not wait for the store. With network-file, podlaned runs in Kubernetes, and must not end in a loop of restarts. So Run
// waits until the CA, the certificate and the password can be read.
func openStore(c config, file *networkFile, observe func(call string, took time.Duration, err error)) (leaseStore, error) {
	if c.store == storeKubernetes {
		return kubernetesStore{kubernetes.New(c.runDir)}, nil
	}
	s, err := c.etcd.Open(observe)
	if err != nil && !c.retriesForever() {
		return nil, err
	}
	return &etcdStore{c, file, observe, s}, nil
}

// retriesForever reports whether no error of etcd ends podlaned.
func (c config) retriesForever() bool { return c.networkFile != "" }

// Close implements leaseStore.
func (s *etcdStore) Close() {
	if s.store != nil {
		s.store.Close()
	}
}

// Run implements leaseStore.
func (s *etcdStore) Run(ctx context.Context, n storeNode, deliver func(store.State)) (err error) {
	for s.store == nil {
		if s.store, err = s.config.etcd.Open(s.observe); err == nil {
			break
		}
		deliver(store.State{Err: err})
		if !pause.For(ctx, openEvery) {
			return nil
		}
	}
	opts := etcd.Options{
		Self: n.self, Changes: n.changes, Saved: n.saved, TTL: s.config.leaseTTL, Check: n.check,
		Config: s.file.config, RetryForever: s.config.retriesForever(),
	}
	err = s.store.Run(ctx, opts, func(st store.State) {
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
