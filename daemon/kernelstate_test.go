package main

import (
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestRetriesGetRarer(t *testing.T) {
	type round struct{ complete, refused bool }
	failed, complete, refused := round{}, round{complete: true}, round{true, true}
	const s = time.Second
	for name, c := range map[string]struct {
		rounds []round
		want   []time.Duration
	}{
		"complete":                {[]round{complete, complete}, []time.Duration{0, 0}},
		"failed":                  {[]round{failed, failed, failed, failed, failed, failed, failed}, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s}},
		"one peer is refused":     {[]round{refused, refused}, []time.Duration{s, 2 * s}},
		"complete between faults": {[]round{failed, failed, complete, failed}, []time.Duration{s, 2 * s, 0, s}},
	} {
		var k kernelState
		var got []time.Duration
		for _, r := range c.rounds {
			k.refused = r.refused
			k.scheduleRetry(r.complete)
			got = append(got, k.retry)
		}
		if diff := gocmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestNotesAboutTheKernel(t *testing.T) {
	report := make([]string, 1, 4)
	report[0] = "a route of another program"
	k := kernelState{notes: report}
	for _, text := range []string{"", "privacy addresses", "privacy addresses"} {
		k.addNote(text)
	}
	if diff := gocmp.Diff([]string{"a route of another program", "privacy addresses"}, k.notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	if got := report[:2][1]; got != "" {
		t.Errorf("the backend's report was changed: %q", got)
	}
}
