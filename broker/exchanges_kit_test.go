package broker_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// exchanges stands between a broker and one of its servers, counts what the broker asks, and lets it
// through as fast as the server is meant to be.
type exchanges struct {
	t        *testing.T
	listener net.Listener
	to       string
	open     func(e *exchanges, broker, server net.Conn) // copies both ways until one of them ends
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	seen  map[string]int
	every time.Duration // between two of what is slow; 0: as fast as the server
	next  time.Time
}

func newExchanges(t *testing.T, to string, open func(e *exchanges, broker, server net.Conn)) *exchanges {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &exchanges{t: t, listener: l, to: to, open: open, conns: make(map[net.Conn]bool), seen: make(map[string]int)}
	e.wg.Go(e.accept)
	t.Cleanup(func() {
		l.Close()
		e.mu.Lock()
		for c := range e.conns {
			c.Close()
		}
		e.conns = nil
		e.mu.Unlock()
		e.wg.Wait()
	})
	return e
}

func (e *exchanges) addr() string { return e.listener.Addr().String() }

func (e *exchanges) accept() {
	for {
		in, err := e.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", e.to)
		if err != nil {
			in.Close()
			continue
		}
		e.mu.Lock()
		if e.conns == nil {
			in.Close()
			out.Close()
		} else {
			e.conns[in], e.conns[out] = true, true
		}
		e.mu.Unlock()
		e.wg.Go(func() { e.open(e, in, out) })
	}
}

// both runs the two directions of a connection; each ends the other.
func (e *exchanges) both(a, b net.Conn, there, back func() error) {
	var wg sync.WaitGroup
	for _, way := range []func() error{there, back} {
		wg.Go(func() {
			if err := way(); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, net.ErrClosed) && !isNetError(err) {
				e.t.Errorf("proxy: %v", err)
			}
			a.Close()
			b.Close()
		})
	}
	wg.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, a)
	delete(e.conns, b)
}

func isNetError(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

func (e *exchanges) count(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen[what]++
}

// figures are the counts since the last call.
func (e *exchanges) figures() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.seen
	e.seen = make(map[string]int)
	return out
}

func (e *exchanges) total(what string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen[what]
}

// slow makes the server answer so many a second.
func (e *exchanges) slow(perSecond int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.every = 0; perSecond > 0 {
		e.every = time.Second / time.Duration(perSecond)
	}
	e.next = time.Now().Add(e.every)
}

// pace waits for the next turn; turns that nobody was there for are lost, but those of the last half second.
func (e *exchanges) pace() {
	e.mu.Lock()
	now := time.Now()
	if earliest := now.Add(-500 * time.Millisecond); e.next.Before(earliest) {
		e.next = earliest
	}
	at := e.next
	e.next = at.Add(e.every)
	e.mu.Unlock()
	time.Sleep(at.Sub(now)) // this is how slow the server is
}

// What an LDAP message is counted as.
const (
	userBind    = "bind of a user"
	serviceBind = "bind of the service account"
	userSearch  = "search"
	probeSearch = "search of the root DSE"
)

// ldapExchanges is a proxy before an LDAP server; what is paced is the bind of a user.
func ldapExchanges(t *testing.T, to, serviceDN string) *exchanges {
	return newExchanges(t, to, func(e *exchanges, broker, server net.Conn) {
		e.both(broker, server, func() error {
			for {
				m, err := readBER(broker)
				if err != nil {
					return err
				}
				what := ldapMessage(m, serviceDN)
				e.count(what)
				if what == userBind {
					e.pace()
				}
				if _, err := server.Write(m); err != nil {
					return err
				}
			}
		}, func() error {
			_, err := io.Copy(broker, server)
			return err
		})
	})
}

// readBER reads one LDAP message (RFC 4511, 5.1): a SEQUENCE of definite length.
func readBER(r io.Reader) ([]byte, error) {
	head := make([]byte, 2, 64)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := int(head[1])
	if n >= 0x80 {
		more := make([]byte, n&0x7f)
		if _, err := io.ReadFull(r, more); err != nil {
			return nil, err
		}
		head, n = append(head, more...), 0
		for _, b := range more {
			n = n<<8 | int(b)
		}
	}
	body := make([]byte, n)
	_, err := io.ReadFull(r, body)
	return append(head, body...), err
}

// berValue gives tag and content of the element at the start of b, and what follows it.
func berValue(b []byte) (tag byte, content, rest []byte) {
	if len(b) < 2 {
		return 0, nil, nil
	}
	at, n := 2, int(b[1])
	if n >= 0x80 {
		size := n & 0x7f
		n = 0
		for _, x := range b[2:min(len(b), 2+size)] {
			n = n<<8 | int(x)
		}
		at += size
	}
	if at+n > len(b) {
		return 0, nil, nil
	}
	return b[0], b[at : at+n], b[at+n:]
}

// ldapMessage says what a request is.
func ldapMessage(m []byte, serviceDN string) string {
	_, message, _ := berValue(m)
	_, _, rest := berValue(message) // the message id
	tag, op, _ := berValue(rest)
	switch tag {
	case 0x60: // bind: version, name, authentication
		_, _, rest := berValue(op)
		_, name, _ := berValue(rest)
		if strings.EqualFold(string(name), serviceDN) {
			return serviceBind
		}
		return userBind
	case 0x63: // search: base, ...
		if _, base, _ := berValue(op); len(base) == 0 {
			return probeSearch
		}
		return userSearch
	case 0x42:
		return "unbind"
	}
	return "other"
}

// roundTrip counts the answers of a database that end one (ReadyForQuery).
const roundTrip = "round trip"

// pgExchanges is a proxy before PostgreSQL, whose connection must be without TLS.
func pgExchanges(t *testing.T, to string) *exchanges {
	return newExchanges(t, to, func(e *exchanges, broker, server net.Conn) {
		e.both(broker, server, func() error {
			_, err := io.Copy(server, broker)
			return err
		}, func() error {
			head := make([]byte, 5)
			for {
				if _, err := io.ReadFull(server, head); err != nil {
					return err
				}
				if head[0] == 'Z' {
					e.count(roundTrip)
				}
				body := make([]byte, int(binary.BigEndian.Uint32(head[1:]))-4)
				if _, err := io.ReadFull(server, body); err != nil {
					return err
				}
				if _, err := broker.Write(bytes.Join([][]byte{head, body}, nil)); err != nil {
					return err
				}
			}
		})
	})
}
