package status

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Print writes the status as text.
func (s Status) Print(w io.Writer, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("node", "%s (id %s): %s", s.Node.Name, s.Node.ID, s.verdict())
	for _, c := range s.Checks {
		if !c.OK {
			row("not ready", "%s: %s", c.Name, c.Detail)
		}
	}
	for _, p := range s.Problems {
		row("problem", "%s", p)
	}
	for _, n := range s.Notes {
		row("note", "%s", n)
	}
	row("underlay", "%s, address %s", s.Underlay.text(), Join(s.Underlay.PublicIP))
	row("pod network", "%s", s.networkText())
	row("lease", "%s", s.leaseText(now))
	row(s.storeName(), "%s", s.storeText(now))
	row("kernel", "verified %s; repairs: %d", Ago(s.Verified, now), s.Repaired)
	for _, r := range s.Repairs {
		row("repaired", "%s: %s", Ago(r.Time, now), r.What)
	}
	for _, reason := range slices.Sorted(maps.Keys(s.Dropped)) {
		if n := s.Dropped[reason]; n > 0 {
			row("dropped", "%d packets: %s", n, strings.ReplaceAll(reason, "_", " "))
		}
	}
	for _, skip := range s.Skipped {
		row("skipped", "%s: %s", skip.Key, skip.Reason)
	}
	if more := s.SkipCount - len(s.Skipped); more > 0 {
		row("skipped", "%d more", more)
	}
	fmt.Fprintf(t, "\nPEER\tPOD SUBNET\tPUBLIC ADDRESS\tVERSION\tSTATE\n")
	for _, p := range s.Peers {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", dash(p.Name), Join(p.Subnet), p.PublicIP, dash(p.Version), p.state())
	}
	return t.Flush()
}

// verdict returns the state of the node in a few words.
func (s Status) verdict() string {
	switch {
	case !s.Ready:
		return "NOT READY"
	case len(s.Problems) > 0:
		return "ready, with problems"
	}
	return "ready"
}

// state returns the peer's state for people, with the reason if the peer failed.
func (p Peer) state() string {
	if p.Reason == "" {
		return p.State
	}
	return p.State + ": " + p.Reason
}

func (u Underlay) text() string {
	if u.MTU == 0 {
		return u.Interface + ", MTU unknown"
	}
	return fmt.Sprintf("%s, MTU %d", u.Interface, u.MTU)
}

func (s Status) networkText() string {
	switch {
	case len(s.Network) == 0:
		return "not known yet"
	case s.MTU == 0:
		return Join(s.Network)
	}
	return fmt.Sprintf("%s, MTU %d", Join(s.Network), s.MTU)
}

func (s Status) leaseText(now time.Time) string {
	l, own := s.Lease, Join(s.Lease.Subnet)
	switch {
	case len(l.Subnet) == 0:
		return "none yet"
	case !l.Held:
		return own + ", NOT HELD in " + Place(s.Store)
	case s.Kubernetes != nil:
		return own + ", the podCIDR of this node's Node"
	case l.Expiry.IsZero():
		return own + ", reserved: it never expires"
	}
	return fmt.Sprintf("%s, valid for %s without etcd", own, l.Expiry.Sub(now).Round(time.Minute))
}

// Join returns the texts of items, separated by commas; "-" if there is none.
func Join[T any](items []T) string {
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

// Ago returns how long a time is ago, in seconds; "never" for the zero time.
func Ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return now.Sub(t).Round(time.Second).String() + " ago"
}
