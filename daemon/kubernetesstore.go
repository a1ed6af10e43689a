package main

import (
	"context"

	"github.com/podlane/podlane/subnet/kubernetes"
	"github.com/podlane/podlane/subnet/store"
)

// kubernetesStore is the lease store in the Kubernetes API. podlane-kube feeds it.
type kubernetesStore struct{ *kubernetes.Store }

// Close implements leaseStore. Run has closed everything.
func (kubernetesStore) Close() {}

// Run implements leaseStore. None of its errors ends podlaned.
func (s kubernetesStore) Run(ctx context.Context, n storeNode, deliver func(store.State)) error {
	opts := kubernetes.Options{Self: n.self, Changes: n.changes, Saved: n.saved, Program: "podlaned " + version, Check: n.check}
	return s.Store.Run(ctx, opts, deliver)
}
