package gtm

import (
	"encoding/binary"
	"errors"
	"strings"
)

// The numbers of RFC 1035, 2136, 6891 that the server itself decides on. They are our own so
// that reading a packet needs no DNS library: the fast path reads with the same code.
const (
	headerSize = 12

	opcodeQuery = 0

	rcodeNoError   = 0
	rcodeFormErr   = 1
	rcodeServFail  = 2
	rcodeNXDomain  = 3
	rcodeNotImp    = 4
	rcodeRefused   = 5
	rcodeBadVers   = 16
	rcodeBadCookie = 23

	classIN = 1
	classCH = 3

	typeA     = 1
	typeNS    = 2
	typeCNAME = 5
	typeTXT   = 16
	typeAAAA  = 28
	typeSRV   = 33
	typeDNAME = 39
	typeOPT   = 41
	typeDS    = 43
	typeANY   = 255

	bitQR = 1 << 15
	bitRD = 1 << 8
	bitCD = 1 << 4

	// udpSize is the EDNS payload size that is advertised and the cap of every UDP answer:
	// it passes every path unfragmented (RFC 9715).
	udpSize = 1232
	// plainSize is the cap for a client without EDNS (RFC 1035 section 4.2.1).
	plainSize = 512
)

// query is a packet as read: its header, its one question and what its OPT record says.
type query struct {
	id     uint16
	flags  uint16
	opcode uint8

	hasQuestion bool
	name        string // presentation form, in the client's own case
	qtype       uint16
	qclass      uint16

	edns    bool
	size    uint16 // the client's payload size, at least 512
	version uint8
	do      bool
	options options
}

var (
	errNotAQuery = errors.New("a response or less than a header") // never answered
	errFormat    = errors.New("malformed message")
)

// parseQuery reads a packet. On errFormat the query holds what was read before the fault, so
// that the FORMERR can carry id, opcode and, when they were whole, question and OPT. Without an
// error there is one question, or none at all (RFC 7873 section 5.4 has a use for that).
// errNotAQuery means silence: answering a response may start a loop between two servers.
func parseQuery(pkt []byte) (query, error) {
	var q query
	if len(pkt) < headerSize {
		return q, errNotAQuery
	}
	q.id = binary.BigEndian.Uint16(pkt)
	q.flags = binary.BigEndian.Uint16(pkt[2:])
	if q.flags&bitQR != 0 {
		return q, errNotAQuery
	}
	q.opcode = uint8(q.flags >> 11 & 0xf)
	if !q.readSections(pkt) && q.opcode == opcodeQuery {
		return q, errFormat
	}
	return q, nil // sections of other opcodes have other meanings; the answer is NOTIMP anyway
}

// readSections reads what follows the header. Octets after the last record are ignored, as
// BIND, NSD and PowerDNS do.
func (q *query) readSections(pkt []byte) (ok bool) {
	off := headerSize
	switch binary.BigEndian.Uint16(pkt[4:]) { // QDCOUNT, at most 1: RFC 9619
	case 0:
	case 1:
		if off, ok = q.readQuestion(pkt); !ok {
			return false
		}
	default:
		return false
	}
	inBody := int(binary.BigEndian.Uint16(pkt[6:])) + int(binary.BigEndian.Uint16(pkt[8:]))
	extra := int(binary.BigEndian.Uint16(pkt[10:]))
	for i := range inBody + extra {
		if off, ok = q.readRecord(pkt, off, i >= inBody); !ok {
			return false
		}
	}
	return true
}

// readQuestion reads the question. A compression pointer in it could point only to the header
// or to itself, so it is refused.
func (q *query) readQuestion(pkt []byte) (off int, ok bool) {
	var b strings.Builder
	off = headerSize
	for {
		if off >= len(pkt) {
			return 0, false
		}
		l := int(pkt[off])
		off++
		if l == 0 {
			break
		}
		if l > maxLabel || off+l > len(pkt) || off+l-headerSize >= maxName {
			return 0, false
		}
		for _, c := range pkt[off : off+l] {
			writeOctet(&b, c)
		}
		b.WriteByte('.')
		off += l
	}
	if off+4 > len(pkt) {
		return 0, false
	}
	if b.Len() == 0 {
		b.WriteByte('.')
	}
	q.name = b.String()
	q.qtype = binary.BigEndian.Uint16(pkt[off:])
	q.qclass = binary.BigEndian.Uint16(pkt[off+2:])
	q.hasQuestion = true
	return off + 4, true
}

// readRecord steps over one record; an OPT record in the additional section is read (RFC 6891:
// at most one, owner the root).
func (q *query) readRecord(pkt []byte, off int, additional bool) (next int, ok bool) {
	start := off
	if off, ok = skipName(pkt, off); !ok || off+10 > len(pkt) {
		return 0, false
	}
	typ := binary.BigEndian.Uint16(pkt[off:])
	class := binary.BigEndian.Uint16(pkt[off+2:])
	ttl := binary.BigEndian.Uint32(pkt[off+4:])
	end := off + 10 + int(binary.BigEndian.Uint16(pkt[off+8:]))
	if end > len(pkt) {
		return 0, false
	}
	if typ != typeOPT {
		return end, true
	}
	if !additional || q.edns || pkt[start] != 0 {
		return 0, false
	}
	q.edns = true
	q.size = max(class, plainSize)
	q.version = uint8(ttl >> 16)
	q.do = ttl&(1<<15) != 0
	q.options = readOptions(pkt[off+10 : end])
	return end, true
}

// skipName steps over a name that may end in a compression pointer, which is not followed: the
// name of such a record is never used. It takes at most 255 octets.
func skipName(pkt []byte, off int) (next int, ok bool) {
	for start := off; off < len(pkt) && off-start < maxName; {
		l := int(pkt[off])
		switch {
		case l == 0:
			return off + 1, true
		case l&0xc0 == 0xc0:
			return off + 2, off+2 <= len(pkt)
		case l > maxLabel:
			return 0, false
		}
		off += 1 + l
	}
	return 0, false
}
