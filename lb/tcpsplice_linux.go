package lb

import (
	"errors"
	"io"
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// pipeSize is what one turn of a splice moves at most, in bytes. It is also all that a
	// connection holds of a direction whose reader is slow, beside the kernel's socket buffers.
	pipeSize = 256 << 10
	// maxIdlePipes bounds the pipes that are kept for the next turn.
	maxIdlePipes = 64
)

// pipe carries bytes between two sockets inside the kernel.
type pipe struct{ r, w int }

func (p *pipe) close() {
	_ = unix.Close(p.r)
	_ = unix.Close(p.w)
}

// pipes are empty pipes for the next turns. A direction has one only while it moves bytes, so
// that a connection at rest costs its two sockets and nothing else: net.TCPConn.ReadFrom, which
// splices too, keeps two descriptors for each direction as long as it waits.
type pipes struct {
	mu   sync.Mutex
	free []*pipe
}

func (ps *pipes) take() (*pipe, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if n := len(ps.free); n > 0 {
		p := ps.free[n-1]
		ps.free = ps.free[:n-1]
		return p, nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	// Smaller than wanted where the user has used up what fs.pipe-user-pages-soft grants.
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize) // #nosec G115 -- a descriptor
	return &pipe{r: fds[0], w: fds[1]}, nil
}

// give takes an empty pipe back.
func (ps *pipes) give(p *pipe) {
	ps.mu.Lock()
	kept := len(ps.free) < maxIdlePipes
	if kept {
		ps.free = append(ps.free, p)
	}
	ps.mu.Unlock()
	if !kept {
		p.close()
	}
}

// close closes the pipes that nobody uses.
func (ps *pipes) close() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.free {
		p.close()
	}
	ps.free = nil
}

// errNoPipe says that bytes must be copied instead: no descriptors are left for a pipe, or the
// kernel does not splice this kind of socket (Multipath TCP in older ones).
var errNoPipe = errors.New("lb: no pipe")

// splicer moves one direction's bytes without copying them through this process.
type splicer struct {
	d      *direction
	pipes  *pipes
	pipe   *pipe // only while bytes are on their way
	inside int   // bytes in pipe
	err    error // of the last system call
}

// splice moves bytes until the end, which it gives. ok is false when it cannot be done with these
// connections; what was moved until then is counted.
func (d *direction) splice() (end ending, ok bool) {
	from, isTCP := d.from.(*net.TCPConn)
	to, isTCPToo := d.to.(*net.TCPConn)
	if !isTCP || !isTCPToo {
		return open, false
	}
	in, err1 := from.SyscallConn()
	out, err2 := to.SyscallConn()
	if err1 != nil || err2 != nil {
		return open, false
	}
	s := &splicer{d: d, pipes: &d.s.p.pipes}
	defer s.drop()
	pull, push := s.pull, s.push
	for {
		err := in.Read(pull)
		if err == nil {
			err = s.err
		}
		switch {
		case errors.Is(err, errNoPipe):
			return open, false
		case errors.Is(err, io.EOF):
			return finished, true
		case isDeadline(err) && d.s.keepOn(d.from.SetReadDeadline):
			continue
		case err != nil:
			return d.fault(err, d.fromBroke), true
		}
		for s.inside > 0 {
			err := out.Write(push)
			if err == nil {
				err = s.err
			}
			if isDeadline(err) && d.s.keepOn(d.to.SetWriteDeadline) {
				continue
			}
			if err != nil {
				return d.fault(err, d.toBroke), true
			}
		}
	}
}

// pull takes bytes from a socket into a pipe; false waits for some.
func (s *splicer) pull(fd uintptr) bool {
	if s.pipe == nil {
		p, err := s.pipes.take()
		if err != nil {
			s.err = errNoPipe
			return true
		}
		s.pipe = p
	}
	n, err := spliceOnce(int(fd), s.pipe.w, pipeSize) // #nosec G115 -- a descriptor
	switch {
	case errors.Is(err, unix.EAGAIN):
		s.pipes.give(s.pipe)
		s.pipe = nil
		return false
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		err = errNoPipe
	case err == nil && n == 0:
		err = io.EOF
	}
	s.inside, s.err = n, err
	return true
}

// push gives them to the other socket; false waits until it takes more.
func (s *splicer) push(fd uintptr) bool {
	s.err = nil
	for s.inside > 0 {
		n, err := spliceOnce(s.pipe.r, int(fd), s.inside) // #nosec G115 -- a descriptor
		if errors.Is(err, unix.EAGAIN) {
			return false
		}
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			s.err = err
			return true
		}
		s.inside -= n
		s.d.moved(n)
	}
	return true
}

// drop gives the pipe back where it is empty.
func (s *splicer) drop() {
	switch {
	case s.pipe == nil:
	case s.inside > 0:
		s.pipe.close()
	default:
		s.pipes.give(s.pipe)
	}
}

func spliceOnce(from, to, most int) (int, error) {
	for {
		n, err := unix.Splice(from, nil, to, nil, most, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		if err != unix.EINTR {
			return int(max(n, 0)), err
		}
	}
}
