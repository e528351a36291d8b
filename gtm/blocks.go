package gtm

import "strings"

// Blocks grow to this many objects, or octets of text.
const (
	blockObjects = 256
	blockText    = 1 << 14
)

// blocks gives out objects of one type from blocks of them. A zone of a million names is made
// of several million small objects: one by one they would cost most of the time of loading it,
// and of every garbage collection later. A block lives as long as one of its objects.
type blocks[T any] struct {
	free []T
	size int
}

// next gives a zero object.
func (b *blocks[T]) next() *T { return &b.one()[0] }

// one gives a slice of one zero object, whose capacity ends with it.
func (b *blocks[T]) one() []T {
	if len(b.free) == 0 {
		b.size = min(max(2*b.size, 4), blockObjects)
		b.free = make([]T, b.size)
	}
	out := b.free[:1:1]
	b.free = b.free[1:]
	return out
}

// textBlocks is blocks for strings.
type textBlocks struct {
	b    strings.Builder
	size int
}

// bytes gives p as a string.
func (t *textBlocks) bytes(p []byte) string {
	if t.b.Cap()-t.b.Len() < len(p) {
		t.size = min(max(2*t.size, 256), blockText)
		t.b.Reset()
		t.b.Grow(max(t.size, len(p)))
	}
	from := t.b.Len()
	t.b.Write(p)
	return t.b.String()[from:]
}
