// Package promises tests what podlane promises, with the built binaries, on clusters that nothing goes wrong in but what
// an operator does: starts, restarts, leaves, and changes the kernel by hand.
package promises

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// build makes a cluster whose daemons are not started.
func build(t *testing.T, o lab.Options) *lab.Lab {
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
			t.Logf("the ends of the daemons' logs:\n%s", l.Logs(30, 4))
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// start makes a cluster, starts all its daemons at once, and adds pods to every node.
func start(t *testing.T, o lab.Options, podsPerNode int) *lab.Lab {
	t.Helper()
	l := build(t, o)
	check(t, l.StartAll(within(t)))
	if podsPerNode > 0 {
		check(t, l.AddPods(within(t), podsPerNode))
	}
	return l
}

// within bounds one step of a test.
func within(t *testing.T) context.Context {
	t.Helper()
	return bounded(t, 30*time.Second)
}

func bounded(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a command of a few words in a place and returns what it printed.
func run(t *testing.T, p *lab.Place, command string) string {
	t.Helper()
	words := strings.Fields(command)
	out, err := p.Run(within(t), words[0], words[1:]...)
	check(t, err)
	return out
}

// refused runs a command that has to end with an error, and returns what it printed.
func refused(t *testing.T, p *lab.Place, command string) string {
	t.Helper()
	words := strings.Fields(command)
	out, err := p.Run(within(t), words[0], words[1:]...)
	if err == nil {
		t.Errorf("in %s: %s: no error; it printed: %s", p.Name, command, out)
	}
	return out
}

// took is how long something took: it was so at the end of the look that found it, and maybe before its beginning.
type took struct{ least, most time.Duration }

func (d took) String() string { return fmt.Sprint("at most ", d.most.Round(time.Millisecond)) }

// until waits for a condition, looked at every 10 ms. last tells how things stand when the time is over.
func until(t *testing.T, limit time.Duration, what string, so func() (yes bool, last string)) (d took) {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		before := d.most
		yes, last := so()
		d.most = time.Since(began)
		switch {
		case yes:
			return d
		case before > limit:
			t.Fatalf("not within %v: %s; it stands at: %s", limit, what, last)
		}
		d.least = before
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("interrupted while waiting: %s", what)
		}
	}
}

// status is what the tests read of `podlaned status --json`.
type status struct {
	Ready    bool
	Problems []string
	Notes    []string
	MTU      int
	Lease    struct {
		Subnet []netip.Prefix
		Held   bool
	}
	Peers []struct {
		Name     string
		Subnet   []netip.Prefix
		PublicIP netip.Addr
	}
	Skipped  []struct{ Key, Reason string }
	Verified time.Time
	Repairs  []struct{ What string }
	Repaired int
}

// statusOf asks a node's podlaned. `podlaned status` ends with 1 where the node is not ready.
func statusOf(ctx context.Context, n *lab.Node) (s status, err error) {
	out, runErr := n.Run(ctx, "podlaned", "status", "--json")
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return s, fmt.Errorf("podlaned status --json on %s: %w, %w", n.Name, runErr, err)
	}
	if s.Ready != (runErr == nil) {
		return s, fmt.Errorf("podlaned status on %s says ready: %v, and ends with: %w", n.Name, s.Ready, runErr)
	}
	return s, nil
}

// awaitStatus waits until a node's status is as it should be.
func awaitStatus(t *testing.T, n *lab.Node, limit time.Duration, what string, so func(status) bool) took {
	t.Helper()
	return until(t, limit, n.Name+": "+what, func() (bool, string) {
		s, err := statusOf(within(t), n)
		if err != nil {
			return false, err.Error()
		}
		return so(s), fmt.Sprintf("%+v", s)
	})
}

// awaitPeers waits until every node that runs is ready and knows so many peers.
func awaitPeers(t *testing.T, l *lab.Lab, limit time.Duration, peers int) {
	t.Helper()
	for _, n := range l.Nodes {
		if n.Running() {
			awaitStatus(t, n, limit, fmt.Sprintf("ready with %d peers", peers), func(s status) bool { return s.Ready && len(s.Peers) == peers })
		}
	}
}

// nodeFile is the node file's values by their keys.
func nodeFile(t *testing.T, n *lab.Node) map[string]string {
	t.Helper()
	text, err := os.ReadFile(n.NodeFile())
	check(t, err)
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[key] = value
	}
	return values
}

// subnetText is a node's pod subnets, as text.
func subnetText(t *testing.T, n *lab.Node) string {
	t.Helper()
	p, err := n.Subnet()
	check(t, err)
	return p.Key()
}

// overlayAddr is a node's address on the overlay of the family of a: the first of its pod subnet.
func overlayAddr(t *testing.T, n *lab.Node, a netip.Addr) netip.Addr {
	t.Helper()
	p, err := n.Subnet()
	check(t, err)
	if a.Is4() {
		return p.IPv4.Addr()
	}
	return p.IPv6.Addr()
}

// gateway is a node's address on the bridge of its pods, of the family of a: the second of its pod subnet.
func gateway(t *testing.T, n *lab.Node, a netip.Addr) netip.Addr {
	t.Helper()
	return overlayAddr(t, n, a).Next()
}

// underlayAddr is a node's address on the underlay of the family of a.
func underlayAddr(_ *testing.T, n *lab.Node, a netip.Addr) netip.Addr {
	if a.Is4() {
		return n.Addr
	}
	return n.Addr6
}
