package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// Every measurement runs, with small numbers, and says something; whether a figure is reached is for `make bench`.
func TestEveryMeasurementRuns(t *testing.T) {
	bin, err := filepath.Abs("../bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			section, err := s.run(t.Context(), bench{bin: bin, quick: true})
			if err != nil {
				t.Fatal(err)
			}
			text := section.Markdown()
			t.Log("\n" + text)
			if len(section.Rows) < 5 || strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
				t.Errorf("%d rows", len(section.Rows))
			}
		})
	}
}

func TestFlags(t *testing.T) {
	b, only, out, err := parse([]string{"--quick", "--only", "join,idle", "--out", "/x", "--bin", "/y"})
	if err != nil || !b.quick || b.bin != "/y" || out != "/x" || strings.Join(only, " ") != "join idle" {
		t.Error(b, only, out, err)
	}
	if _, only, _, err := parse(nil); err != nil || len(only) != len(scenarios) {
		t.Error(only, err)
	}
	if _, _, _, err := parse([]string{"--only", "start,nothing"}); err == nil {
		t.Error("an unknown measurement is taken")
	}
}
