package stream

import (
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// A datagram every 10 ms. The text has for each how often it arrived.
func TestTally(t *testing.T) {
	for text, want := range map[string]Result{
		"":         {},
		"1111":     {Sent: 4},
		"1101":     {Sent: 4, Lost: 1, Gaps: 1, LongestGap: 20 * time.Millisecond},
		"10010001": {Sent: 8, Lost: 5, Gaps: 2, LongestGap: 40 * time.Millisecond},
		"0011":     {Sent: 4, Lost: 2, Gaps: 1, LongestGap: 20 * time.Millisecond},
		"1100":     {Sent: 4, Lost: 2, Gaps: 1, LongestGap: 20 * time.Millisecond},
		"000":      {Sent: 3, Lost: 3, Gaps: 1, LongestGap: 20 * time.Millisecond},
		"1213":     {Sent: 4, Duplicated: 3},
	} {
		var tally tally
		for i := range text {
			tally.send(time.Duration(i) * 10 * time.Millisecond)
		}
		for i, times := range text {
			for range times - '0' {
				tally.arrive(uint64(i))
			}
		}
		tally.arrive(uint64(len(text))) // never sent
		if diff := gocmp.Diff(want, tally.result()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestArrivedSince(t *testing.T) {
	var tally tally
	for range 3 {
		tally.send(0)
	}
	tally.arrive(1)
	for number, want := range []bool{true, true, false} {
		if got := tally.arrivedSince(uint64(number)); got != want {
			t.Errorf("arrivedSince(%d): got %v, want %v", number, got, want)
		}
	}
	if got := tally.missing(); got != 2 {
		t.Errorf("missing: got %d, want 2", got)
	}
	if got := tally.next(); got != 3 {
		t.Errorf("next: got %d, want 3", got)
	}
}

func TestDatagramsBeforeBeginAreNotCounted(t *testing.T) {
	var tally tally
	for range 5 {
		tally.send(0)
	}
	for _, number := range []uint64{1, 1, 3} {
		tally.arrive(number)
	}
	tally.begin()
	if got := tally.result(); got.Sent != 2 || got.Lost != 1 || got.Duplicated != 0 {
		t.Errorf("two of five have arrived: got %s; want 2 sent, 1 lost, none duplicated", got)
	}
	for _, number := range []uint64{0, 4} {
		tally.arrive(number)
	}
	if got := tally.result(); got.Sent != 2 || got.Lost != 0 || got.Duplicated != 0 {
		t.Errorf("the others have arrived late: got %s; want 2 sent, none lost or duplicated", got)
	}
	if got := tally.missing(); got != 0 {
		t.Errorf("missing: got %d, want 0", got)
	}
}

func TestResultsAdd(t *testing.T) {
	a := Result{Sent: 5, Lost: 1, Gaps: 1, LongestGap: time.Second, Connections: 2, Broken: 1}
	b := Result{Sent: 7, Duplicated: 2, Gaps: 3, LongestGap: time.Minute, Connections: 1}
	sum := a.Add(b)
	if want := "12 datagrams sent, 1 lost, 2 duplicated, 3 gaps, longest gap 1m0s; 1 of 3 connections broken"; sum.String() != want {
		t.Errorf("%s; want %s", sum, want)
	}
	if sum.Err() == nil {
		t.Error("Err: got nil, want the loss")
	}
	if err := (Result{Sent: 3, Connections: 3}).Err(); err != nil {
		t.Errorf("Err without a loss: %v", err)
	}
}
