package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// series holds the values of one figure, one for each round.
type series []float64

func (s *series) add(v float64)           { *s = append(*s, v) }
func (s *series) addTime(d time.Duration) { s.add(d.Seconds()) }

// quantile returns the smallest value that a fraction q (0 to 1) of all values do not exceed; NaN if there is none.
func (s series) quantile(q float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

func (s series) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	if n == 0 {
		return math.NaN()
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// ratio returns the median of the rounds' ratios. A disturbed round disturbs both of its values.
func ratio(a, b series) float64 {
	var r series
	for i := range min(len(a), len(b)) {
		r.add(a[i] / b[i])
	}
	return r.median()
}

// text returns the median, the minimum and the maximum.
func (s series) text(format func(float64) string) string {
	if len(s) < 2 {
		return format(s.median())
	}
	return fmt.Sprintf("%s (%s – %s)", format(s.median()), format(slices.Min(s)), format(slices.Max(s)))
}

// seconds formats a time.
func seconds(v float64) string {
	switch {
	case v < 1e-3:
		return fmt.Sprintf("%.0f µs", v*1e6)
	case v < 10e-3:
		return fmt.Sprintf("%.2f ms", v*1e3)
	case v < 1:
		return fmt.Sprintf("%.0f ms", v*1e3)
	}
	return fmt.Sprintf("%.2f s", v)
}

// mib formats bytes as MiB.
func mib(v float64) string { return fmt.Sprintf("%.1f MiB", v/(1<<20)) }

// rounds measures things in turn. It reverses the order in every second round, so that a drift affects all alike.
func rounds(n int, things ...func() error) error {
	for i := range n {
		order := slices.Clone(things)
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, measure := range order {
			if err := measure(); err != nil {
				return err
			}
		}
	}
	return nil
}
