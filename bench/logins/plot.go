package logins

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
)

// Measures of a plot, in pixels: panels side by side.
const (
	plotWidth  = 470
	plotHeight = 300
	plotLeft   = 62
	plotRight  = 16
	plotTop    = 54
	plotFoot   = 44
	plotTicks  = 5
)

// line is one curve of a panel.
type line struct {
	name, colour string
	dashed       bool
	x, y         []float64
}

// panel is a picture with two axes.
type panel struct {
	title, xName, yName string
	lines               []line
}

// Colours of lines.
const (
	colourMain   = "#1f6f8b"
	colourSecond = "#d08a2e"
	colourQuiet  = "#9a9a9a"
)

// SVG draws throughput and latency over the offered load, and latency over time of the long runs.
func (r *Report) SVG(w io.Writer) error {
	var panels []panel
	if len(r.Curve) > 1 {
		panels = append(panels, r.throughputPanel(), r.loadPanel())
	}
	for i := range r.Runs {
		if v := &r.Runs[i]; len(v.Seconds) > 1 && v.Rate > 0 {
			panels = append(panels, v.timePanel())
		}
	}
	const columns = 2
	rows := (len(panels) + columns - 1) / columns
	width, height := columns*plotWidth, max(1, rows)*plotHeight+20
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", width, height, width, height)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for i, p := range panels {
		p.draw(&b, i%columns*plotWidth, i/columns*plotHeight)
	}
	fmt.Fprintf(&b, `<text x="12" y="%d" font-size="10">%s; switchpoint %s; everything on this machine</text>`+"\n</svg>\n",
		height-8, html.EscapeString(r.Machine), html.EscapeString(r.Versions["switchpoint"]))
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) throughputPanel() panel {
	done := line{name: "signed in", colour: colourMain}
	ideal := line{name: "offered", colour: colourQuiet, dashed: true}
	original := line{name: fmt.Sprintf("one broker of the original: %d/s (published 2018, other hardware)", originalRate), colour: colourSecond}
	for _, p := range r.Curve {
		for _, l := range []*line{&done, &ideal, &original} {
			l.x = append(l.x, p.Offered)
		}
		done.y, ideal.y, original.y = append(done.y, p.Rate), append(ideal.y, p.Offered), append(original.y, originalRate)
	}
	return panel{"Throughput over offered load", "offered logins/s", "logins/s", []line{ideal, done, original}}
}

func (r *Report) loadPanel() panel {
	p50, p99 := line{name: "p50", colour: colourMain}, line{name: "p99", colour: colourSecond}
	for _, p := range r.Curve {
		p50.x, p50.y = append(p50.x, p.Offered), append(p50.y, p.P50)
		p99.x, p99.y = append(p99.x, p.Offered), append(p99.y, p.P99)
	}
	return panel{"Latency over offered load", "offered logins/s", "ms", []line{p99, p50}}
}

// timePanel shows latency by the second in which a login was due.
func (v *Measured) timePanel() panel {
	p50, p99 := line{name: "p50", colour: colourMain}, line{name: "p99", colour: colourSecond}
	slowest := line{name: "slowest", colour: colourQuiet, dashed: true}
	for i, s := range v.Seconds {
		if s.P50 == 0 {
			continue
		}
		for _, l := range []*line{&p50, &p99, &slowest} {
			l.x = append(l.x, float64(i))
		}
		p50.y, p99.y, slowest.y = append(p50.y, s.P50), append(p99.y, s.P99), append(slowest.y, s.Max)
	}
	return panel{fmt.Sprintf("%s: %s/s", v.Name, number(v.Rate)), "s", "ms", []line{slowest, p99, p50}}
}

// scale is the end of an axis: a round number at or above all values.
func scale(top float64) float64 {
	if !(top > 0) || math.IsInf(top, 0) {
		return 1
	}
	step := math.Pow(10, math.Floor(math.Log10(top)))
	for _, m := range []float64{1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10} {
		if m*step >= top {
			return m * step
		}
	}
	return 10 * step
}

// draw is one panel, with its corner at x and y.
func (p panel) draw(b *strings.Builder, x, y int) {
	const w, h = plotWidth - plotLeft - plotRight, plotHeight - plotTop - plotFoot
	left, top := float64(x+plotLeft), float64(y+plotTop)
	var maxX, maxY float64
	for _, l := range p.lines {
		for i := range l.x {
			maxX, maxY = max(maxX, l.x[i]), max(maxY, l.y[i])
		}
	}
	maxX, maxY = scale(maxX), scale(maxY)
	fmt.Fprintf(b, `<text x="%d" y="%d" font-size="13" font-weight="bold">%s</text>`+"\n", x+12, y+20, html.EscapeString(p.title))
	for i := range plotTicks + 1 {
		part := float64(i) / plotTicks
		gx, gy := left+part*w, top+(1-part)*h
		fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#e4e4e4"/>`, left, gy, left+w, gy)
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="end" font-size="10">%s</text>`, left-5, gy+3, number(part*maxY))
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" font-size="10">%s</text>`+"\n", gx, top+h+14, number(part*maxX))
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="end" font-size="10">%s</text>`, left+w, top+h+28, html.EscapeString(p.xName))
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="end" font-size="10">%s</text>`+"\n", left-5, top-10, html.EscapeString(p.yName))
	key := left
	for _, l := range p.lines {
		dash := ""
		if l.dashed {
			dash = ` stroke-dasharray="4 3"`
		}
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.6"%s points="`, l.colour, dash)
		for i := range l.x {
			fmt.Fprintf(b, "%.1f,%.1f ", left+l.x[i]/maxX*w, top+(1-l.y[i]/maxY)*h)
		}
		b.WriteString(`"/>` + "\n")
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="9" height="9" fill="%s"/><text x="%.1f" y="%.1f" font-size="10">%s</text>`+"\n",
			key, top-24, l.colour, key+12, top-16, html.EscapeString(l.name))
		key += 26 + 5.4*float64(len(l.name))
	}
}
