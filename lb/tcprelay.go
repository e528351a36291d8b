package lb

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// copyBuffer is what a direction that cannot be spliced holds: one TLS record.
const copyBuffer = 16 << 10

// direction is one half of a connection: what comes from one side goes to the other.
type direction struct {
	s         *tcpSession
	from, to  net.Conn
	over      ending // what it is when from ends in order, before the other half does
	fromBroke ending
	toBroke   ending
	bytes     atomic.Int64
	series    prometheus.Counter
}

// moved counts n bytes that were handed to the other side.
func (d *direction) moved(n int) {
	d.bytes.Add(int64(n))
	d.series.Add(float64(n))
	d.s.last.Store(d.s.p.now())
}

// fault says what an error that ended a direction was.
func (d *direction) fault(err error, broke ending) ending {
	if isDeadline(err) {
		return idleEnd
	}
	return broke
}

// isDeadline tells our own deadlines from ETIMEDOUT, which counts as a time-out too and means that
// the other side is gone.
func isDeadline(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// run moves everything, and hands the end on: in order where the sender ended in order, so that the
// other half goes on; anything else ends both.
func (d *direction) run() {
	end, ok := d.splice()
	if !ok {
		end = d.copy()
	}
	if end == finished {
		d.s.note(d.over)
		if closeWrite(d.to) == nil {
			return
		}
		end = d.toBroke
	}
	d.s.cut(end)
}

// copy moves bytes through this process: where one side speaks TLS, or a pipe cannot be had.
func (d *direction) copy() ending {
	buf := make([]byte, copyBuffer)
	for {
		n, err := d.from.Read(buf)
		if n > 0 {
			if err := d.send(buf[:n]); err != nil {
				return d.fault(err, d.toBroke)
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return finished
		case isDeadline(err) && d.s.keepOn(d.from.SetReadDeadline):
		default:
			return d.fault(err, d.fromBroke)
		}
	}
}

// send writes b whole. A write that ran into its deadline cannot be taken up again under TLS, so
// each one has the whole of the idle time-out.
func (d *direction) send(b []byte) error {
	if err := d.to.SetWriteDeadline(time.Now().Add(d.s.idle)); err != nil {
		return err
	}
	n, err := d.to.Write(b)
	d.moved(n)
	return err
}

// closeWrite tells the other side that nothing more will come.
func closeWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return net.ErrClosed
}

// relay moves bytes both ways until both are done: the caller's goroutine and one more.
func (s *tcpSession) relay() {
	s.last.Store(s.p.now())
	until := time.Now().Add(s.idle)
	for _, c := range []net.Conn{s.client.Conn, s.member} {
		if err := c.SetDeadline(until); err != nil {
			s.cut(clientBroke)
		}
	}
	var up sync.WaitGroup
	up.Go(s.in.run)
	s.out.run()
	up.Wait()
}

// keepOn decides at a deadline: where anything moved either way within the idle time-out, the
// deadline is set anew and the direction goes on.
func (s *tcpSession) keepOn(set func(time.Time) error) bool {
	left := s.idle - time.Duration(s.p.now()-s.last.Load())
	return left > 0 && set(time.Now().Add(left)) == nil
}
