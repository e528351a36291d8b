package healthcheck

import (
	"errors"
	"fmt"
	"net"
	"sync"
)

// bounded is a connection that fails once the target has sent more than a probe may hold, and
// that remembers what libraries do not tell: the first bytes, and why reading ended. It is for
// protocols whose libraries believe the lengths that they read.
type bounded struct {
	net.Conn
	mu    sync.Mutex // a library may read in a goroutine of its own
	left  int
	first []byte
	err   error
}

func newBounded(c net.Conn) *bounded { return &bounded{Conn: c, left: bodyLimit} }

func (b *bounded) Read(p []byte) (int, error) {
	b.mu.Lock()
	left := b.left
	b.mu.Unlock()
	var n int
	var err error
	if left <= 0 {
		err = errFault(fmt.Sprintf("the target sent more than %d KB", bodyLimit>>10))
	} else {
		n, err = b.Conn.Read(p[:min(len(p), left)])
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left -= n
	b.first = append(b.first, p[:min(n, firstBytes-len(b.first))]...)
	// A connection that we closed says nothing of the target: libraries close it when they give
	// up, while a goroutine of theirs may still read.
	if b.err == nil && !errors.Is(err, net.ErrClosed) {
		b.err = err
	}
	return n, err
}

// seen gives the first bytes that the target sent, and the error that ended reading, if any.
func (b *bounded) seen() ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.first, b.err
}
