package lab

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/podlane/podlane/subnet"
)

// startTimeout bounds how long a daemon may take to become ready, and to end after a signal.
const startTimeout = 30 * time.Second

// Node is a node: a namespace on the underlay with a podlaned. Only one goroutine at a time may use it.
type Node struct {
	*Place
	Index  int        // from 1
	Addr   netip.Addr // IPv4, on the underlay
	Addr6  netip.Addr // IPv6; valid in a lab with Options.IPv6
	Daemon string     // path of the podlaned that Launch and Start run; empty: the lab's

	lab    *Lab
	daemon *process // nil: never started
	feeder *process // podlane-kube; nil: never started
	cuts   int      // how many times CutOff was called
}

func (l *Lab) makeNode(i int) (*Node, error) {
	name := fmt.Sprintf("n%d", i)
	place, err := makePlace(name, l.options.Bin, l.nodeEnv(i, name))
	if err != nil {
		return nil, err
	}
	n := &Node{Place: place, Index: i, lab: l}
	for _, p := range l.underlay.plans {
		if a := p.node(i).Addr(); a.Is4() {
			n.Addr = a
		} else {
			n.Addr6 = a
		}
	}
	return n, l.underlay.attach(i, place.ns)
}

// nodeEnv returns podlaned's settings on node i. Commands on the node, such as `podlaned status`, have them too.
func (l *Lab) nodeEnv(i int, name string) []string {
	own := filepath.Join(dir, name)
	store := []string{
		"PODLANE_STORE=kubernetes",
		"PODLANE_NETWORK_FILE=" + networkFile(),
		"PODLANE_KUBECONFIG=" + filepath.Join(own, "kubeconfig"),
	}
	if l.Etcd != nil {
		store = []string{"PODLANE_ETCD_ENDPOINTS=" + strings.Join(l.Etcd.Endpoints(), ",")}
	}
	return append(append(store,
		"PODLANE_NODE_NAME="+name,
		"PODLANE_NODE_ID=lab-"+name,
		"PODLANE_RUN_DIR="+filepath.Join(own, "run"),
		"PODLANE_STATE_DIR="+filepath.Join(own, "state"),
		"PODLANE_CNI_BIN="+l.options.Bin,
		"PODLANE_IP_MASQ=true",
	), l.options.NodeEnv(i)...)
}

// NodeFile returns the path of the node file that podlaned writes.
func (n *Node) NodeFile() string { return filepath.Join(n.runDir(), "subnet.env") }

// runDir returns podlaned's folder of /run.
func (n *Node) runDir() string { return filepath.Join(n.dir(), "run") }

// StateDir returns podlaned's state folder.
func (n *Node) StateDir() string { return filepath.Join(n.dir(), "state") }

// LogFile returns the file with podlaned's output of all its starts.
func (n *Node) LogFile() string { return filepath.Join(n.dir(), "podlaned.log") }

// LogText returns podlaned's output of all its starts.
func (n *Node) LogText() string {
	text, err := os.ReadFile(n.LogFile())
	if err != nil {
		return ""
	}
	return string(text)
}

// Subnet returns the node's pod subnets from its node file.
func (n *Node) Subnet() (subnet.Pair, error) {
	text, err := os.ReadFile(n.NodeFile())
	if err != nil {
		return subnet.Pair{}, err
	}
	file, err := subnet.ParseNodeFile(text)
	if err != nil {
		return subnet.Pair{}, fmt.Errorf("read %s: %w", n.NodeFile(), err)
	}
	return file.Subnet, nil
}

// Start starts podlaned and waits until it is ready: its node file exists and `podlaned status` exits with 0. The
// error has the last lines of its log. args follow `podlaned run`.
func (n *Node) Start(ctx context.Context, args ...string) error {
	if err := n.Launch(ctx, args...); err != nil {
		return err
	}
	return n.Ready(ctx)
}

// Launch starts podlaned and does not wait for it. ctx bounds only this call.
func (n *Node) Launch(ctx context.Context, args ...string) error {
	if n.daemon.running() {
		return fmt.Errorf("podlaned on %s already runs", n.Name)
	}
	program := cmp.Or(n.Daemon, filepath.Join(n.bin, "podlaned"))
	cmd := n.Command(context.WithoutCancel(ctx), "setpriv", n.confined(append([]string{program, "run"}, args...))...)
	daemon, err := startProcess(cmd, n.StartCommand, n.LogFile())
	if err != nil {
		return fmt.Errorf("start podlaned on %s: %w", n.Name, err)
	}
	n.daemon = daemon
	return nil
}

// confined returns the arguments of setpriv(1) that run a command with podlaned's capabilities only. setpriv becomes
// the command, so process id and signals are the command's own.
func (n *Node) confined(command []string) []string {
	capabilities := "-all,+net_admin"
	for _, c := range n.lab.options.NodeCaps(n.Index) {
		capabilities += ",+" + c
	}
	return append([]string{"--bounding-set=" + capabilities, "--inh-caps=-all", "--"}, command...)
}

// Ready waits until podlaned, just launched, is ready.
func (n *Node) Ready(ctx context.Context) error {
	return n.await(ctx, "ready", func(ctx context.Context) (bool, string) {
		if _, err := os.Stat(n.NodeFile()); err != nil {
			return false, "no node file yet"
		}
		status, text := n.status(ctx)
		return status.Ready, text
	})
}

// nodeStatus holds what the lab reads of podlaned's status.
type nodeStatus struct {
	Ready bool
	Peers []struct{ State string }
}

// status returns podlaned's status, also as text. A status with problems is no error: the lab shows their effects.
func (n *Node) status(ctx context.Context) (s nodeStatus, text string) {
	text, err := n.Run(ctx, "sh", "-c", "podlaned status --json || :")
	if err != nil || json.Unmarshal([]byte(text), &s) != nil {
		return nodeStatus{}, text
	}
	return s, text
}

// hasPeers waits until podlaned has programmed exactly this number of peers.
func (n *Node) hasPeers(ctx context.Context, want int) error {
	if want == 0 {
		return nil
	}
	return n.await(ctx, fmt.Sprintf("at %d peers", want), func(ctx context.Context) (bool, string) {
		status, text := n.status(ctx)
		programmed := 0
		for _, p := range status.Peers {
			if p.State == "programmed" {
				programmed++
			}
		}
		return programmed == want, text
	})
}

// await waits until podlaned is in the wanted state. The error has its last status.
func (n *Node) await(ctx context.Context, what string, check func(context.Context) (bool, string)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not %s after %v", what, startTimeout))
	defer cancel()
	status := ""
	err := poll(ctx, 20*time.Millisecond, func() (done bool, err error) {
		if !n.daemon.running() {
			return false, fmt.Errorf("it ended: %s", n.daemon.ended())
		}
		done, status = check(ctx)
		return done, nil
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("%w; its status: %s", context.Cause(ctx), strings.TrimSpace(status))
	case errors.Is(err, context.Canceled):
		return err
	}
	return fmt.Errorf("podlaned on %s: %w; the last lines of its log:\n%s", n.Name, err, indent(lastLines(n.LogText(), 10)))
}

// Running reports whether podlaned runs.
func (n *Node) Running() bool { return n.daemon.running() }

// PID returns podlaned's process id; 0 if it does not run.
func (n *Node) PID() int {
	if !n.Running() {
		return 0
	}
	return n.daemon.cmd.Process.Pid
}

// Pause suspends podlaned with SIGSTOP. Only Resume and Kill end that; Stop times out.
func (n *Node) Pause() error { return n.Signal(syscall.SIGSTOP) }

// Resume continues podlaned after Pause.
func (n *Node) Resume() error { return n.Signal(syscall.SIGCONT) }

// Signal sends podlaned a signal. It does nothing if podlaned has ended.
func (n *Node) Signal(s os.Signal) error { return n.daemon.signal(s) }

// Stop ends podlaned with SIGTERM, waits for it and returns its exit code.
func (n *Node) Stop(ctx context.Context) (int, error) {
	if n.daemon == nil {
		return 0, fmt.Errorf("podlaned on %s was never started", n.Name)
	}
	if err := n.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	return n.Wait(ctx)
}

// Wait waits until podlaned ends by itself and returns its exit code; -1 if a signal ended it.
func (n *Node) Wait(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-n.daemon.done:
		return n.daemon.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for podlaned on %s to end: %w", n.Name, ctx.Err())
	}
}

// Kill ends podlaned with SIGKILL and waits for it.
func (n *Node) Kill() error { return n.daemon.kill() }

// Restart stops podlaned with SIGTERM, starts it again and waits until it is ready.
func (n *Node) Restart(ctx context.Context, args ...string) error {
	if _, err := n.Stop(ctx); err != nil {
		return err
	}
	return n.Start(ctx, args...)
}

// Unplug disconnects the node from the underlay, like a pulled cable: eth0 stays and has no carrier.
func (n *Node) Unplug() error { return n.plug(netlink.LinkSetDown) }

// Plug connects the node to the underlay again.
func (n *Node) Plug() error { return n.plug(netlink.LinkSetUp) }

func (n *Node) plug(set func(netlink.Link) error) error {
	link, err := netlink.LinkByName(n.Name)
	if err != nil {
		return fmt.Errorf("find the bridge's end of %s: %w", n.Name, err)
	}
	return set(link)
}
