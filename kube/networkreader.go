package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/podlane/podlane/pause"
	"github.com/podlane/podlane/subnet"
)

// Times between two reads of the network configuration.
const (
	readNetworkEvery = 2 * time.Second  // of the file
	askAfterError    = 5 * time.Second  // of kubeadm's ConfigMap, if it is needed and the API server does not answer
	askKubeadmEvery  = 30 * time.Second // of the same, if it does not exist
	askAgainEvery    = 10 * time.Minute // of the same, if it is known
)

// networkReader reads the sources of the network configuration.
type networkReader struct {
	file      string
	configMap func(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	changed   kicks

	mu      sync.Mutex
	current networkSources
	askAt   time.Time // when kubeadm's configuration is due
}

// sources returns what was read last.
func (r *networkReader) sources() networkSources {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

func (r *networkReader) run(ctx context.Context) error {
	for ctx.Err() == nil {
		r.read(ctx, time.Now())
		pause.For(ctx, readNetworkEvery)
	}
	return nil
}

// read reads the file, and kubeadm's configuration if the file has no network.
func (r *networkReader) read(ctx context.Context, now time.Time) {
	next := r.sources()
	next.file, next.fileFault = readNetworkFile(r.file)
	if next.needsKubeadm() && !now.Before(r.askAt) {
		next.podSubnets, next.kubeadmFault = r.askKubeadm(ctx, next.podSubnets)
		switch {
		case next.kubeadmFault != "":
			r.askAt = now.Add(askAfterError)
		case next.podSubnets == "":
			r.askAt = now.Add(askKubeadmEvery)
		default:
			r.askAt = now.Add(askAgainEvery)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !next.equal(r.current) {
		r.current = next
		r.changed.kick()
	}
}

func readNetworkFile(name string) (data []byte, fault string) {
	file, err := os.Open(name)
	if err == nil {
		defer file.Close()
		data, err = io.ReadAll(io.LimitReader(file, subnet.MaxValue+1)) // podlaned refuses more than MaxValue
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Sprintf("there is no file %s with the network configuration: create the ConfigMap podlane-network with the key net-conf.json, and mount it", name)
	case err != nil:
		return nil, "read the network configuration: " + err.Error()
	case len(data) > subnet.MaxValue:
		return nil, fmt.Sprintf("the network configuration in %s has more than %d bytes", name, subnet.MaxValue)
	}
	return data, ""
}

// askKubeadm returns kubeadm's pod subnets. If the API server does not answer, it returns the previous ones.
func (r *networkReader) askKubeadm(ctx context.Context, previous string) (podSubnets, fault string) {
	m, err := r.configMap(ctx, "kube-system", "kubeadm-config")
	switch {
	case apierrors.IsNotFound(err) && !apierrors.IsUnexpectedServerError(err):
		return "", ""
	case err != nil:
		return previous, describe("read the ConfigMap kubeadm-config in kube-system", err, time.Now()).Error()
	}
	podSubnets, err = kubeadmPodSubnets(m.Data["ClusterConfiguration"])
	if err != nil {
		return previous, err.Error()
	}
	return podSubnets, ""
}
