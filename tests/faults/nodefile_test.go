package faults

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// resync is podlaned's default. It reads the node file in each round. There is a round at least this often.
const resync = 30 * second

// Another program damages the node file on three nodes, on each in another way. podlaned writes it again.
var nodeFileFaults = []fault{
	{"node files are truncated, replaced by a folder, and deleted", func(t *testing.T, b *bed) {
		b.expectNoImpact(t, func() {
			began, before := time.Now(), map[*lab.Node]string{}
			for i, damage := range []func(string) error{
				func(path string) error { return os.Truncate(path, 10) },
				func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o755)) },
				os.Remove,
			} {
				text, err := os.ReadFile(b.Nodes[i].NodeFile())
				cluster.Check(t, err)
				before[b.Nodes[i]] = string(text)
				cluster.Check(t, damage(b.Nodes[i].NodeFile()))
			}
			for _, n := range b.Nodes {
				cluster.Until(t, resync+second, n.Name+": the node file is restored", func() (bool, string) {
					text, err := os.ReadFile(n.NodeFile())
					return err == nil && string(text) == before[n], string(text)
				})
				t.Logf("%s: restored after %v", n.Name, time.Since(began).Round(time.Millisecond))
			}
		})
	}},
}

func TestNodeFile(t *testing.T) { runFaults(t, nodeFileFaults) }
