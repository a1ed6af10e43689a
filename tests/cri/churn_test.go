package cri

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podlane/podlane/tests/cluster"
)

const (
	churns  = 50 // sandboxes, half of them on each node
	workers = 3  // of a node, which run at the same time
)

// Pods come and go on both nodes. Pods that stay lose no packet.
func TestFiftyPodsComeAndGo(t *testing.T) {
	_, all := start(t)
	stay := [2]*pod{all[0].addPod(t, "a"), all[1].addPod(t, "b")}
	traffic := flood(t, stay)
	began := time.Now()
	g, ctx := errgroup.WithContext(cluster.Bounded(t, 3*time.Minute))
	for _, m := range all {
		for w := range workers {
			g.Go(func() error {
				for i := w; i < churns/len(all); i += workers {
					id, err := m.runSandbox(ctx, m.sandboxConfig(fmt.Sprintf("churn%d", i)))
					if err == nil {
						err = m.removeSandbox(ctx, id)
					}
					if err != nil {
						return fmt.Errorf("sandbox %d on %s: %w", i, m.Name, err)
					}
				}
				return nil
			})
		}
	}
	cluster.Check(t, g.Wait())
	t.Logf("%d sandboxes made and removed in %v", churns, time.Since(began).Round(time.Millisecond))
	traffic.ExpectNothingLost(t)
	for i, m := range all {
		m.expectReserved(t, "the other pods are removed", stay[i])
		m.clear(t)
	}
}
