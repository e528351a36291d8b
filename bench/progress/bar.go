package progress

import (
	"fmt"
	"io"
	"strings"
)

// Bar is the line.
type Bar struct{ w io.Writer }

const width = 24

// New makes a bar on w; nil: nobody watches.
func New(w io.Writer) *Bar {
	if w == nil {
		w = io.Discard
	}
	return &Bar{w}
}

// Step shows that the n-th of all parts is reached, of what and whose.
func (b *Bar) Step(what string, n, all int, whose string) {
	full := min(width, width*n/max(all, 1))
	b.Say(fmt.Sprintf("[%s%s] %d/%d %s: %s", strings.Repeat("#", full), strings.Repeat(".", width-full), n, all, what, whose))
}

// Say shows a text in place of what stood there.
func (b *Bar) Say(text string) { _, _ = fmt.Fprintf(b.w, "\r\x1b[K%s", text) }

// Clear leaves the line empty.
func (b *Bar) Clear() { b.Say("") }
