package main

import (
	"fmt"

	"github.com/podlane/podlane/status"
	"github.com/podlane/podlane/subnet/kubernetes"
)

// storeKind is a kind of lease store. Its text is the value of the setting store, and the name of the store's check.
type storeKind string

const (
	storeEtcd       storeKind = status.StoreEtcd
	storeKubernetes storeKind = status.StoreKubernetes
)

// place returns where the leases are, for sentences.
func (k storeKind) place() string { return status.Place(string(k)) }

// configPlace returns where the network configuration is, for sentences.
func (k storeKind) configPlace() string {
	if k == storeKubernetes {
		return "the ConfigMap " + kubernetes.ConfigMap
	}
	return "etcd"
}

// howToConfigure returns how to change the network configuration, for sentences.
func (k storeKind) howToConfigure() string {
	if k == storeKubernetes {
		return "in the ConfigMap " + kubernetes.ConfigMap
	}
	return "with `podlaned config set`"
}

// storeIdentity returns the text that a saved state has for its store: the prefix in etcd, or "kubernetes".
func (c config) storeIdentity() string {
	if c.store == storeKubernetes {
		return string(storeKubernetes)
	}
	return c.etcd.Prefix
}

// describeIdentity returns the name of a store by its identity, for sentences.
func describeIdentity(identity string) string {
	if identity == string(storeKubernetes) {
		return storeKubernetes.place()
	}
	return "the etcd prefix " + identity
}

// checkStore returns an error if the settings name no store, or contain a wrong one of the store.
func (c config) checkStore() error {
	switch c.store {
	case storeEtcd:
		return c.etcd.Check()
	case storeKubernetes:
		return nil
	}
	return fmt.Errorf("store %q is not %s or %s", c.store, storeEtcd, storeKubernetes)
}

// otherStore returns a sentence if a setting belongs to the store that is not used; empty: none does. It is no error: in
// Kubernetes podlaned would be restarted again and again, and only its log would name the reason.
func (c config) otherStore() string {
	if c.store != storeKubernetes || c.etcdSetting == "" {
		return ""
	}
	return fmt.Sprintf("two stores at once: store is %s, and %s is set for etcd and has no effect; remove one of them", storeKubernetes, c.etcdSetting)
}
