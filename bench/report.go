package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Section is the result of one measurement.
type Section struct {
	Name    string
	Machine string
	Title   string
	Text    string // how it was measured
	Rows    []Row
	Tables  []Table // after the rows
	Plots   []Plot
	Bars    []Bars
}

// Table is a table of further figures.
type Table struct {
	Title string
	Head  []string
	Lines [][]string // each as long as Head
}

// picture is a file beside the report.
type picture struct{ name, title, svg string }

// pictures returns all pictures of the section.
func (s Section) pictures() (all []picture) {
	for _, p := range s.Plots {
		all = append(all, picture{p.Name, p.Title, p.SVG()})
	}
	for _, b := range s.Bars {
		all = append(all, picture{b.Name, b.Title, b.SVG()})
	}
	return all
}

// Row is one figure, with a reference figure of the same run.
type Row struct {
	What    string
	Figure  string
	Against string  // empty: nothing
	Ratio   float64 // 0: none
	Reach   string  // the limit; empty: none
	Missed  bool    // the limit is not reached
}

// within returns a row with a limit. If reach begins with "under", the figure must be below the limit. Otherwise it
// may equal the limit. NaN misses it.
func within[T int | int64 | float64](r Row, figure, limit T, reach string) Row {
	reached := figure <= limit
	if strings.HasPrefix(reach, "under ") {
		reached = figure < limit
	}
	r.Reach, r.Missed = reach, !reached
	return r
}

// atLeast returns a row with a lower limit. NaN misses it.
func atLeast(r Row, figure, limit float64) Row {
	return within(r, limit, figure, fmt.Sprintf("at least %g", limit))
}

// Markdown returns the section as in RESULTS.md.
func (s Section) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n%s\n\n", s.Title, s.Text, s.Machine)
	b.WriteString("| | figure | beside it | ratio | to reach |\n|---|---|---|---|---|\n")
	for _, r := range s.Rows {
		ratio := ""
		switch {
		case r.Ratio == 0:
		case r.Ratio < 0.01:
			ratio = fmt.Sprintf("**%.4f**", r.Ratio)
		default:
			ratio = fmt.Sprintf("**%.2f**", r.Ratio)
		}
		reach := r.Reach
		if r.Missed {
			reach += " (**missed**)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.What, r.Figure, r.Against, ratio, reach)
	}
	for _, t := range s.Tables {
		fmt.Fprintf(&b, "\n%s\n\n| %s |\n|%s\n", t.Title, strings.Join(t.Head, " | "), strings.Repeat("---|", len(t.Head)))
		for _, line := range t.Lines {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(line, " | "))
		}
	}
	for _, p := range s.pictures() {
		fmt.Fprintf(&b, "\n![%s](%s.svg)\n", p.title, p.name)
	}
	return b.String()
}

func (s Section) missed() (n int) {
	for _, r := range s.Rows {
		if r.Missed {
			n++
		}
	}
	return n
}

// part returns the file of one section.
func part(folder, name string) string { return filepath.Join(folder, "results", name+".md") }

// write writes the section's file and its plots.
func (s Section) write(folder string) error {
	if err := os.MkdirAll(filepath.Dir(part(folder, s.Name)), 0o755); err != nil {
		return err
	}
	for _, p := range s.pictures() {
		if err := os.WriteFile(filepath.Join(folder, p.name+".svg"), []byte(p.svg), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(part(folder, s.Name), []byte(s.Markdown()), 0o644)
}

// writeResults joins the existing section files.
func writeResults(folder string, names []string) error {
	var b strings.Builder
	b.WriteString("# Figures\n\nMade by `make bench`. A ratio compares two things that were measured in turn in one run. Below 1 the first one is faster,\nor needs less. Raw figures are medians, with the minimum and the maximum.\n")
	for _, name := range names {
		text, err := os.ReadFile(part(folder, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		b.WriteString("\n" + string(text))
	}
	return os.WriteFile(filepath.Join(folder, "RESULTS.md"), []byte(b.String()), 0o644)
}
