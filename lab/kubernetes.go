package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/podlane/podlane/lab/apiserver"
)

// apiPort is the port of the API server, as in a real cluster.
const apiPort = 6443

// networkFile is the file that a real cluster mounts from the ConfigMap podlane-network. All nodes have the same.
func networkFile() string { return filepath.Join(dir, "net-conf.json") }

// startAPI starts the API server on the router.
func (l *Lab) startAPI(context.Context) error {
	address := l.underlay.plans[0].router().Addr()
	certificate, err := apiserver.NewCertificate(address.AsSlice(), time.Now().Add(-time.Minute))
	if err != nil {
		return err
	}
	l.API, err = apiserver.Start(apiserver.Options{Address: fmt.Sprintf("%s:%d", address, apiPort), Certificate: certificate})
	return err
}

// PodCIDRs returns the podCIDRs that StartAll gives to the Node of node i, from 1. They are in DefaultConfig's network.
func (l *Lab) PodCIDRs(i int) []string {
	podCIDRs := []string{fmt.Sprintf("10.5.%d.0/24", i)}
	if l.options.IPv6 {
		podCIDRs = append(podCIDRs, fmt.Sprintf("fd00:5:0:%x::/64", i))
	}
	return podCIDRs
}

// makeCluster writes the network configuration and makes the Nodes.
func (l *Lab) makeCluster(context.Context) error {
	for _, n := range l.Nodes {
		l.API.SetNode(n.Name, l.PodCIDRs(n.Index)...)
		if err := n.SetKubeconfig(l.API.Kubeconfig(nil, "")); err != nil {
			return err
		}
	}
	return l.SetNetworkFile(l.options.Config)
}

// SetNetworkFile replaces the network configuration in a lab with Options.Kubernetes. It need not be valid.
func (l *Lab) SetNetworkFile(config string) error { return replaceFile(networkFile(), []byte(config)) }

// SetKubeconfig replaces the kubeconfig of the node's podlane-kube, which reads it when it starts.
func (n *Node) SetKubeconfig(data []byte) error { return replaceFile(n.kubeconfig(), data) }

func (n *Node) kubeconfig() string { return filepath.Join(n.dir(), "kubeconfig") }

// replaceFile writes a file by rename, as the kubelet does. A reader never sees a half.
func replaceFile(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// FeederLogText returns podlane-kube's output of all its starts.
func (n *Node) FeederLogText() string {
	text, err := os.ReadFile(n.feederLog())
	if err != nil {
		return ""
	}
	return string(text)
}

func (n *Node) feederLog() string { return filepath.Join(n.dir(), "podlane-kube.log") }

// LaunchFeeder starts podlane-kube and does not wait for it. ctx bounds only this call. args follow `podlane-kube node`.
func (n *Node) LaunchFeeder(ctx context.Context, args ...string) error {
	if n.feeder.running() {
		return fmt.Errorf("podlane-kube on %s already runs", n.Name)
	}
	command := append([]string{"--bounding-set=-all", "--inh-caps=-all", "--", filepath.Join(n.bin, "podlane-kube"), "node"}, args...)
	feeder, err := startProcess(n.Command(context.WithoutCancel(ctx), "setpriv", command...), n.StartCommand, n.feederLog())
	if err != nil {
		return fmt.Errorf("start podlane-kube on %s: %w", n.Name, err)
	}
	n.feeder = feeder
	return nil
}

// FeederRunning reports whether podlane-kube runs.
func (n *Node) FeederRunning() bool { return n.feeder.running() }

// FeederPID returns podlane-kube's process id; 0 if it does not run.
func (n *Node) FeederPID() int {
	if !n.FeederRunning() {
		return 0
	}
	return n.feeder.cmd.Process.Pid
}

// KillFeeder ends podlane-kube with SIGKILL and waits for it.
func (n *Node) KillFeeder() error { return n.feeder.kill() }

// StopFeeder ends podlane-kube with SIGTERM, waits for it and returns its exit code.
func (n *Node) StopFeeder(ctx context.Context) (int, error) {
	if n.feeder == nil {
		return 0, fmt.Errorf("podlane-kube on %s was never started", n.Name)
	}
	if err := n.feeder.signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-n.feeder.done:
		return n.feeder.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, errors.Join(fmt.Errorf("podlane-kube on %s does not end: %w", n.Name, ctx.Err()), n.KillFeeder())
	}
}
