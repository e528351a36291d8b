package simulate

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
)

// Measures of the plot, in pixels: one panel for each scenario, side by side.
const (
	plotColumns = 3
	panelWidth  = 410
	panelLabel  = 150 // left of the bars
	panelFigure = 112 // right of the longest bar
	panelHead   = 30
	panelFoot   = 22
	plotBar     = 15
	plotTop     = 62
	plotBottom  = 28
	plotScale   = 1.75 // of the best p99, at the right end; longer bars are cut
)

const (
	colourOurs  = "#1f6f8b"
	colourPeer  = "#b5b5b5"
	colourFails = "#d9a0a0"
)

// SVG draws p99 of each rule in each scenario; shorter is better. A rule that fails too many
// requests to be compared has another colour, and how many it fails beside its bar.
func (r *Report) SVG(w io.Writer) error {
	var b strings.Builder
	rows := 0
	for _, s := range r.Scenarios {
		rows = max(rows, len(s.Rows))
	}
	panel := panelHead + rows*plotBar + panelFoot
	columns := min(plotColumns, max(1, len(r.Scenarios)))
	width := columns * panelWidth
	lines := (len(r.Scenarios) + columns - 1) / columns
	height := plotTop + lines*panel + plotBottom
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="12" y="22" font-size="16">p99 of the response time, ms (in brackets: parts of the best); shorter is better</text>`+"\n")
	x := 12
	for _, key := range []struct{ colour, text string }{
		{colourOurs, "lb_method of Switchpoint"},
		{colourPeer, "published rule"},
		{colourFails, fmt.Sprintf("fails more than %.0f %% of the requests", 100*mayFail)},
	} {
		fmt.Fprintf(&b, `<rect x="%d" y="36" width="10" height="10" fill="%s"/><text x="%d" y="45">%s</text>`+"\n", x, key.colour, x+14, html.EscapeString(key.text))
		x += 34 + 6*len(key.text)
	}
	for i := range r.Scenarios {
		r.Scenarios[i].draw(&b, i%columns*panelWidth, plotTop+i/columns*panel)
	}
	fmt.Fprintf(&b, `<text x="12" y="%d" font-size="10">medians of %d seeds of %s; dashed: the limit of %.2f x the best p99 for %s</text>`+"\n</svg>\n",
		height-10, r.Seeds, r.Length, maxRatio, ourMethod)
	_, err := io.WriteString(w, b.String())
	return err
}

// draw is one panel, with its corner at x and y.
func (s *Scenario) draw(b *strings.Builder, x, y int) {
	fmt.Fprintf(b, `<text x="%d" y="%d" font-size="13" font-weight="bold">%s</text>`+"\n", x+12, y+18, html.EscapeString(s.Name))
	const space = panelWidth - panelLabel - panelFigure
	top := y + panelHead
	limit := float64(x+panelLabel) + maxRatio/plotScale*space
	fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="black" stroke-width="0.8" stroke-dasharray="3 3"/>`+"\n", limit, top-2, limit, top+len(s.Rows)*plotBar)
	for i, row := range s.Rows {
		at := top + i*plotBar
		colour := colourPeer
		switch {
		case !row.served():
			colour = colourFails
		case row.Ours:
			colour = colourOurs
		}
		weight := ""
		if row.Ours {
			weight = ` font-weight="bold"`
		}
		width := math.Min(row.Ratio, plotScale) / plotScale * space
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end" font-size="10"%s>%s</text>`, x+panelLabel-5, at+plotBar-4, weight, html.EscapeString(row.Policy))
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, x+panelLabel, at+1, width, plotBar-3, colour)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" font-size="10"%s stroke="white" stroke-width="3" paint-order="stroke">%s</text>`+"\n", float64(x+panelLabel)+width+4, at+plotBar-4, weight, row.label())
	}
}

// label is what stands beside a bar.
func (row *Row) label() string {
	if !row.served() {
		return ms(row.P99) + ", fails " + percent(row.Errors+row.TimeOuts)
	}
	return fmt.Sprintf("%s (%.2f)", ms(row.P99), row.Ratio)
}
