package logins

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Tags of LDAP messages (RFC 4511 4.2, 4.5).
const (
	tagInteger     = 0x02
	tagOctets      = 0x04
	tagBoolean     = 0x01
	tagEnumerated  = 0x0a
	tagSequence    = 0x30
	tagBindRequest = 0x60
	tagBindResult  = 0x61
	tagSearch      = 0x63
	tagEntry       = 0x64
	tagSearchDone  = 0x65
	tagSimple      = 0x80 // a password
	tagEquality    = 0xa3 // a filter
)

// maxPDU bounds one LDAP message.
const maxPDU = 1 << 20

// tlv is one BER element (X.690 8.1) of the parts.
func tlv(tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	out := make([]byte, 0, n+6)
	out = append(out, tag)
	if n < 0x80 {
		out = append(out, byte(n))
	} else {
		out = append(out, 0x84)
		out = binary.BigEndian.AppendUint32(out, uint32(n))
	}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// integer is a small number, in four bytes.
func integer(tag byte, n int32) []byte {
	return binary.BigEndian.AppendUint32([]byte{tag, 4}, uint32(n))
}

func octets(s string) []byte { return tlv(tagOctets, []byte(s)) }

// element reads the head of the element that b begins with: its tag, and where its content begins and ends.
func element(b []byte) (tag byte, from, to int, err error) {
	if len(b) < 2 {
		return 0, 0, 0, errShortPDU
	}
	n, at := int(b[1]), 2
	if n >= 0x80 {
		size := n & 0x7f
		if size == 0 || size > 4 || len(b) < 2+size {
			return 0, 0, 0, errShortPDU
		}
		n = 0
		for _, v := range b[2 : 2+size] {
			n = n<<8 | int(v)
		}
		at += size
	}
	if n > maxPDU || at+n > len(b) {
		return 0, 0, 0, errShortPDU
	}
	return b[0], at, at + n, nil
}

var errShortPDU = errors.New("an LDAP message that is cut off")

// readPDU reads one LDAP message into buf, which grows, and returns it.
func readPDU(r *bufio.Reader, buf []byte) ([]byte, error) {
	buf = buf[:0]
	for range 2 {
		b, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		buf = append(buf, b)
	}
	if buf[0] != tagSequence {
		return nil, fmt.Errorf("an LDAP message that begins with %#02x", buf[0])
	}
	n := int(buf[1])
	if n >= 0x80 {
		size := n & 0x7f
		if size == 0 || size > 4 {
			return nil, errors.New("an LDAP message of a length that is not one")
		}
		n = 0
		for range size {
			b, err := r.ReadByte()
			if err != nil {
				return nil, unexpected(err)
			}
			buf = append(buf, b)
			n = n<<8 | int(b)
		}
	}
	if n > maxPDU {
		return nil, fmt.Errorf("an LDAP message of %d bytes", n)
	}
	had := len(buf)
	buf = append(buf, make([]byte, n)...)
	_, err := io.ReadFull(r, buf[had:])
	return buf, unexpected(err)
}

// operation gives the tag and the content of the operation of a message.
func operation(pdu []byte) (tag byte, content []byte, err error) {
	_, from, to, err := element(pdu)
	if err != nil {
		return 0, nil, err
	}
	rest := pdu[from:to]
	if _, _, to, err = element(rest); err != nil { // the message's number
		return 0, nil, err
	}
	rest = rest[to:]
	tag, from, to, err = element(rest)
	if err != nil {
		return 0, nil, err
	}
	return tag, rest[from:to], nil
}

// resultCode reads an LDAPResult, which begins with its code.
func resultCode(content []byte) (int, error) {
	tag, from, to, err := element(content)
	if err != nil || tag != tagEnumerated || to == from {
		return 0, errors.New("an LDAP result without a code")
	}
	return int(content[to-1]), nil
}
