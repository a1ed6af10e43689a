package main

import (
	"fmt"
	"io"
	"net/netip"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/podlane/podlane/subnet"
)

// status is what `podlaned status` shows: how this node is, and its peers.
type status struct {
	Ready    bool     `json:"ready"`
	Problems []string `json:"problems,omitempty"` // what is wrong and what to do, in words
	Notes    []string `json:"notes,omitempty"`    // what is odd and does no harm here

	Version  string         `json:"version"`
	Node     subnet.Node    `json:"node"`
	Underlay underlayStatus `json:"underlay"`
	Network  []netip.Prefix `json:"network,omitempty"`
	MTU      int            `json:"mtu,omitempty"` // of the overlay, in bytes
	Lease    leaseStatus    `json:"lease"`
	Etcd     etcdStatus     `json:"etcd"`

	Peers     []peerStatus  `json:"peers,omitempty"`
	Skipped   []subnet.Skip `json:"skipped,omitempty"` // leases that are not programmed, and why
	SkipCount int           `json:"skipCount"`

	Verified time.Time `json:"verified,omitzero"` // when the kernel was last seen to be as it should
	Repairs  []repair  `json:"repairs,omitempty"` // the last ones, newest last
	Repaired int       `json:"repaired"`          // how many since the start
}

type underlayStatus struct {
	Interface string       `json:"interface"`
	MTU       int          `json:"mtu"`
	PublicIP  []netip.Addr `json:"publicIP"`
}

type leaseStatus struct {
	Subnet []netip.Prefix `json:"subnet,omitempty"`
	Held   bool           `json:"held"`
	Expiry time.Time      `json:"expiry,omitzero"` // unless renewed; zero: never
}

type etcdStatus struct {
	Endpoints []string  `json:"endpoints"`
	Prefix    string    `json:"prefix"`
	Seen      time.Time `json:"seen,omitzero"` // when it last answered
	Revision  int64     `json:"revision"`
}

type peerStatus struct {
	Name     string         `json:"name,omitempty"`
	Subnet   []netip.Prefix `json:"subnet"`
	PublicIP netip.Addr     `json:"publicIP"`
	Version  string         `json:"version,omitempty"`
	State    string         `json:"state"` // "programmed", "not yet", or "skipped": the list of the skipped says why
}

type repair struct {
	Time time.Time `json:"time"`
	What string    `json:"what"`
}

// board holds the newest status. The loop writes it, the servers read it.
type board struct {
	mu     sync.Mutex
	status status
}

func (b *board) set(s status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = s
}

func (b *board) get() status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

// halves are the pair's pod subnets, for JSON.
func halves(p subnet.Pair) []netip.Prefix {
	var list []netip.Prefix
	for _, f := range subnet.Families {
		if half := p.Half(f); half.IsValid() {
			list = append(list, half)
		}
	}
	return list
}

// print writes the status for a person.
func (s status) print(w io.Writer, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	ready := "ready"
	if !s.Ready {
		ready = "NOT READY"
	}
	row("node", "%s (id %s): %s", s.Node.Name, s.Node.ID, ready)
	for _, p := range s.Problems {
		row("problem", "%s", p)
	}
	for _, n := range s.Notes {
		row("note", "%s", n)
	}
	row("underlay", "%s, MTU %d, address %s", s.Underlay.Interface, s.Underlay.MTU, join(s.Underlay.PublicIP))
	row("pod network", "%s", s.networkText())
	row("lease", "%s", s.Lease.text(now))
	row("etcd", "%s, prefix %s, answered %s", join(s.Etcd.Endpoints), s.Etcd.Prefix, ago(s.Etcd.Seen, now))
	row("kernel", "verified %s; repairs: %d", ago(s.Verified, now), s.Repaired)
	for _, r := range s.Repairs {
		row("repaired", "%s: %s", ago(r.Time, now), r.What)
	}
	for _, skip := range s.Skipped {
		row("skipped", "%s: %s", skip.Key, skip.Reason)
	}
	if more := s.SkipCount - len(s.Skipped); more > 0 {
		row("skipped", "%d more", more)
	}
	fmt.Fprintf(t, "\nPEER\tPOD SUBNET\tPUBLIC ADDRESS\tVERSION\tSTATE\n")
	for _, p := range s.Peers {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", dash(p.Name), join(p.Subnet), p.PublicIP, dash(p.Version), p.State)
	}
	return t.Flush()
}

func (s status) networkText() string {
	switch {
	case len(s.Network) == 0:
		return "none known yet"
	case s.MTU == 0:
		return join(s.Network)
	}
	return fmt.Sprintf("%s, MTU %d", join(s.Network), s.MTU)
}

func (l leaseStatus) text(now time.Time) string {
	switch {
	case len(l.Subnet) == 0:
		return "none yet"
	case !l.Held:
		return join(l.Subnet) + ", NOT HELD in etcd"
	case l.Expiry.IsZero():
		return join(l.Subnet) + ", reserved for ever"
	}
	return fmt.Sprintf("%s, ours for %s without etcd", join(l.Subnet), l.Expiry.Sub(now).Round(time.Minute))
}

func join[T any](items []T) string {
	text := "-"
	for i, item := range items {
		if i == 0 {
			text = fmt.Sprint(item)
			continue
		}
		text += fmt.Sprintf(", %v", item)
	}
	return text
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return now.Sub(t).Round(time.Second).String() + " ago"
}
