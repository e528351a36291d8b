package gtm

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// tcpLimits bound what connections can take (RFC 7766 section 6.1 and 6.2, RFC 9210).
type tcpLimits struct {
	total     int           // connections at once
	perClient int           // of them from one client
	idle      time.Duration // from the end of one query to the end of the next
	write     time.Duration // for the client to take an answer
}

// writeTimeout is not configured: a client that asks and does not read is broken.
const writeTimeout = 5 * time.Second

// connTable is the open connections; the mutex guards both maps.
type connTable struct {
	mu     sync.Mutex
	closed bool
	open   map[net.Conn]netip.Addr // by hostOf
	count  map[netip.Addr]int
}

// hostOf is what counts as one client: an IPv4 address, or an IPv6 /64, of which one host can
// use every address.
func hostOf(client netip.Addr) netip.Addr {
	if client.Is4() {
		return client
	}
	return netip.PrefixFrom(client.WithZone(""), 64).Masked().Addr()
}

// add admits a connection within the limits.
func (t *connTable) add(c net.Conn, client netip.Addr, l tcpLimits) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.open) >= l.total || t.count[client] >= l.perClient {
		return false
	}
	if t.open == nil {
		t.open, t.count = map[net.Conn]netip.Addr{}, map[netip.Addr]int{}
	}
	t.open[c] = client
	t.count[client]++
	return true
}

func (t *connTable) remove(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	client := t.open[c]
	delete(t.open, c)
	if t.count[client]--; t.count[client] <= 0 {
		delete(t.count, client)
	}
}

// closeAll closes the connections and admits no more.
func (t *connTable) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for c := range t.open {
		c.Close()
	}
}

// serveTCP accepts connections of one listener and waits for those it started.
func (s *Server) serveTCP(ctx context.Context, l *net.TCPListener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			s.metrics.ioErrors.WithLabelValues("tcp_accept").Inc()
			pause(ctx)
			continue
		}
		client := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		if !s.conns.add(c, hostOf(client), s.table().settings().tcp) {
			s.metrics.rejected.Inc()
			c.Close()
			continue
		}
		s.metrics.connections.Inc()
		wg.Go(func() {
			defer s.metrics.connections.Dec()
			defer s.conns.remove(c)
			defer c.Close()
			s.serveConn(c, client)
		})
	}
}

// serveConn answers the queries of one connection in their order. Answers to queries that
// came together leave together (RFC 7766 section 6.2.1.1). A packet that has no answer, such
// as a response, ends the connection: its sender does not speak this protocol.
func (s *Server) serveConn(c net.Conn, client netip.Addr) {
	r, w := bufio.NewReaderSize(c, 4096), bufio.NewWriterSize(c, 4096)
	var pkt, buf []byte
	for {
		limits := s.table().settings().tcp // as of now: a reload changes open connections too
		if c.SetReadDeadline(time.Now().Add(limits.idle)) != nil {
			return
		}
		var err error
		if pkt, err = readFrame(r, pkt); err != nil {
			return // the end, an idle client or a broken connection: nobody is left to be told
		}
		if buf == nil {
			buf = make([]byte, maxMessage)
		}
		wire := s.answer(pkt, client, "tcp", buf)
		if c.SetWriteDeadline(time.Now().Add(limits.write)) != nil {
			return
		}
		if wire == nil {
			_ = w.Flush() // the queries before it have their answers
			return
		}
		if writeFrame(w, wire) != nil {
			return
		}
		if !frameWaits(r) && w.Flush() != nil {
			return
		}
	}
}

// frameWaits says whether a whole message is here already. Part of one does not count: its
// sender may wait for an answer before it sends the rest.
func frameWaits(r *bufio.Reader) bool {
	if r.Buffered() < 2 {
		return false
	}
	head, err := r.Peek(2)
	return err == nil && r.Buffered() >= 2+int(binary.BigEndian.Uint16(head))
}

// readFrame reads one message with its length, into buf where that is large enough.
func readFrame(r *bufio.Reader, buf []byte) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n > cap(buf) {
		buf = make([]byte, n)
	}
	_, err := io.ReadFull(r, buf[:n])
	return buf[:n], err
}

// writeFrame writes one message with its length.
func writeFrame(w *bufio.Writer, msg []byte) error {
	var head [2]byte
	binary.BigEndian.PutUint16(head[:], uint16(len(msg)))
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	_, err := w.Write(msg)
	return err
}
