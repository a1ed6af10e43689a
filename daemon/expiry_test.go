package main

import (
	"testing"
	"time"

	"github.com/podlane/podlane/subnet/store"
)

func TestBootClockDecidesWithinABoot(t *testing.T) {
	now := time.Now()
	e := newExpiry(now.Add(time.Hour), now)
	if left, _ := e.left(now.Add(48 * time.Hour)); left < 59*time.Minute {
		t.Errorf("the wall clock was set forward by two days within a boot: %s left", left)
	}
	e.Boot = "another boot"
	if left, _ := e.left(now.Add(48 * time.Hour)); left > 0 {
		t.Errorf("two days and a reboot later: %s left", left)
	}
	e = newExpiry(now.Add(time.Hour), now)
	saved := savedState{Saved: store.Saved{Own: "10.5.3.0-24", Expiry: now.Add(-23 * time.Hour)}, Until: e}
	if got := saved.store(now).Expiry; got.Sub(now).Round(time.Second) != time.Hour {
		t.Errorf("the wall clock was set forward by a day within a boot: the store gets %s", got)
	}
	if _, never := newExpiry(time.Time{}, now).left(now); !never {
		t.Error("a reservation runs out")
	}
}
