package logins

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"
)

// resolve asks a DNS server for the address (A) of a name, from a local address (invalid: any), as a
// thin client does: a socket and a question of its own for each login. Question and answer are built
// and read by hand, because the client shares its cores with what it measures.
func resolve(source netip.Addr, server, name string, timeout time.Duration) (netip.Addr, error) {
	d := net.Dialer{Timeout: timeout}
	if source.IsValid() {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	conn, err := d.Dial("udp", server)
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { _ = conn.Close() }() // what it said is known by then
	var buf [1232]byte
	id := uint16(rand.Uint32()) // nobody forges answers to a benchmark
	question := appendQuestion(buf[:0], id, name)
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return netip.Addr{}, err
	}
	if _, err := conn.Write(question); err != nil {
		return netip.Addr{}, err
	}
	var answer [1232]byte
	for {
		n, err := conn.Read(answer[:])
		if err != nil {
			return netip.Addr{}, err
		}
		addr, err := readAnswer(answer[:n], question)
		if !errors.Is(err, errOtherAnswer) {
			return addr, err
		}
	}
}

// Parts of a DNS message (RFC 1035 4.1, RFC 6891 6.1).
const (
	dnsHeader   = 12
	flagRD      = 0x0100
	flagQR      = 0x8000
	flagTC      = 0x0200
	maskRcode   = 0x000f
	typeA       = 1
	typeOPT     = 41
	classIN     = 1
	udpCapacity = 1232
)

// appendQuestion writes a query for A with EDNS, as resolvers and stubs send it.
func appendQuestion(b []byte, id uint16, name string) []byte {
	for _, v := range []uint16{id, flagRD, 1, 0, 0, 1} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	b = append(b, 0)
	b = binary.BigEndian.AppendUint16(b, typeA)
	b = binary.BigEndian.AppendUint16(b, classIN)
	b = append(b, 0) // OPT: the root
	b = binary.BigEndian.AppendUint16(b, typeOPT)
	b = binary.BigEndian.AppendUint16(b, udpCapacity)
	return append(b, 0, 0, 0, 0, 0, 0)
}

// errOtherAnswer is a packet that does not answer the question.
var errOtherAnswer = errors.New("an answer to another question")

// optLength is what appendQuestion adds behind the question itself.
const optLength = 11

// readAnswer gives the first A record of an answer.
func readAnswer(b, question []byte) (netip.Addr, error) {
	end := len(question) - optLength // of the question section, which is repeated
	if len(b) < end || [2]byte(b) != [2]byte(question) || !bytes.Equal(b[dnsHeader:end], question[dnsHeader:end]) {
		return netip.Addr{}, errOtherAnswer
	}
	flags := binary.BigEndian.Uint16(b[2:])
	if flags&flagQR == 0 || flags&flagTC != 0 || flags&maskRcode != 0 {
		return netip.Addr{}, fmt.Errorf("DNS answers with flags %#04x", flags)
	}
	at := end
	for range binary.BigEndian.Uint16(b[6:]) {
		var ok bool
		if at, ok = skipName(b, at); !ok || at+10 > len(b) {
			return netip.Addr{}, errors.New("a DNS answer that is cut off")
		}
		kind, length := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+8:]))
		at += 10
		if at+length > len(b) {
			return netip.Addr{}, errors.New("a DNS record that is cut off")
		}
		if kind == typeA && length == 4 {
			return netip.AddrFrom4([4]byte(b[at:])), nil
		}
		at += length
	}
	return netip.Addr{}, errors.New("DNS answers without an address")
}

// skipName returns where a name ends: at its root, or behind the pointer that goes on with it.
func skipName(b []byte, at int) (int, bool) {
	for at < len(b) {
		switch n := int(b[at]); {
		case n == 0:
			return at + 1, true
		case n >= 0xc0:
			return at + 2, true
		default:
			at += n + 1
		}
	}
	return at, false
}
