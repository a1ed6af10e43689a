package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSectionSaysWhatIsMissed(t *testing.T) {
	s := Section{Name: "start", Title: "A start", Text: "How.", Machine: "A machine.", Rows: []Row{
		within(Row{What: "good", Figure: "1 s", Against: "2 s", Ratio: 0.5}, 0.5, 1, "at most 1"),
		within(Row{What: "bad", Figure: "3"}, 3, 2, "at most 2"),
		{What: "plain", Figure: "7"},
	}}
	text := s.Markdown()
	for _, want := range []string{
		"## A start\n", "| good | 1 s | 2 s | **0.50** | at most 1 |\n", "| bad | 3 |  |  | at most 2 (**missed**) |\n", "| plain | 7 |  |  |  |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if s.missed() != 1 {
		t.Error(s.missed())
	}
}

// What is measured alone takes its own part's place and leaves the others.
func TestPartsArePutTogether(t *testing.T) {
	dir := t.TempDir()
	for _, s := range []Section{{Name: "b", Title: "Second"}, {Name: "a", Title: "Old"}, {Name: "a", Title: "First", Plots: []Plot{{Name: "p"}}}} {
		if err := s.write(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeResults(dir, []string{"a", "b", "never-run"}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	first, second := strings.Index(string(text), "## First"), strings.Index(string(text), "## Second")
	if first < 0 || second < first || strings.Contains(string(text), "Old") {
		t.Errorf("%s", text)
	}
	if _, err := os.Stat(filepath.Join(dir, "p.svg")); err != nil {
		t.Error(err)
	}
}

func TestPlotIsXMLWithItsPointsInside(t *testing.T) {
	c := Curve{Name: "a < b"}
	for _, v := range []float64{100, 1000, 20_000} {
		c.add(v, v/1e6)
	}
	for _, p := range []Plot{{Title: "one & all", Curves: []Curve{c, {Name: "other", Points: []point{{100, 3}}}}}, {}, {Curves: []Curve{{Points: []point{{10, 10}}}}}} {
		text := p.SVG()
		for d := xml.NewDecoder(strings.NewReader(text)); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
				for _, a := range e.Attr {
					if strings.HasPrefix(a.Value, "-") || strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
						t.Errorf("%s=%s", a.Name.Local, a.Value)
					}
				}
			}
		}
	}
}

func TestOperationsAreReadFromMetrics(t *testing.T) {
	name, value, ok := cutLast(`podlane_operations_total{kind="route",result="done"} 12`)
	if kind, is := operation(name); !ok || value != "12" || !is || kind != "route" {
		t.Error(name, value, ok, kind, is)
	}
	if _, is := operation("podlane_peers"); is {
		t.Error("that counts no operations")
	}
}
