package httpbench

import (
	"fmt"
	"io"
	"strings"
)

// bar is a line that says how far a row is, written over itself.
type bar struct{ w io.Writer }

const barWidth = 24

func newBar(w io.Writer) *bar {
	if w == nil {
		w = io.Discard
	}
	return &bar{w}
}

// step shows the n-th of all measurements of a row.
func (b *bar) step(what string, n, all int, server string) {
	full := barWidth * n / max(all, 1)
	b.say(fmt.Sprintf("[%s%s] %d/%d %s: %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), n+1, all, what, server))
}

// say shows a text in place of what stood there; a terminal that cannot show it is no fault.
func (b *bar) say(text string) { _, _ = fmt.Fprintf(b.w, "\r\x1b[K%s", text) }

func (b *bar) clear() { b.say("") }
