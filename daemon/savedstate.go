package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/podlane/podlane/bridge"
	"github.com/podlane/podlane/status"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

const stateName = "state.json"

// savedState is what a node saves for a start while the store is unreachable, or after the store lost its data.
type savedState struct {
	store.Saved
	Prefix string // of the keys in etcd; "kubernetes" with the store kubernetes
	Until  expiry // the end of the own lease, by more reliable clocks than Expiry
	Direct bool   // direct routing was in use here, which may differ from Config
	// Local holds the underlay's addresses by which the other nodes reach this one; see known.
	Local []netip.Addr `json:",omitempty"`
	// Bridges holds the bridges of the node's pods.
	Bridges []bridge.Bridge `json:",omitempty"`
}

// store returns the saved state for the lease store, or nil if there is none. Until decides when the own lease ends.
func (s savedState) store(now time.Time) *store.Saved {
	if s.Own == "" {
		return nil
	}
	s.Expiry = time.Time{}
	if left, never := s.Until.left(now); !never {
		s.Expiry = now.Add(left)
	}
	return &s.Saved
}

// fallback returns the saved state with the store's error if this run never read the store, and the store has an error or is
// overdue. So a node boots while the store is unreachable. Otherwise it returns the state of the store. The error is why the
// saved lease must not be used:
//   - It has run out.
//   - The network configuration has changed since. The pods keep their addresses, and the node waits for the store.
func (s savedState) fallback(st store.State, kind storeKind, overdue bool, now time.Time) (store.State, error) {
	if st.Set.Revision != 0 || st.Err == nil && !overdue {
		return st, nil
	}
	own, ok := s.Lease()
	if !ok {
		return st, nil
	}
	left, never := s.Until.left(now)
	if left <= 0 && !never {
		return st, fmt.Errorf("%s ran out %s: another node may have leased it, so this node waits for %s", own.Pair(), status.Ago(now.Add(left), now), kind.place())
	}
	if st.Network == (subnet.Network{}) { // the store could not read it
		st.Network, _, _ = subnet.ParseNetwork(s.Config)
	}
	for _, f := range subnet.Families {
		if half := own.Pair().Half(f); half.IsValid() && !subnet.Contains(st.Network.Range(f).Prefix, half) {
			return st, fmt.Errorf("%s is not in the pod network of the current configuration: this node waits for %s", half, kind.place())
		}
	}
	st.Own, st.Set, st.Config = own, s.Set(), s.Config
	if !never {
		st.Expiry = now.Add(left)
	}
	return st, nil
}

// loadState reads the saved state. A missing file yields the zero state. A file of another store, or of another prefix in etcd, is
// ignored with an error: its leases are not ours.
func loadState(dir, identity string) (s savedState, err error) {
	path := filepath.Join(dir, stateName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read the saved state: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return savedState{}, fmt.Errorf("saved state %s: %w", path, err)
	}
	if s.Prefix != identity {
		return savedState{}, fmt.Errorf("it is of %s: podlaned uses %s now, and starts without it", describeIdentity(s.Prefix), describeIdentity(identity))
	}
	return s, nil
}

func (s savedState) save(dir string) error {
	data, err := s.marshal()
	if err != nil {
		return fmt.Errorf("write the saved state: %w", err)
	}
	return subnet.WriteFile(filepath.Join(dir, stateName), data, 0o600)
}

// marshal returns the state as JSON, with a line for each lease. It encodes them one by one into a buffer of the right
// size. encoding/json would need several times that memory for the whole, and a start already needs the most memory.
func (s savedState) marshal() ([]byte, error) {
	leases := s.Leases
	s.Leases = nil // empty, it is omitted
	head, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	size := len(head)
	for _, l := range leases {
		size += len(l.Key) + len(l.Value) + len(`,{"key":"","value":,"lost":true}`)
	}
	b := bytes.NewBuffer(make([]byte, 0, size))
	b.Write(bytes.TrimSuffix(head, []byte("}")))
	b.WriteString(`,"leases":[`)
	encoder := json.NewEncoder(b)
	for i, l := range leases {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := encoder.Encode(l); err != nil {
			return nil, err
		}
	}
	b.WriteString("]}")
	return b.Bytes(), nil
}

// previous returns the pod subnets that this node held last. The node file has them, or else the saved state. A reboot
// deletes the node file and the pods. So inUse reports whether a node file exists: pods may still run. A file that cannot
// be read counts as missing. The node then gets any free subnet.
func previous(c config, s savedState) (p subnet.Pair, inUse bool) {
	if n, err := subnet.ReadNodeFile(filepath.Join(c.runDir, nodeFile)); err == nil {
		return n.Subnet, true
	}
	p, err := subnet.ParseKey(s.Own)
	if err != nil {
		return subnet.Pair{}, false
	}
	return p, false
}
