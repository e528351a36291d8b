package lb

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"time"
)

const (
	// maxHello bounds what is looked at of a client's first message: TLS stacks send a few
	// hundred bytes, with post-quantum key shares two thousand.
	maxHello   = 16 << 10
	firstHello = 2 << 10
	// helloTime bounds the wait for it. Protocols in which the server speaks first wait as long
	// on a listener with routes, and then get its own pool.
	helloTime = 5 * time.Second

	recordHandshake = 22 // RFC 8446 5.1
	clientHello     = 1  // RFC 8446 4
	serverName      = 0  // RFC 6066 3
	hostName        = 0
	maxRecord       = 1 << 14
)

// helloName reads the server name that a client asks for (SNI, RFC 6066 3) from the beginning of
// what it sent. decided is false while more bytes may change the answer. What is no TLS, is
// malformed or names nobody gives "": its pool is the listener's own. With Encrypted Client Hello
// the name is the public one of the outer message, all that is readable without the key.
//
// The name is given as soon as it has come, whatever follows: the member judges the message.
func helloName(b []byte) (name string, decided bool) {
	message, more := handshakeBytes(b)
	m := helloReader{b: message, more: more}
	if kind, ok := m.number(1); !ok || kind != clientHello {
		return "", !m.short
	}
	size, ok := m.number(3)
	if !ok {
		return "", !m.short
	}
	if len(m.b) >= size {
		m.b, m.more = m.b[:size], false
	}
	m.skip(2 + 32)   // version, random
	m.vector(1, nil) // session id
	m.vector(2, nil) // cipher suites
	m.vector(1, nil) // compression methods
	m.skip(2)        // length of the extensions: they fill the message
	for {
		kind, ok := m.number(2)
		if !ok {
			return "", !m.short
		}
		var data []byte
		if !m.vector(2, &data) {
			return "", !m.short
		}
		if kind == serverName {
			return firstHostName(data), true
		}
	}
}

// handshakeBytes gives the handshake bytes in b without the heads of the records: a message may be
// cut into as many records as its sender likes (RFC 8446 5.1). more is false where b ends in
// something that no handshake goes on after. Of the usual single record it is a part of b.
func handshakeBytes(b []byte) (message []byte, more bool) {
	for len(b) > 0 {
		if b[0] != recordHandshake || len(b) > 1 && b[1] != 3 {
			return message, false
		}
		if len(b) < 5 {
			return message, true
		}
		size := int(binary.BigEndian.Uint16(b[3:]))
		if size == 0 || size > maxRecord {
			return message, false
		}
		b = b[5:]
		here := b[:min(size, len(b))]
		b = b[len(here):]
		if message == nil {
			message = here[:len(here):len(here)] // the next one is appended to a copy
		} else {
			message = append(message, here...)
		}
	}
	return message, true
}

// firstHostName reads a server_name extension.
func firstHostName(data []byte) string {
	m := helloReader{b: data}
	var list []byte
	if !m.vector(2, &list) || len(m.b) > 0 {
		return ""
	}
	m = helloReader{b: list}
	for {
		kind, ok := m.number(1)
		var value []byte
		if !ok || !m.vector(2, &value) {
			return ""
		}
		if kind == hostName {
			return printable(value)
		}
	}
}

// printable gives a name that may stand in a log, else none.
func printable(name []byte) string {
	if len(name) > maxHost {
		return ""
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return ""
		}
	}
	return string(name)
}

// helloReader takes a message apart from its front. Once it has failed it goes on failing; short
// then says that more bytes could help.
type helloReader struct {
	b           []byte
	more        bool // b may go on
	short, fail bool
}

func (m *helloReader) take(n int) []byte {
	if m.fail || n > len(m.b) {
		m.short = m.short || !m.fail && m.more
		m.fail = true
		return nil
	}
	out := m.b[:n]
	m.b = m.b[n:]
	return out
}

func (m *helloReader) skip(n int) { m.take(n) }

// number reads a number of n bytes, the most significant one first.
func (m *helloReader) number(n int) (int, bool) {
	v := 0
	for _, c := range m.take(n) {
		v = v<<8 | int(c)
	}
	return v, !m.fail
}

// vector reads a length of n bytes and as many bytes.
func (m *helloReader) vector(n int, out *[]byte) bool {
	size, _ := m.number(n)
	data := m.take(size)
	if out != nil {
		*out = data
	}
	return !m.fail
}

// readHello reads a client's first message as far as it takes to know the name, and gives it with
// all that was read, what had come before included: the member gets every byte of it. An error is
// a client that is gone; silence is none.
func readHello(c net.Conn, before []byte) (name string, got []byte, err error) {
	if err := c.SetReadDeadline(time.Now().Add(helloTime)); err != nil {
		return "", nil, err
	}
	got = append(make([]byte, 0, firstHello), before...)
	for {
		name, decided := helloName(got)
		if decided || len(got) >= maxHello {
			return name, got, c.SetReadDeadline(time.Time{})
		}
		got = slices.Grow(got, 1)
		n, err := c.Read(got[len(got):min(cap(got), maxHello)])
		got = got[:len(got)+n]
		switch {
		case isDeadline(err), errors.Is(err, io.EOF) && len(got) > 0: // half-closed, it may still want an answer
			return "", got, c.SetReadDeadline(time.Time{})
		case err != nil:
			return "", nil, err
		}
	}
}
