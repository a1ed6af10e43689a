// Package cluster is what the black-box tests share: clusters of the built binaries, what their status says, what stands
// in a node's kernel, and streams between pods. Whatever cannot be had ends the test.
package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
)

// Build makes a cluster whose daemons are not started.
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
			t.Logf("the ends of the daemons' logs:\n%s", l.Logs(30, 4))
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

// Within bounds one step of a test.
func Within(t *testing.T) context.Context {
	t.Helper()
	return Bounded(t, 30*time.Second)
}

// Bounded bounds a step of a test that takes longer.
func Bounded(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Check ends the test with an error.
func Check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Run runs a command of a few words in a place and returns what it printed.
func Run(t *testing.T, p *lab.Place, command string) string {
	t.Helper()
	words := strings.Fields(command)
	out, err := p.Run(Within(t), words[0], words[1:]...)
	Check(t, err)
	return out
}

// Refused runs a command that has to end with an error, and returns what it printed.
func Refused(t *testing.T, p *lab.Place, command string) string {
	t.Helper()
	words := strings.Fields(command)
	out, err := p.Run(Within(t), words[0], words[1:]...)
	if err == nil {
		t.Errorf("in %s: %s: no error; it printed: %s", p.Name, command, out)
	}
	return out
}

// Took is how long something took: it was so at the end of the look that found it, and maybe before its beginning.
type Took struct{ Least, Most time.Duration }

func (d Took) String() string { return fmt.Sprint("at most ", d.Most.Round(time.Millisecond)) }

// Until waits for a condition, looked at every 10 ms. last tells how things stand when the time is over.
func Until(t *testing.T, limit time.Duration, what string, so func() (yes bool, last string)) (d Took) {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		before := d.Most
		yes, last := so()
		d.Most = time.Since(began)
		switch {
		case yes:
			return d
		case before > limit:
			t.Fatalf("not within %v: %s; it stands at: %s", limit, what, last)
		}
		d.Least = before
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("interrupted while waiting: %s", what)
		}
	}
}

// NodeFile is the node file's values by their keys.
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

// SubnetText is a node's pod subnets, as text.
func SubnetText(t *testing.T, n *lab.Node) string {
	t.Helper()
	p, err := n.Subnet()
	Check(t, err)
	return p.Key()
}

// OverlayAddr is a node's address on the overlay of the family of a: the first of its pod subnet.
func OverlayAddr(t *testing.T, n *lab.Node, a netip.Addr) netip.Addr {
	t.Helper()
	p, err := n.Subnet()
	Check(t, err)
	if a.Is4() {
		return p.IPv4.Addr()
	}
	return p.IPv6.Addr()
}

// Gateway is a node's address on the bridge of its pods, of the family of a: the second of its pod subnet.
func Gateway(t *testing.T, n *lab.Node, a netip.Addr) netip.Addr {
	t.Helper()
	return OverlayAddr(t, n, a).Next()
}

// UnderlayAddr is a node's address on the underlay of the family of a.
func UnderlayAddr(_ *testing.T, n *lab.Node, a netip.Addr) netip.Addr {
	if a.Is4() {
		return n.Addr
	}
	return n.Addr6
}
