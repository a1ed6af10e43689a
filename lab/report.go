package lab

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Style is the format of a table.
type Style struct {
	Width  int // of the terminal, in columns; 0: 80
	Colour bool
}

// How many pods and failures are written one by one.
const (
	mostPods     = 40
	mostFailures = 15
)

// Write writes the table for people: what was reached, how fast, and each failed check.
func (t Table) Write(w io.Writer, style Style) {
	if style.Width == 0 {
		style.Width = 80
	}
	if len(t.Pods) > 1 {
		fmt.Fprintf(w, "Every pod pings every other: round trip in ms, best of %d\n\n", pings)
		t.writePairs(w, style)
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "Checks\n\n")
	for _, s := range []struct {
		kind       Kind
		name, note string
	}{
		{PodToPod, "pod to pod", ""},
		{NodeToPod, "node to a pod of another node", ""},
		{PodToOwnNode, "pod to its own node", ""},
		{PodToOutside, "pod to outside, masqueraded", "outside sees the node"},
		{SourceKept, "source address kept", "a pod sees the other pod itself"},
	} {
		t.writeSummary(w, style, s.kind, s.name, s.note)
	}
	if t.From[0] != "" {
		fmt.Fprintln(w)
		t.writeSpeed(w)
	}
	t.writeFailures(w, style)
}

// writePairs writes a matrix if it fits, and otherwise one line for each pod.
func (t Table) writePairs(w io.Writer, style Style) {
	const head, column = 30, 7
	at := map[[2]string]Check{}
	for _, c := range t.Of(PodToPod) {
		at[[2]string{c.From, c.To}] = c
	}
	matrix := head+column*len(t.Pods) <= style.Width
	if matrix {
		fmt.Fprintf(w, "  %-*s", head-2, "from                      to")
		for _, p := range t.Pods {
			fmt.Fprintf(w, "%*s", column, p.Name)
		}
		fmt.Fprintln(w)
	}
	for i, from := range t.Pods {
		if i == mostPods {
			fmt.Fprintf(w, "  ... and %d pods more\n", len(t.Pods)-i)
			break
		}
		fmt.Fprintf(w, "  %-*s", head-2, fmt.Sprintf("%-5s %-5s %s", from.Name, from.Node, from.Addr))
		if matrix {
			for _, to := range t.Pods {
				fmt.Fprint(w, cell(at[[2]string{from.Name, to.Name}], from == to, column, style))
			}
			fmt.Fprintln(w)
			continue
		}
		var row []Check
		for _, to := range t.Pods {
			if from != to {
				row = append(row, at[[2]string{from.Name, to.Name}])
			}
		}
		fmt.Fprintln(w, "  "+reached(row))
	}
}

// cell returns one round trip, or FAIL, aligned to the right in so many columns.
func cell(c Check, self bool, columns int, style Style) string {
	switch {
	case self:
		return fmt.Sprintf("%*s", columns, "-")
	case c.Err != nil:
		return strings.Repeat(" ", columns-len("FAIL")) + style.bad("FAIL")
	}
	return fmt.Sprintf("%*s", columns, milliseconds(c.RTT))
}

// reached returns the number of passed checks, with the range of their round trips.
func reached(checks []Check) string {
	passed := 0
	var shortest, longest time.Duration
	for _, c := range checks {
		if c.Err != nil {
			continue
		}
		passed++
		if shortest == 0 || c.RTT < shortest {
			shortest = c.RTT
		}
		longest = max(longest, c.RTT)
	}
	text := fmt.Sprintf("%4d of %-4d", passed, len(checks))
	if longest > 0 {
		text += fmt.Sprintf("  %s to %s ms", milliseconds(shortest), milliseconds(longest))
	}
	return text
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()*1000) }

func (t Table) writeSummary(w io.Writer, style Style, k Kind, name, note string) {
	checks := t.Of(k)
	if len(checks) == 0 {
		return
	}
	mark := style.good("ok    ")
	for _, c := range checks {
		if c.Err != nil {
			mark = style.bad("FAILED")
		}
	}
	if note != "" {
		note = "  " + note
	}
	fmt.Fprintf(w, "  %s  %-30s%s%s\n", mark, name, reached(checks), note)
}

func (t Table) writeSpeed(w io.Writer) {
	fmt.Fprintf(w, "%-30s%14s%14s%8s\n\n", fmt.Sprintf("%s (%s) to %s (%s)", t.From[0], t.From[1], t.To[0], t.To[1]),
		"pod to pod", "node to node", "ratio")
	for _, l := range []struct {
		name    string
		c       Compare
		unit    string
		scaling float64
		digits  int
	}{
		{"TCP", t.Rate, "Gbit/s", 1e-9, 2},
		{"round trip, mean", t.RoundTrip, "ms", 1e3, 3},
	} {
		if l.c.Pod == 0 || l.c.Node == 0 {
			fmt.Fprintf(w, "  %-28snot measured\n", l.name)
			continue
		}
		value := func(f float64) string { return fmt.Sprintf("%.*f %s", l.digits, f*l.scaling, l.unit) }
		fmt.Fprintf(w, "  %-28s%14s%14s%8.2f\n", l.name, value(l.c.Pod), value(l.c.Node), l.c.Ratio())
	}
}

func (t Table) writeFailures(w io.Writer, style Style) {
	if t.OK() {
		return
	}
	fmt.Fprintf(w, "\n%s\n\n", style.bad("Failed checks"))
	for i, c := range t.Failed() {
		if i == mostFailures {
			fmt.Fprintf(w, "  ... and %d more\n", len(t.Failed())-i)
			break
		}
		fmt.Fprintf(w, "  %s to %s: %v\n", c.From, c.To, c.Err)
	}
	if t.RateErr != nil {
		fmt.Fprintf(w, "%s\n", indent(t.RateErr.Error()))
	}
}

func (l Style) good(s string) string { return l.paint("32", s) }
func (l Style) bad(s string) string  { return l.paint("31;1", s) }

func (l Style) paint(colour, s string) string {
	if !l.Colour {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}
