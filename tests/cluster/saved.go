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

// AwaitSaved waits until nodes have saved the leases of exactly these pod subnets. A node saves at most once a second.
// After a slow save it pauses for 20 times as long.
func AwaitSaved(t *testing.T, nodes []*lab.Node, subnets ...string) {
	t.Helper()
	subnets = slices.Sorted(slices.Values(subnets))
	for _, n := range nodes {
		Until(t, time.Minute, n.Name+" has saved all leases, and no other", func() (bool, string) {
			saved, err := ReadSaved(n)
			return err == nil && slices.Equal(saved.keys(), subnets), fmt.Sprint(saved.keys(), err)
		})
	}
}

// Saved is what the tests read of a node's saved state.
type Saved struct {
	Revision int64 // of the lease set
	Leases   []struct{ Key string }
	Until    struct{ Wall time.Time } // the end of the own lease by the wall clock
}

// ReadSaved reads a node's saved state.
func ReadSaved(n *lab.Node) (s Saved, err error) {
	data, err := os.ReadFile(filepath.Join(n.StateDir(), "state.json"))
	if err != nil {
		return s, err
	}
	err = json.Unmarshal(data, &s)
	return s, err
}

// keys returns the keys of the leases, sorted.
func (s Saved) keys() (keys []string) {
	for _, l := range s.Leases {
		keys = append(keys, l.Key)
	}
	slices.Sort(keys)
	return keys
}
