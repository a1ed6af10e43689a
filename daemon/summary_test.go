package main

import (
	"testing"

	"github.com/podlane/podlane/kernel"
)

func TestSummary(t *testing.T) {
	few := []kernel.Op{{Verb: "add", Kind: "route", Object: "route 10.5.1.0/24"}, {Verb: "set", Kind: "device", Object: "link podlane.1 mtu 1450"}}
	if got, want := summary(few), "add route 10.5.1.0/24; set link podlane.1 mtu 1450"; got != want {
		t.Errorf("few: %q, want %q", got, want)
	}
	var many []kernel.Op
	for range 4000 {
		many = append(many, kernel.Op{Verb: "add", Kind: "neighbour", Object: "neigh a"}, kernel.Op{Verb: "add", Kind: "route", Object: "route b"})
	}
	many = append(many, kernel.Op{Verb: "delete", Kind: "route", Object: "route c"})
	if got, want := summary(many), "add 4000 neighbour (add neigh a, …); add 4000 route (add route b, …); delete route c"; got != want {
		t.Errorf("many: %q, want %q", got, want)
	}
}

func TestSplit(t *testing.T) {
	drift, change := split([]kernel.Op{{Verb: "a"}, {Verb: "b", Drift: true}, {Verb: "c"}})
	if len(drift) != 1 || drift[0].Verb != "b" || len(change) != 2 {
		t.Errorf("drift %v, change %v", drift, change)
	}
}
