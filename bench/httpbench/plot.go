package httpbench

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
)

// Measures of the plot, in pixels.
const (
	plotWidth  = 760
	plotLabel  = 250 // left of the bars
	plotBar    = 14
	plotGap    = 22 // between rows
	plotTop    = 56
	plotBottom = 60
	plotScale  = 2.0 // ratio at the right end of the axis; longer bars are cut and say so
)

// SVG draws the rows that compare proxies: a bar for each, in parts of what HAProxy needs, so that
// rows of different units stand in one picture.
func (r *Report) SVG(w io.Writer) error {
	var b strings.Builder
	colours := map[string]string{ours: "#1f6f8b", haproxy: "#b5b5b5", nginx: "#8a8a8a"}
	rows := r.comparable()
	height := plotTop + plotBottom
	for _, row := range rows {
		height += len(row.Figures)*plotBar + plotGap
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="12" y="20" font-size="15">Cost beside HAProxy (1.0); shorter is better</text>`+"\n")
	x := 12
	for _, name := range []string{ours, haproxy, nginx} {
		fmt.Fprintf(&b, `<rect x="%d" y="32" width="10" height="10" fill="%s"/><text x="%d" y="41">%s %s</text>`+"\n",
			x, colours[name], x+14, name, html.EscapeString(r.Versions[name]))
		x += 210
	}
	y := plotTop
	for _, row := range rows {
		fmt.Fprintf(&b, `<text x="12" y="%d">%s</text>`+"\n", y+plotBar, html.EscapeString(row.Name))
		base := row.of(haproxy)
		for _, f := range row.Figures {
			ratio := f.Value / base
			width := math.Min(ratio, plotScale) / plotScale * (plotWidth - plotLabel - 90)
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, plotLabel, y+3, width, plotBar-2, colours[f.Server])
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" font-size="10">%.2f (%s)</text>`+"\n", float64(plotLabel)+width+4, y+plotBar-1, ratio, number(f.Value))
			y += plotBar
		}
		y += plotGap
	}
	one := plotLabel + 1/plotScale*(plotWidth-plotLabel-90)
	fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="black" stroke-dasharray="3 3"/>`+"\n", one, plotTop, one, y)
	fmt.Fprintf(&b, `<text x="12" y="%d" font-size="10">%s</text>`+"\n", y+14, html.EscapeString(r.Machine))
	fmt.Fprintf(&b, `<text x="12" y="%d" font-size="10">medians of %d rounds of %s; in brackets us CPU per request, or MB</text>`+"\n</svg>\n", y+28, r.Rounds, r.Length)
	_, err := io.WriteString(w, b.String())
	return err
}

// comparable are the rows in which less is better and HAProxy has a figure above zero, with the
// proxies only.
func (r *Report) comparable() []Row {
	var out []Row
	for _, row := range r.Rows {
		if row.ID == rowStream || row.ID == rowLatency || !(row.of(haproxy) > 0) {
			continue
		}
		out = append(out, row)
	}
	return out
}

// of is a server's figure; NaN when there is none.
func (row Row) of(server string) float64 {
	for _, f := range row.Figures {
		if f.Server == server {
			return f.Value
		}
	}
	return math.NaN()
}
