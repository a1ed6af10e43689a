package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
)

func TestBarsAreXMLAndProportional(t *testing.T) {
	for _, b := range []Bars{
		{Title: "one & all", Y: "µs", Bars: []string{"a < b", "c"}, Groups: []Group{{"first", []float64{10, 20}}, {"second", []float64{40, 5}}}},
		{}, {Bars: []string{"nothing"}, Groups: []Group{{"empty", []float64{math.NaN(), -1, math.Inf(1)}}}},
	} {
		var values []float64
		for _, g := range b.Groups {
			values = append(values, g.Values...)
		}
		heights := barHeights(t, b.SVG())
		if len(heights) != len(values) {
			t.Fatalf("%d bars for %d values", len(heights), len(values))
		}
		for i, h := range heights {
			want := 0.0
			if v := height(values[i]); v > 0 {
				want = v / values[0] * heights[0]
			}
			if math.Abs(h-want) > 0.3 { // rounded to tenths of a pixel
				t.Errorf("a value of %g is %g pixels high, want %g", values[i], h, want)
			}
		}
	}
}

// barHeights returns the heights of the bars. Each must be inside the picture.
func barHeights(t *testing.T, svg string) (heights []float64) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return heights
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		e, ok := token.(xml.StartElement)
		if !ok || e.Name.Local != "rect" {
			continue
		}
		at, isBar := map[string]float64{}, false
		for _, a := range e.Attr {
			isBar = isBar || a.Name.Local == "class"
			if v, err := strconv.ParseFloat(a.Value, 64); err == nil {
				at[a.Name.Local] = v
			}
		}
		if !isBar {
			continue
		}
		if at["y"] < plotTop || at["y"]+at["height"] > plotHeight-plotBottom+0.2 || at["x"] < plotLeft || at["x"]+at["width"] > plotWidth-plotRight+0.2 {
			t.Errorf("outside the axes: %v", at)
		}
		heights = append(heights, at["height"])
	}
}

// The bars differ in brightness, so they can be distinguished without colours.
func TestBarColoursDifferInBrightness(t *testing.T) {
	last := math.Inf(1)
	for _, c := range barColours {
		rgb, err := strconv.ParseUint(c[1:], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		brightness := 0.2126*float64(rgb>>16) + 0.7152*float64(rgb>>8&255) + 0.0722*float64(rgb&255)
		if brightness > last-5 {
			t.Errorf("%s has brightness %.0f, the bar before it %.0f", c, brightness, last)
		}
		last = brightness
	}
}

func TestCeilingIsRound(t *testing.T) {
	for v, want := range map[float64]float64{0: 1, 0.3: 0.5, 1: 1, 1.5: 2, 4: 5, 16: 20, 51: 100, -1: 1} {
		if got := ceiling(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("ceiling of %g is %g, want %g", v, got, want)
		}
	}
	if got := ceiling(math.NaN()); got != 1 {
		t.Errorf("ceiling of NaN is %g", got)
	}
}
