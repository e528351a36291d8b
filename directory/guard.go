package directory

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
)

// Bounds of what a server may answer to one operation.
const (
	// maxAnswer in bytes. 10,000 groups of 200 bytes are half of it.
	maxAnswer = 4 << 20
	// maxParts in BER elements: each costs the decoder some 300 bytes, however short it is.
	maxParts = 1 << 17
	// maxDepth of nested elements; RFC 4511 needs 7.
	maxDepth = 16
)

// answers is a set of the kinds of answers (RFC 4511, 4.2 to 4.13: the application tags) that an
// operation may get.
type answers uint32

const (
	bindAnswers     answers = 1 << 1
	searchAnswers   answers = 1<<4 | 1<<5 | 1<<19 | 1<<25
	modifyAnswers   answers = 1 << 7
	extendedAnswers answers = 1<<24 | 1<<25
)

// wire is the TCP connection. It knows whether any byte of the operation went out.
type wire struct {
	net.Conn
	sent atomic.Bool
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	if n > 0 {
		w.sent.Store(true)
	}
	return n, err
}

// guard stands between the connection, decrypted, and go-ldap. It lets whole messages through, and
// only those that are an answer to the operation: go-ldap allocates hundreds of bytes for an
// element of two, takes the answer to another kind of question for success, and reads a result
// code that is empty or too long as 0.
type guard struct {
	net.Conn
	in     *bufio.Reader
	left   atomic.Int64 // bytes
	parts  atomic.Int64 // elements
	expect atomic.Uint32
	buf    []byte // for messages of the usual size
	rest   []byte // of the message that is being read
}

func newGuard(c net.Conn) *guard {
	g := &guard{Conn: c, in: bufio.NewReader(c), buf: make([]byte, 0, 2048)}
	g.begin(0)
	return g
}

// begin opens the account of an operation.
func (g *guard) begin(expect answers) {
	g.left.Store(maxAnswer)
	g.parts.Store(maxParts)
	g.expect.Store(uint32(expect))
}

func (g *guard) Read(p []byte) (int, error) {
	if len(g.rest) == 0 {
		msg, err := readMessage(g.in, g.buf, g.left.Load())
		if err != nil {
			return 0, err
		}
		parts, err := checkMessage(msg, answers(g.expect.Load()), int(g.parts.Load()))
		if err != nil {
			return 0, err
		}
		g.left.Add(int64(-len(msg)))
		g.parts.Add(int64(-parts))
		g.rest = msg
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

// readMessage reads one LDAP message and not a byte more, into buf where it fits. Memory grows with
// what really came, not with what the length says.
func readMessage(r io.Reader, buf []byte, limit int64) ([]byte, error) {
	msg := append(buf[:0:cap(buf)], 0, 0) //nolint:gocritic // buf is what it grows into
	if _, err := io.ReadFull(r, msg); err != nil {
		return nil, err
	}
	if msg[0] != 0x30 {
		return nil, errors.New("the server does not speak LDAP")
	}
	length := int64(msg[1])
	if msg[1] >= 0x80 {
		n := int(msg[1] & 0x7f)
		if n < 1 || n > 4 { // RFC 4511, 5.1: the definite form only
			return nil, errBER
		}
		msg = append(msg, 0, 0, 0, 0)[:2+n]
		if _, err := io.ReadFull(r, msg[2:]); err != nil {
			return nil, err
		}
		length = 0
		for _, b := range msg[2:] {
			length = length<<8 | int64(b)
		}
	}
	if length+int64(len(msg)) > limit {
		return nil, fmt.Errorf("the server sent more than %d bytes for one operation", maxAnswer)
	}
	for length > 0 {
		n := int(min(length, 64<<10))
		at := len(msg)
		msg = slices.Grow(msg, n)[:at+n]
		if _, err := io.ReadFull(r, msg[at:]); err != nil {
			return nil, err
		}
		length -= int64(n)
	}
	return msg, nil
}

var errBER = errors.New("the server sent what is no LDAP message")

// checkMessage says whether b is one well-formed LDAP message (RFC 4511, 4.1.1) of an expected
// kind, with at most limit elements, and counts them. An unsolicited notice (message id 0) is let
// through.
func checkMessage(b []byte, expect answers, limit int) (parts int, err error) {
	body, rest, tag, err := element(b)
	if err != nil || tag != 0x30 || len(rest) != 0 {
		return 0, errBER
	}
	id, after, tag, err := element(body)
	if err != nil || tag != 0x02 || len(id) < 1 || len(id) > 4 {
		return 0, errBER
	}
	_, _, op, err := element(after)
	if err != nil || op&0xc0 != 0x40 {
		return 0, errBER
	}
	unsolicited := len(id) == 1 && id[0] == 0
	if !unsolicited && expect&(1<<(op&0x1f)) == 0 {
		return 0, fmt.Errorf("the server gave an answer of kind %d to another question", op&0x1f)
	}
	parts = limit
	if err := walk(body, maxDepth, &parts); err != nil {
		return 0, err
	}
	return limit - parts, nil
}

// element takes the first BER element off b: what it holds, what follows it, and its identifier.
func element(b []byte) (content, rest []byte, tag byte, err error) {
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return nil, nil, 0, errBER
	}
	length, at := int(b[1]), 2
	if b[1] >= 0x80 {
		n := int(b[1] & 0x7f)
		if n < 1 || n > 4 || len(b) < 2+n {
			return nil, nil, 0, errBER
		}
		length = 0
		for _, v := range b[2 : 2+n] {
			length = length<<8 | int(v)
		}
		at += n
	}
	if length > len(b)-at {
		return nil, nil, 0, errBER
	}
	return b[at : at+length], b[at+length:], b[0], nil
}

// walk checks the elements in b and counts them off left.
func walk(b []byte, depth int, left *int) error {
	if depth == 0 {
		return errBER
	}
	for len(b) > 0 {
		content, rest, tag, err := element(b)
		if err != nil {
			return err
		}
		if *left--; *left < 0 {
			return fmt.Errorf("the server sent more than %d elements for one operation", maxParts)
		}
		switch constructed := tag&0x20 != 0; {
		case constructed:
			err = walk(content, depth-1, left)
		case tag&0xc0 != 0: // what it means is the application's
		case !plainType(tag, len(content)):
			err = errBER
		}
		if err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// plainType says whether a primitive of that universal type and length is one that LDAP uses.
func plainType(tag byte, length int) bool {
	switch tag {
	case 0x01: // BOOLEAN
		return length == 1
	case 0x02, 0x0a: // INTEGER, ENUMERATED
		return length >= 1 && length <= 8
	case 0x04: // OCTET STRING
		return true
	case 0x05: // NULL
		return length == 0
	}
	return false
}
