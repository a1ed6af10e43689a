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
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/bridge"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

const stateName = "state.json"

// savedState is what the daemon knows that it needs when it starts while etcd is away, or after etcd lost its data.
type savedState struct {
	store.Saved
	Prefix string       // of the keys in etcd
	Until  expiry       // the end of the own lease, by more reliable clocks
	Direct bool         // direct routing was in use here, which may differ from Config
	Local  []netip.Addr `json:",omitempty"` // the underlay's addresses by which the node is reached; see known
	// Bridges holds the bridges of the node's pods.
	Bridges []bridge.Bridge `json:",omitempty"`
}

// store is the saved state as the lease store wants it, with the own lease's end by the better clocks: nil where there is
// none.
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

// standIn is the state itself where it comes from etcd, and else, as long as the own lease lasts, the saved one with
// what is wrong with etcd: so a node boots while etcd is away. One whose lease has run out is of no use, nor is one whose
// lease is of the network before the last change, with which the pods go on as they are; fault says so.
func (s savedState) standIn(st store.State, now time.Time) (_ store.State, fault error) {
	if st.Err == nil || st.Set.Revision != 0 {
		return st, nil
	}
	own, ok := s.Lease()
	if !ok {
		return st, nil
	}
	left, never := s.Until.left(now)
	if left <= 0 && !never {
		return st, fmt.Errorf("%s ran out %s: it may be another node's by now, so the node waits for etcd", own.Pair(), ago(now.Add(left), now))
	}
	if st.Network == (subnet.Network{}) { // the store has it already, unless it could not be read
		st.Network, _, _ = subnet.ParseNetwork(s.Config)
	}
	for _, f := range subnet.Families {
		if half := own.Pair().Half(f); half.IsValid() && !subnet.Contains(st.Network.Range(f).Prefix, half) {
			return st, fmt.Errorf("%s is not in the pod network of the configuration as changed since: the node waits for etcd", half)
		}
	}
	st.Own, st.Set, st.Config = own, s.Set(), s.Config
	if !never {
		st.Expiry = now.Add(left)
	}
	return st, nil
}

// expiry is when the own lease runs out. Within one boot the boot clock decides, which runs on while the machine sleeps
// and which nobody can set; the wall clock decides only across boots.
type expiry struct {
	Never bool
	Wall  time.Time
	Boot  string        // the boot's id
	Since time.Duration // since boot
}

func newExpiry(t, now time.Time) expiry {
	if t.IsZero() {
		return expiry{Never: true}
	}
	return expiry{Wall: t.Round(0), Boot: bootID(), Since: sinceBoot() + t.Sub(now)}
}

// left is how long the lease still lasts. never: it has no end.
func (e expiry) left(now time.Time) (d time.Duration, never bool) {
	switch {
	case e.Never:
		return 0, true
	case e.Boot != "" && e.Boot == bootID():
		return e.Since - sinceBoot(), false
	}
	return e.Wall.Sub(now), false
}

func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it the wall clock decides
	return strings.TrimSpace(string(id))
}

// sinceBoot is CLOCK_BOOTTIME (clock_gettime(2), Linux 2.6.39).
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// loadState reads the saved state. Where there is none it is the zero one; so it is where that of another prefix stands,
// for what is missing under this one was not lost.
func loadState(dir, prefix string) (s savedState, err error) {
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
	if s.Prefix != prefix {
		return savedState{}, fmt.Errorf("it is of the etcd prefix %s: this start, with prefix %s, is one from nothing", s.Prefix, prefix)
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

// marshal is the state as JSON, with a line for each lease. They are written one by one into the memory that all of them
// need: encoding/json would take several times as much for the whole, at the very moment at which a start needs most.
func (s savedState) marshal() ([]byte, error) {
	leases := s.Leases
	s.Leases = nil // which is left out
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

// previous is the pod subnets this node held last: those of the node file, else those of the saved state. The node file
// goes with a reboot, as the pods do: where there is one they may still run. What cannot be read counts as nothing; the
// node then gets a subnet like any other.
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
