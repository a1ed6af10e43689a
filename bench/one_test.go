package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Two writes and no write are not one each, although their mean is one.
func TestEachTimeExactlyOne(t *testing.T) {
	want := writes{"fdb": 1, "route": 1}
	if r := exactly("x", []writes{{"fdb": 1, "route": 1}, {"fdb": 1, "route": 1}}, want, "one"); r.Missed || r.Figure != "fdb 1, route 1" {
		t.Errorf("one each: %+v", r)
	}
	for _, all := range [][]writes{
		{{"fdb": 2, "route": 1}, {"route": 1}},
		{{"fdb": 1, "route": 1}, {"fdb": 1, "route": 1, "rule": 1}},
		{{"fdb": 1}},
		nil,
	} {
		if r := exactly("x", all, want, "one"); !r.Missed {
			t.Errorf("%v passes as one each: %+v", all, r)
		}
	}
	if got := text([]writes{{"fdb": 2}, {"route": 1}, {"route": 1}}); got != "1 times: fdb 2; 2 times: route 1" {
		t.Errorf("text %q", got)
	}
}

func TestRefusedWritesAreCounted(t *testing.T) {
	const done, failed = `podlane_operations_total{kind="route",result="done"}`, `podlane_operations_total{kind="route",result="failed"}`
	w := written(map[string]float64{done: 3, "podlane_peers": 1}, map[string]float64{done: 4, failed: 1, "podlane_peers": 2})
	if diff := cmp.Diff(writes{"route": 2}, w); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}
