package main

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestSeries(t *testing.T) {
	var s series
	for _, ms := range []time.Duration{5, 1, 4, 2, 3} {
		s.addTime(ms * time.Millisecond)
	}
	for q, want := range map[float64]float64{0: 0.001, 0.2: 0.001, 0.21: 0.002, 0.5: 0.003, 0.99: 0.005, 1: 0.005} {
		if got := s.quantile(q); got != want {
			t.Errorf("quantile %g: %g, want %g", q, got, want)
		}
	}
	if got := s.text(seconds); got != "3.00 ms (1.00 ms – 5.00 ms)" {
		t.Errorf("text %q", got)
	}
	if m := (series{1, 2, 3, 10}).median(); m != 2.5 {
		t.Errorf("median %g, want 2.5", m)
	}
	if m := (series{}).median(); m == m {
		t.Error("the median of nothing is", m)
	}
	if text := (series{}).text(percent); text != "NaN %" {
		t.Error("nothing is", text)
	}
}

// A slow round slows both of its values: their ratio stays.
func TestRatioIsOfRounds(t *testing.T) {
	if r := ratio(series{2, 200, 4}, series{1, 100, 2}); r != 2 {
		t.Errorf("ratio %g, want 2", r)
	}
}

func TestFigures(t *testing.T) {
	for v, want := range map[float64]string{42e-6: "42 µs", 2.5e-3: "2.50 ms", 0.123: "123 ms", 1.5: "1.50 s"} {
		if got := seconds(v); got != want {
			t.Errorf("%g: %s, want %s", v, got, want)
		}
	}
	if got := percent(0.0005); got != "0.050 %" {
		t.Errorf("percent %q", got)
	}
	for n, want := range map[int]string{7: "7", 1000: "1,000", 20_500: "20,500", 1_000_007: "1,000,007"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

func TestRoundsReverseTheOrder(t *testing.T) {
	var order []string
	record := func(name string) func() error { return func() error { order = append(order, name); return nil } }
	if err := rounds(3, record("a"), record("b")); err != nil || !slices.Equal(order, []string{"a", "b", "b", "a", "a", "b"}) {
		t.Errorf("order %v, %v", order, err)
	}
	no := errors.New("no")
	if err := rounds(2, func() error { return no }, func() error { t.Error("it goes on after an error"); return nil }); !errors.Is(err, no) {
		t.Error(err)
	}
}
