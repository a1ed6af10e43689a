package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/podlane/podlane/pause"
	"github.com/podlane/podlane/problems"
	"github.com/podlane/podlane/subnet"
)

// readFileEvery is the time between two reads of network-file. Kubernetes changes the file when its ConfigMap changes.
const readFileEvery = 5 * time.Second

// networkFile is the file of the setting network-file. podlaned writes its network configuration to etcd if etcd has none. It
// keeps an existing one, because a rollout must not change the network of a running cluster. `podlaned config set` changes it.
type networkFile struct {
	path string // empty: there is none

	mu      sync.Mutex
	raw     []byte // the content, if it is valid
	network subnet.Network
}

// newNetworkFile returns the file for a store in etcd. With the store kubernetes, podlane-kube reads the file, and its Network may
// be empty.
func newNetworkFile(c config) *networkFile {
	if c.store == storeKubernetes {
		return &networkFile{}
	}
	return &networkFile{path: c.networkFile}
}

// run reads the file again until ctx ends. A file that cannot be used is a problem.
func (f *networkFile) run(ctx context.Context, p *problems.Log) error {
	for f.path != "" && pause.For(ctx, readFileEvery) {
		p.Check("network-file", f.read())
	}
	return ctx.Err()
}

// read reads the file, if there is one.
func (f *networkFile) read() error {
	if f.path == "" {
		return nil
	}
	raw, err := readFile(f.path)
	var network subnet.Network
	if err == nil {
		network, _, err = subnet.ParseNetwork(raw) // the store warns of what etcd has
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.raw, f.network = nil, subnet.Network{}
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.raw, f.network = raw, network
	return nil
}

// config returns the valid content of the file, or nil.
func (f *networkFile) config() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.raw
}

// difference returns a note if the network configuration in etcd is another one, or nothing.
func (f *networkFile) difference(stored subnet.Network) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.raw == nil || stored == (subnet.Network{}) || stored == f.network {
		return ""
	}
	return fmt.Sprintf("the network configuration in etcd differs from network-file %s, and the one in etcd stays in use: `podlaned config set FILE` changes it", f.path)
}
