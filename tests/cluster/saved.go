package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
)

// AwaitSaved waits until nodes have saved the leases of these pod subnets, and no other: what a node is told it saves once
// a second, or 20 times as long apart as it takes.
func AwaitSaved(t *testing.T, nodes []*lab.Node, subnets ...string) {
	t.Helper()
	subnets = slices.Sorted(slices.Values(subnets))
	for _, n := range nodes {
		Until(t, time.Minute, n.Name+" has saved all leases, and no other", func() (bool, string) {
			saved, err := savedLeases(n)
			return err == nil && slices.Equal(saved, subnets), fmt.Sprint(saved, err)
		})
	}
}

// savedLeases is the keys of the leases in a node's saved state.
func savedLeases(n *lab.Node) (keys []string, err error) {
	data, err := os.ReadFile(filepath.Join(n.StateDir(), "state.json"))
	if err != nil {
		return nil, err
	}
	var state struct {
		Leases []struct{ Key string }
	}
	err = json.Unmarshal(data, &state)
	for _, l := range state.Leases {
		keys = append(keys, l.Key)
	}
	slices.Sort(keys)
	return keys, err
}
