//go:build unix

package lb

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// direct reads and writes at the descriptor of a plain TCP connection. The runtime's poller parks
// the goroutine as ever; what is saved is that a wait holds no buffer, and that sending a request
// and waiting for its answer are one visit to the poller: look, write, wait, read.
type direct struct {
	rawConn syscall.RawConn // nil: the connection is TLS, or no TCP
	step    func(fd uintptr) bool

	asking      bool
	out         []byte
	sent        int
	first, last bufferClass
	limit       int64
	err         error
	one         [1]byte
}

// useDescriptor switches to direct reading, for a connection that is plain TCP.
func (w *wire) useDescriptor() {
	if w.sock == nil {
		return
	}
	raw, err := w.sock.SyscallConn()
	if err != nil {
		return // the slower way will say what is wrong with it
	}
	w.rawConn, w.step = raw, w.stepDirect
}

func (w *wire) fillDirect(first, last bufferClass, limit int64) error {
	w.asking, w.first, w.last, w.limit, w.err = false, first, last, limit, nil
	if err := w.rawConn.Read(w.step); err != nil {
		return err
	}
	return w.err
}

// askDirect comes back when bytes were read, when out was sent in part, or on a fault.
func (w *wire) askDirect(out []byte) (sent int, err error) {
	w.asking, w.out, w.sent = true, out, 0
	w.first, w.last, w.limit, w.err = headBuffer, headBuffer, 0, nil
	err = w.rawConn.Read(w.step)
	w.out = nil
	if err == nil {
		err = w.err
	}
	return w.sent, err
}

// stepDirect is called by the poller: once at first, then whenever there may be something to
// read. False means wait.
//
// What a member sends after an answer must not become the answer to the next request (RFC 9112
// 6.3), so asking begins with a look. It also leaves the poller armed for the answer: the request
// is written after that, and no answer can be missed.
func (w *wire) stepDirect(fd uintptr) bool {
	if w.asking {
		w.asking = false
		return w.sendDirect(int(fd)) // #nosec G115 -- a descriptor
	}
	space := w.space(w.first, w.last)
	if len(space) == 0 {
		w.err = errFull
		return true
	}
	n, errno := readFd(int(fd), upTo(space, w.limit)) // #nosec G115 -- a descriptor
	if n > 0 {
		w.w += n
		return true
	}
	w.lend()
	switch errno {
	case 0:
		w.err = io.EOF
	case unix.EAGAIN:
		return false
	default:
		w.err = os.NewSyscallError("read", errno)
	}
	return true
}

// sendDirect looks and writes. It waits for an answer where all of the request went out.
func (w *wire) sendDirect(fd int) (done bool) {
	if _, errno := readFd(fd, w.one[:]); errno != unix.EAGAIN {
		w.err = errLoud
		return true
	}
	n, errno := writeFd(fd, w.out)
	if errno != 0 && errno != unix.EAGAIN {
		w.err = os.NewSyscallError("write", errno)
		return true
	}
	w.sent = max(n, 0)
	return w.sent < len(w.out)
}

// quiet says whether an idle connection is still open with nothing to read, for one that has TLS
// above it: the look of ask does not apply there.
func (w *wire) quiet() bool {
	if w.sock == nil {
		return false
	}
	raw, err := w.sock.SyscallConn()
	if err != nil {
		return false
	}
	nothing := false
	err = raw.Control(func(fd uintptr) {
		asked := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} // #nosec G115 -- a descriptor
		n, err := unix.Poll(asked, 0)
		nothing = n == 0 && err == nil
	})
	return err == nil && nothing
}
