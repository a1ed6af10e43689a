package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
)

// Status is what the tests read of `podlaned status --json`.
type Status struct {
	Ready    bool
	Version  string
	Problems []string
	Notes    []string
	MTU      int
	Lease    struct {
		Subnet []netip.Prefix
		Held   bool
		Expiry time.Time
	}
	Peers     []Peer
	Skipped   []struct{ Key, Reason string }
	SkipCount int
	Verified  time.Time
	Repairs   []struct {
		Time time.Time
		What string
	}
	Repaired int

	Retained   int // peers that the store lost
	Kubernetes struct{ Losses int }
}

// Peer is another node as a status shows it.
type Peer struct {
	Name     string
	Version  string
	Subnet   []netip.Prefix
	PublicIP netip.Addr
	State    string
	Reason   string
}

// StatusOf returns the status of a node's podlaned. `podlaned status` exits with 1 if the node is not ready or has a
// problem.
func StatusOf(ctx context.Context, n *lab.Node) (s Status, err error) {
	out, runErr := n.Run(ctx, "podlaned", "status", "--json")
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return s, fmt.Errorf("podlaned status --json on %s: %w, %w", n.Name, runErr, err)
	}
	if (s.Ready && len(s.Problems) == 0) != (runErr == nil) {
		return s, fmt.Errorf("podlaned status on %s: ready %v, but the command returns: %w", n.Name, s.Ready, runErr)
	}
	return s, nil
}

// AwaitStatus waits until a node's status meets a condition.
func AwaitStatus(t *testing.T, n *lab.Node, limit time.Duration, what string, so func(Status) bool) Elapsed {
	t.Helper()
	return Until(t, limit, n.Name+": "+what, func() (bool, string) {
		s, err := StatusOf(Within(t), n)
		if err != nil {
			return false, err.Error()
		}
		return so(s), fmt.Sprintf("%+v", s)
	})
}

// AwaitPeers waits until every running node is ready with this number of peers.
func AwaitPeers(t *testing.T, l *lab.Lab, limit time.Duration, peers int) {
	t.Helper()
	for _, n := range l.Nodes {
		if n.Running() {
			AwaitStatus(t, n, limit, fmt.Sprintf("ready with %d peers", peers), func(s Status) bool { return s.Ready && len(s.Peers) == peers })
		}
	}
}
