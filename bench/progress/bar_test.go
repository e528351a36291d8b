package progress

import (
	"strings"
	"testing"
)

func TestBar(t *testing.T) {
	var b strings.Builder
	bar := New(&b)
	bar.Step("1 KB", 6, 12, "haproxy")
	bar.Step("none", 3, 0, "nobody") // more than all is all
	bar.Clear()
	const start = "\r\x1b[K"
	want := start + "[############............] 6/12 1 KB: haproxy" + start + "[" + strings.Repeat("#", width) + "] 3/0 none: nobody" + start
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	New(nil).Step("nobody watches", 1, 2, "")
}
