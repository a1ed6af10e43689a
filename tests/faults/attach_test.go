package faults

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// watchAttach requests /readyz/attach of nodes again and again. The function that it returns ends that, and expects
// that every answer was 200.
func watchAttach(t *testing.T, nodes []*lab.Node) (expectAlways func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	var all errgroup.Group
	for _, n := range nodes {
		all.Go(func() error { return askAttach(ctx, n) })
	}
	return func() {
		t.Helper()
		cancel()
		if err := all.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// askAttach returns the first answer that was not 200.
func askAttach(ctx context.Context, n *lab.Node) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		code, body, err := cluster.TryGet(ctx, n, "/readyz/attach")
		if ctx.Err() != nil {
			return nil
		}
		if err != nil || code != http.StatusOK {
			return fmt.Errorf("%s: /readyz/attach: %d %s %w", n.Name, code, body, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// expectAttach attaches a pod to a node. A pod of that node and one of another node must reach it at once.
func (b *bed) expectAttach(t *testing.T, n *lab.Node) {
	t.Helper()
	from := []*lab.Pod{b.podsOf(n)[0], b.podsOf(b.Nodes[n.Index%len(b.Nodes)])[0]}
	late, err := b.AddPod(cluster.Within(t), n, "late")
	cluster.Check(t, err)
	for _, p := range from {
		for _, a := range late.Addrs {
			if _, err := p.Ping(cluster.Within(t), a, 1); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
		}
	}
	cluster.Check(t, late.Delete(cluster.Within(t)))
}

// expectNoAttach expects that a node attaches no pod. The reason must be in /readyz/attach, in the node file and in
// ADD's error.
func (b *bed) expectNoAttach(t *testing.T, n *lab.Node, reason string) {
	t.Helper()
	cluster.Until(t, bootLimit, n.Name+" attaches no pod", func() (bool, string) {
		code, body, err := cluster.TryGet(cluster.Within(t), n, "/readyz/attach")
		text := cluster.NodeFile(t, n)["PODLANE_NOT_READY"]
		return err == nil && code == http.StatusServiceUnavailable && strings.Contains(body, reason) && strings.Contains(text, reason), body + text
	})
	if late, err := b.AddPod(cluster.Within(t), n, "late"); err == nil {
		t.Errorf("%s attaches a pod with %v, want an error", n.Name, late.Addrs)
		cluster.Check(t, late.Delete(cluster.Within(t)))
	} else if !strings.Contains(err.Error(), reason) {
		t.Errorf("ADD: %v, want %q", err, reason)
	}
}
