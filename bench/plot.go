package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Plot is a set of curves. Both axes are logarithmic.
type Plot struct {
	Name, Title string // file name without .svg; title above the plot
	X, Y        string
	Curves      []Curve
}

// Curve is points from left to right.
type Curve struct {
	Name   string
	Points []point
}

type point struct{ x, y float64 }

func (c *Curve) add(x, y float64) { c.Points = append(c.Points, point{x, y}) }

// Sizes of the picture in pixels.
const (
	plotWidth, plotHeight    = 720, 420
	plotLeft, plotRight      = 70, 20
	plotTop, plotBottom      = 40, 50
	plotInsideX, plotInsideY = plotWidth - plotLeft - plotRight, plotHeight - plotTop - plotBottom
)

// colours can be distinguished with red-green colour blindness (Okabe and Ito).
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}

// axis spans whole decades, from the smallest to the largest value.
type axis struct{ from, to float64 }

func makeAxis(values []float64) axis {
	a := axis{math.Inf(1), math.Inf(-1)}
	for _, v := range values {
		if v > 0 {
			a.from, a.to = math.Min(a.from, v), math.Max(a.to, v)
		}
	}
	if math.IsInf(a.from, 1) {
		return axis{1, 10}
	}
	a = axis{math.Pow(10, math.Floor(math.Log10(a.from))), math.Pow(10, math.Ceil(math.Log10(a.to)))}
	if a.from == a.to {
		a.to *= 10
	}
	return a
}

// at returns the position of a value, from 0 to 1.
func (a axis) at(v float64) float64 { return math.Log(v/a.from) / math.Log(a.to/a.from) }

// decades returns the labelled values.
func (a axis) decades() (all []float64) {
	for v := a.from; v <= a.to*1.0001; v *= 10 {
		all = append(all, v)
	}
	return all
}

// SVG returns the picture.
func (p Plot) SVG() string {
	var xs, ys []float64
	for _, c := range p.Curves {
		for _, at := range c.Points {
			xs, ys = append(xs, at.x), append(ys, at.y)
		}
	}
	x, y := makeAxis(xs), makeAxis(ys)
	left := func(v float64) float64 { return plotLeft + x.at(v)*plotInsideX }
	top := func(v float64) float64 { return plotTop + (1-y.at(v))*plotInsideY }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/><text x="%d" y="24" font-size="16">%s</text>`+"\n", plotWidth, plotHeight, plotLeft, html.EscapeString(p.Title))
	for _, v := range x.decades() {
		fmt.Fprintf(&b, `<path d="M%.1f %d v%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", left(v), plotTop, plotInsideY, left(v), plotTop+plotInsideY+18, number(v))
	}
	for _, v := range y.decades() {
		fmt.Fprintf(&b, `<path d="M%d %.1f h%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", plotLeft, top(v), plotInsideX, plotLeft-6, top(v)+4, number(v))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text><text x="14" y="%d">%s</text>`+"\n", plotLeft+plotInsideX/2, plotHeight-10, html.EscapeString(p.X), plotTop-8, html.EscapeString(p.Y))
	for i, c := range p.Curves {
		colour := colours[i%len(colours)]
		var path strings.Builder
		for j, at := range c.Points {
			fmt.Fprintf(&path, "%s%.1f %.1f", map[bool]string{true: "M", false: " L"}[j == 0], left(at.x), top(at.y))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", left(at.x), top(at.y), colour)
		}
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%d" y="%d" fill="%s">%s</text>`+"\n", &path, colour, plotLeft+12, plotTop+18+18*i, colour, html.EscapeString(c.Name))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// number formats the label of a decade.
func number(v float64) string {
	if v >= 1000 {
		return thousands(int(v + 0.5))
	}
	return fmt.Sprintf("%g", math.Round(v*1e9)/1e9)
}
