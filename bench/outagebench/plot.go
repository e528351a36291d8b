package outagebench

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
)

// Measures of a plot, in pixels: for each switch a column of panels that share their time.
const (
	plotWidth  = 760
	plotLeft   = 70
	plotRight  = 24
	plotTop    = 92 // title and the names of the moments
	panelTall  = 140
	panelGap   = 34
	plotFoot   = 40
	plotColumn = plotTop + 3*panelTall + 2*panelGap + plotFoot
)

// Colours.
const (
	colourMain    = "#1f6f8b"
	colourSecond  = "#d08a2e"
	colourQuiet   = "#9a9a9a"
	colourOutage  = "#fbeee6"
	colourBad     = "#b03030"
	colourWritten = "#333333"
)

// moment is a line across all panels of a switch.
type moment struct {
	at   float64 // seconds
	name string
}

// moments of a switch, in their order; those that did not come are left out.
func (s *Switch) moments() []moment {
	var out []moment
	for _, m := range []moment{
		{s.Gone, "the database vanishes"}, {s.Mode, "mode hostcache"}, {s.Back, "the database is back"}, {s.Merges, "mode recovering: merging"},
		{s.Normal, "mode normal: all is merged"},
	} {
		if m.at > 0 {
			out = append(out, m)
		}
	}
	return out
}

// axis is the one of values.
type axis struct {
	low, high float64
	log       bool
}

// part says where on the axis a value is, from 0 to 1.
func (a axis) part(v float64) float64 {
	v = min(max(v, a.low), a.high)
	if a.log {
		return math.Log(v/a.low) / math.Log(a.high/a.low)
	}
	return (v - a.low) / (a.high - a.low)
}

// ticks are the values that are written beside it.
func (a axis) ticks() []float64 {
	var out []float64
	if a.log {
		for v := a.low; v <= a.high*1.001; v *= 10 {
			out = append(out, v)
		}
		return out
	}
	const count = 4
	for i := range count + 1 {
		out = append(out, a.low+float64(i)/count*(a.high-a.low))
	}
	return out
}

// linear is an axis from 0 to a round number at or above a value.
func linear(top float64) axis {
	if !(top > 0) || math.IsInf(top, 0) {
		return axis{high: 1}
	}
	step := math.Pow(10, math.Floor(math.Log10(top)))
	for _, m := range []float64{1, 2, 4, 6, 8} {
		if m*step >= top {
			return axis{high: m * step}
		}
	}
	return axis{high: 10 * step}
}

// decades is a logarithmic axis of milliseconds that holds a value.
func decades(top float64) axis {
	a := axis{low: 1, high: 10, log: true}
	for a.high < top && a.high < 1e6 {
		a.high *= 10
	}
	return a
}

// curve is one line of a panel: a value for each second, NaN where there is none.
type curve struct {
	name, colour string
	dashed       bool
	values       []float64
}

// panel is one picture over time.
type panel struct {
	name   string
	axis   axis
	curves []curve
}

// panels of a switch: what users see, and what is to be merged.
func (s *Switch) panels() []panel {
	n := len(s.Seconds)
	due, done := curve{name: "due", colour: colourQuiet, dashed: true}, curve{name: "answered with offers", colour: colourMain}
	p50, slow := curve{name: "half of them within", colour: colourMain}, curve{name: "slowest", colour: colourSecond}
	journal := curve{name: "acts that are not in the database yet", colour: colourMain}
	var most, worst, waiting float64
	for i := range n {
		v := s.Seconds[i]
		due.values, done.values = append(due.values, float64(v.Due)), append(done.values, float64(v.Done))
		p50.values, slow.values = append(p50.values, none(v.P50)), append(slow.values, none(v.Max))
		acts := 0.0
		if i < len(s.Acts) {
			acts = float64(s.Acts[i])
		}
		journal.values = append(journal.values, acts)
		most, worst, waiting = max(most, float64(v.Due), float64(v.Done)), max(worst, v.Max), max(waiting, acts)
	}
	return []panel{
		{"logins a second", linear(most), []curve{due, done}},
		{"login, ms (each step is ten times the one below)", decades(worst), []curve{slow, p50}},
		{"journal of the broker, acts", linear(waiting), []curve{journal}},
	}
}

// none is what is drawn for a second without logins.
func none(v float64) float64 {
	if v == 0 {
		return math.NaN()
	}
	return v
}

// SVG draws what users saw while the database vanished and came back.
func (r *Report) SVG(w io.Writer) error {
	height := max(1, len(r.Switches))*plotColumn + 24
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", plotWidth, height, plotWidth, height)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for i := range r.Switches {
		r.Switches[i].draw(&b, float64(i*plotColumn))
	}
	fmt.Fprintf(&b, `<text x="12" y="%d" font-size="10">%s; switchpoint %s, PostgreSQL %s; everything on this machine</text>`+"\n</svg>\n",
		height-8, html.EscapeString(r.Machine), html.EscapeString(r.Versions["switchpoint"]), html.EscapeString(r.Versions["postgresql"]))
	_, err := io.WriteString(w, b.String())
	return err
}

// draw is one switch, from y downwards.
func (s *Switch) draw(b *strings.Builder, y float64) {
	const wide = plotWidth - plotLeft - plotRight
	length := float64(max(1, len(s.Seconds)))
	x := func(at float64) float64 { return plotLeft + min(max(at, 0), length)/length*wide }
	mode, _ := s.switched()
	fmt.Fprintf(b, `<text x="12" y="%.0f" font-size="14" font-weight="bold">%s</text>`+"\n", y+20,
		html.EscapeString(fmt.Sprintf("Database %s, profile %s: %d logins, %d without an answer, outage after %s s", s.Way, s.Profile, s.Offered, s.lost(), number(mode))))
	top, bottom := y+plotTop, y+plotColumn-plotFoot
	if s.Mode > 0 && s.Normal > s.Mode {
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x(s.Mode), top, x(s.Normal)-x(s.Mode), bottom-top, colourOutage)
	}
	for i, p := range s.panels() {
		p.draw(b, top+float64(i*(panelTall+panelGap)), x)
	}
	s.drawMoments(b, top, bottom, x)
	for at := 0.0; at <= length; at += tick(length) {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" font-size="10">%s</text>`, x(at), bottom+14, number(at))
	}
	fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end" font-size="10">seconds</text>`+"\n", plotWidth-plotRight, bottom+28)
}

// drawMoments writes their names in three rows in turns, so that neighbours have room.
func (s *Switch) drawMoments(b *strings.Builder, top, bottom float64, x func(float64) float64) {
	for i, m := range s.moments() {
		at := x(m.at)
		anchor := "start"
		if at > plotWidth/2 {
			anchor = "end"
		}
		fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-dasharray="2 3"/>`, at, top-22-float64(i%3)*12, at, bottom, colourBad)
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" font-size="10" fill="%s">%s, %s s</text>`+"\n",
			at, top-24-float64(i%3)*12, anchor, colourBad, html.EscapeString(m.name), number(math.Round(10*m.at)/10))
	}
}

// tick is how far apart the times are that are written below.
func tick(length float64) float64 {
	for _, t := range []float64{1, 2, 5, 10, 20, 30, 60} {
		if length/t <= 12 {
			return t
		}
	}
	return 120
}

// draw is one panel with its upper edge at top.
func (p panel) draw(b *strings.Builder, top float64, x func(float64) float64) {
	left, right := float64(plotLeft), float64(plotWidth-plotRight)
	y := func(v float64) float64 { return top + (1-p.axis.part(v))*panelTall }
	for _, v := range p.axis.ticks() {
		fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#dddddd"/>`, left, y(v), right, y(v))
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="end" font-size="10">%s</text>`+"\n", left-5, y(v)+3, number(v))
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" fill="%s">%s</text>`+"\n", left, top-6, colourWritten, html.EscapeString(p.name))
	key := right
	for _, c := range p.curves {
		p.line(b, c, x, y)
		key -= 12 + 5.6*float64(len(c.name))
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="9" height="9" fill="%s"/><text x="%.1f" y="%.1f" font-size="10">%s</text>`+"\n",
			key-6, top-14, c.colour, key+6, top-6, html.EscapeString(c.name))
		key -= 14
	}
}

// line draws a curve in pieces: a second without a value interrupts it.
func (p panel) line(b *strings.Builder, c curve, x, y func(float64) float64) {
	dash := ""
	if c.dashed {
		dash = ` stroke-dasharray="4 3"`
	}
	var points []string
	flush := func() {
		if len(points) > 0 {
			fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.6"%s points="%s"/>`+"\n", c.colour, dash, strings.Join(points, " "))
		}
		points = nil
	}
	for i, v := range c.values {
		if math.IsNaN(v) {
			flush()
			continue
		}
		points = append(points, fmt.Sprintf("%.1f,%.1f", x(float64(i)+0.5), y(v)))
	}
	flush()
}
