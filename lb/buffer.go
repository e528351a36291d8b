package lb

import "sync"

// Every buffer has room before and behind its bytes, so that what is passed on can be framed
// where it lies: a head or the size of a chunk before it, the end of a chunk behind it.
const (
	roomBefore = 512
	roomAfter  = 64
)

// bufferClass is a size of buffers.
type bufferClass uint8

const (
	smallBuffer bufferClass = iota // 4 KB: what nearly every request fits into
	headBuffer                     // 16 KB: an answer, or a large head
	bulkBuffer                     // 64 KB and a head: bodies
)

// size is what a buffer of the class holds.
func (c bufferClass) size() int {
	switch c {
	case smallBuffer:
		return 4 << 10
	case headBuffer:
		return headLimit
	default:
		return wholeBody + headLimit
	}
}

// classFor is the smallest class that holds n bytes, or the largest one.
func classFor(n int) bufferClass {
	for c := smallBuffer; c < bulkBuffer; c++ {
		if n <= c.size() {
			return c
		}
	}
	return bulkBuffer
}

// buffer is borrowed from buffers while there is something in it.
type buffer struct {
	class bufferClass
	b     []byte // with both rooms
}

// buffers lends buffers. Connections that wait hold none, which is what makes them cheap.
type buffers struct{ pools [bulkBuffer + 1]sync.Pool }

func (p *buffers) get(class bufferClass) *buffer {
	if b, ok := p.pools[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{class, make([]byte, roomBefore+class.size()+roomAfter)}
}

func (p *buffers) put(b *buffer) { p.pools[b.class].Put(b) }
