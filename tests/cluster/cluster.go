// Package cluster is shared by the black-box tests. It makes clusters of the built binaries and streams between pods.
// It reads the status and a node's kernel. A helper that fails ends the test.
package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
)

// Build makes a cluster. It starts no daemon.
func Build(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	bin, err := filepath.Abs("../../bin")
	if err == nil {
		err = lab.CheckTools(bin)
	}
	if err != nil {
		t.Fatal(err)
	}
	o.Bin = bin
	l, err := lab.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last lines of the daemons' logs:\n%s", l.Logs(30, 4))
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// Start makes a cluster, starts all its daemons at once, and adds pods to every node.
func Start(t *testing.T, o lab.Options, podsPerNode int) *lab.Lab {
	t.Helper()
	l := Build(t, o)
	Check(t, l.StartAll(Within(t)))
	if podsPerNode > 0 {
		Check(t, l.AddPods(Within(t), podsPerNode))
		AwaitBridges(t, l.Nodes...)
	}
	return l
}

// Within returns the context of one step of a test: 30 s.
func Within(t *testing.T) context.Context {
	t.Helper()
	return Bounded(t, 30*time.Second)
}

// Bounded is Within for a step that takes longer.
func Bounded(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Check ends the test if there is an error.
func Check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Run runs a command in a place. It returns the output. Spaces separate the arguments.
func Run(t *testing.T, p *lab.Place, command string) string {
	t.Helper()
	words := strings.Fields(command)
	out, err := p.Run(Within(t), words[0], words[1:]...)
	Check(t, err)
	return out
}

// RunScript runs a shell script in a place. It returns the output.
func RunScript(t *testing.T, p *lab.Place, script string) string {
	t.Helper()
	out, err := p.Run(Within(t), "sh", "-ec", script)
	Check(t, err)
	return out
}

// RunInSandbox runs a command in the sandbox, which has the underlay's bridge.
func RunInSandbox(t *testing.T, command string) {
	t.Helper()
	words := strings.Fields(command)
	if out, err := exec.CommandContext(Within(t), words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
}

// RunFails runs a command that must fail, and returns its output.
func RunFails(t *testing.T, p *lab.Place, command string) string {
	t.Helper()
	words := strings.Fields(command)
	out, err := p.Run(Within(t), words[0], words[1:]...)
	if err == nil {
		t.Errorf("in %s: %s: want an error; output: %s", p.Name, command, out)
	}
	return out
}

// Elapsed is the time until a condition held. Max was measured after the check that found it, Min before it.
type Elapsed struct{ Min, Max time.Duration }

func (d Elapsed) String() string { return fmt.Sprint("at most ", d.Max.Round(time.Millisecond)) }

// Until checks a condition every 10 ms until it holds. last describes the state for the error at the limit.
func Until(t *testing.T, limit time.Duration, what string, so func() (yes bool, last string)) (d Elapsed) {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		before := d.Max
		yes, last := so()
		d.Max = time.Since(began)
		switch {
		case yes:
			return d
		case before > limit:
			t.Fatalf("not within %v: %s; last state: %s", limit, what, last)
		}
		d.Min = before
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("interrupted while waiting: %s", what)
		}
	}
}

// NodeFile returns the node file's values by their keys.
func NodeFile(t *testing.T, n *lab.Node) map[string]string {
	t.Helper()
	text, err := os.ReadFile(n.NodeFile())
	Check(t, err)
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[key] = value
	}
	return values
}

// SubnetText returns a node's pod subnets as in a lease key.
func SubnetText(t *testing.T, n *lab.Node) string {
	t.Helper()
	p, err := n.Subnet()
	Check(t, err)
	return p.Key()
}

// DistinctSubnets returns the nodes' pod subnets, and expects that they differ.
func DistinctSubnets(t *testing.T, nodes []*lab.Node) (subnets []string) {
	t.Helper()
	owners := map[string]string{}
	for _, n := range nodes {
		text := SubnetText(t, n)
		if other, taken := owners[text]; taken {
			t.Errorf("%s and %s both have the pod subnet %s", other, n.Name, text)
		}
		owners[text] = n.Name
		subnets = append(subnets, text)
	}
	return subnets
}

// OverlayAddr returns a node's overlay address of a's family. It is the first address of the pod subnet.
func OverlayAddr(t *testing.T, n *lab.Node, a netip.Addr) netip.Addr {
	t.Helper()
	p, err := n.Subnet()
	Check(t, err)
	if a.Is4() {
		return p.IPv4.Addr()
	}
	return p.IPv6.Addr()
}

// Gateway returns the address of a node's pod bridge, of a's family. It is the second address of the pod subnet.
func Gateway(t *testing.T, n *lab.Node, a netip.Addr) netip.Addr {
	t.Helper()
	return OverlayAddr(t, n, a).Next()
}

// UnderlayAddr returns a node's underlay address of a's family.
func UnderlayAddr(_ *testing.T, n *lab.Node, a netip.Addr) netip.Addr {
	if a.Is4() {
		return n.Addr
	}
	return n.Addr6
}
