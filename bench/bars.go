package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Bars is a bar chart: groups of bars beside each other. Its axis is linear and begins at 0.
type Bars struct {
	Name, Title string   // file name without .svg; title above the chart
	Y           string   // unit of the values
	Bars        []string // names of the bars in each group
	Groups      []Group
}

// Group holds one value for each bar.
type Group struct {
	Name   string
	Values []float64
}

// barColours can be distinguished with red-green colour blindness, and by their brightness alone: their luminance
// falls from bar to bar.
var barColours = []string{"#f0e442", "#56b4e9", "#d55e00", "#0072b2", "#000000"}

// ceiling returns a round number that is at least v: 1, 2 or 5 times a power of ten. It is 1 for 0.
func ceiling(v float64) float64 {
	if !(v > 0) || math.IsInf(v, 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, times := range []float64{1, 2, 5} {
		if v <= times*power {
			return times * power
		}
	}
	return 10 * power
}

// height returns the value as it is drawn: negative values, NaN and infinity as 0.
func height(v float64) float64 {
	if !(v > 0) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

// largest returns the largest value.
func (b Bars) largest() (most float64) {
	for _, g := range b.Groups {
		for _, v := range g.Values {
			most = max(most, height(v))
		}
	}
	return most
}

// SVG returns the picture. Each bar has its value above it.
func (b Bars) SVG() string {
	const steps = 5
	step := ceiling(b.largest() / steps)
	full := step * math.Max(1, math.Ceil(b.largest()/step))
	const legend = 26 // pixels below the title
	top := func(v float64) float64 { return plotTop + legend + (1-v/full)*(plotInsideY-legend) }
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&s, `<rect width="%d" height="%d" fill="#fff"/><text x="%d" y="24" font-size="16">%s</text>`+"\n", plotWidth, plotHeight, plotLeft, html.EscapeString(b.Title))
	for v := 0.0; v <= full*1.0001; v += step {
		fmt.Fprintf(&s, `<path d="M%d %.1f h%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", plotLeft, top(v), plotInsideX, plotLeft-6, top(v)+4, number(v))
	}
	fmt.Fprintf(&s, `<text x="14" y="%d">%s</text>`+"\n", plotTop+8, html.EscapeString(b.Y))
	for i, name := range b.Bars {
		x := plotLeft + i*plotInsideX/len(b.Bars)
		fmt.Fprintf(&s, `<rect x="%d" y="%d" width="12" height="12" fill="%s" stroke="#000"/><text x="%d" y="%d">%s</text>`+"\n", x, plotTop-2, barColours[i%len(barColours)], x+17, plotTop+8, html.EscapeString(name))
	}
	for i, g := range b.Groups {
		slot := float64(plotInsideX) / float64(len(b.Groups))
		left, width := plotLeft+float64(i)*slot, slot/(float64(len(g.Values))+1)
		for j, v := range g.Values {
			x, y := left+width*(float64(j)+0.5), top(height(v))
			fmt.Fprintf(&s, `<rect class="bar" x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" stroke="#000"/>`, x, y, width, top(0)-y, barColours[j%len(barColours)])
			fmt.Fprintf(&s, `<text x="%.1f" y="%.1f" text-anchor="middle" font-size="11">%s</text>`+"\n", x+width/2, y-4, label(v))
		}
		fmt.Fprintf(&s, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", left+slot/2, plotTop+plotInsideY+20, html.EscapeString(g.Name))
	}
	s.WriteString("</svg>\n")
	return s.String()
}

// label formats the value of a bar with three digits.
func label(v float64) string {
	switch {
	case v >= 1000:
		return thousands(int(v + 0.5))
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}
