package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSectionShowsMissedLimits(t *testing.T) {
	s := Section{Name: "start", Title: "A start", Text: "How.", Machine: "A machine.", Rows: []Row{
		within(Row{What: "good", Figure: "1 s", Against: "2 s", Ratio: 0.5}, 0.5, 1, "at most 1"),
		within(Row{What: "bad", Figure: "3"}, 3, 2, "at most 2"),
		{What: "plain", Figure: "7"},
		{What: "little", Figure: "7", Ratio: 0.00412},
	}}
	text := s.Markdown()
	for _, want := range []string{
		"## A start\n", "| good | 1 s | 2 s | **0.50** | at most 1 |\n", "| bad | 3 |  |  | at most 2 (**missed**) |\n", "| plain | 7 |  |  |  |\n",
		"| little | 7 |  | **0.0041** |  |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if s.missed() != 1 {
		t.Errorf("%d limits are missed, want 1", s.missed())
	}
}

// The check matches the text: a figure equal to the limit is not "under" it. NaN misses every limit.
func TestFigureIsComparedWithItsLimit(t *testing.T) {
	for _, c := range []struct {
		figure float64
		reach  string
		missed bool
	}{
		{1.9, "at most 2", false}, {2, "at most 2", false}, {2.1, "at most 2", true}, {math.NaN(), "at most 2", true}, {math.Inf(1), "at most 2", true},
		{1.9, "under 2", false}, {2, "under 2", true}, {2.1, "under 2", true}, {math.NaN(), "under 2", true},
	} {
		if r := within(Row{}, c.figure, 2, c.reach); r.Missed != c.missed || r.Reach != c.reach {
			t.Errorf("%g, %s: missed is %v", c.figure, c.reach, r.Missed)
		}
	}
}

func TestLowerLimit(t *testing.T) {
	for figure, missed := range map[float64]bool{0.87: true, 0.88: false, 2: false, math.NaN(): true} {
		if r := atLeast(Row{}, figure, 0.88); r.Missed != missed || r.Reach != "at least 0.88" {
			t.Errorf("%g: %+v", figure, r)
		}
	}
}

// A single measurement replaces its own section and keeps the others.
func TestSectionsAreJoined(t *testing.T) {
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

func startOf(peers int) starts {
	at := func(v float64) series { return series{v * float64(peers), v * float64(peers)} }
	return starts{
		peers: peers, daemon: at(4e-5), apply: at(2e-5), raw: at(1e-5), tools: at(8e-5),
		cpu: at(3e-5), rawCPU: at(1e-5), toolsCPU: at(6e-5), peak: at(5 << 10), toolsPeak: 2.5 * (1 << 10) * float64(peers),
		calls: peers/20 + 7, rawCalls: peers/40 + 3, toolCalls: 9 * peers, lines: 6,
	}
}

func TestStartsAreRowsAndThreePlots(t *testing.T) {
	s := startSection([]starts{startOf(1000), startOf(5000), startOf(20_000)},
		growth{from: 5000, to: 20_000, short: series{0.2, 0.4}, long: series{0.8, 1.6}})
	text := s.Markdown()
	for _, want := range []string{
		"| 1,000 peers: its netlink system calls | 57, 57.0 per 1,000 peers | ip + bridge -batch 9000 | **0.0063** |  |\n",
		"| 5,000 peers: its netlink system calls | 257, 51.4 per 1,000 peers | ip + bridge -batch 45000 | **0.0057** | under 100 per 1,000 |\n",
		"| 5,000 peers: its netlink system calls | 257, 51.4 per 1,000 peers | raw netlink 128 | **2.01** |  |\n",
		"| ip or bridge -batch 12.2 MiB | **2.00** | under 45 MB, 42.9 MiB |\n",
		"| ip + bridge -batch 300 ms (300 ms – 300 ms) | **0.50** | under 0.35 s |\n",
		"| raw netlink 50 ms (50 ms – 50 ms) | **3.00** |  |\n",
		"| 20,000 peers, exec until verified, beside 4 times 5,000 | 1.20 s (800 ms – 1.60 s) | 4 times 300 ms (200 ms – 400 ms) | **1.00** | at most 1.3 |\n",
		"(start.svg)", "(start-cpu.svg)", "(start-memory.svg)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if s.missed() != 0 {
		t.Errorf("%d limits are missed, want none", s.missed())
	}
	curves := map[string]int{}
	for _, p := range s.Plots {
		curves[p.Name] = len(p.Curves)
		for _, c := range p.Curves {
			if len(c.Points) != 3 || c.Points[2].x != 20_000 {
				t.Errorf("%s, %s: %v", p.Name, c.Name, c.Points)
			}
		}
	}
	if diff := cmp.Diff(map[string]int{"start": 4, "start-cpu": 3, "start-memory": 2}, curves); diff != "" {
		t.Errorf("curves of each plot (-want +got):\n%s", diff)
	}
}

// 501 calls for 5,000 peers are not under 100 per 1,000: figures are compared before rounding.
func TestSystemCallsAreNotRounded(t *testing.T) {
	m := startOf(5000)
	m.calls = 501
	i := slices.IndexFunc(m.rows(), func(r Row) bool { return strings.HasPrefix(r.Reach, "under 100 per 1,000") })
	if r := m.rows()[max(i, 0)]; !r.Missed || r.Figure != "501, 100.2 per 1,000 peers" {
		t.Errorf("%+v", r)
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
