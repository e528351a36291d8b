package lb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// This file reads the PROXY protocol, versions 1 and 2 (HAProxy, proxy-protocol.txt, section 2):
// who a connection's client is, told by the proxy in front before anything else.

const (
	proxyV1, proxyV2, proxyAny = "v1", "v2", "any"

	// proxyHeaderTime bounds the wait for a header.
	proxyHeaderTime = 5 * time.Second
	// maxProxyV1 is the longest line that version 1 allows, its CRLF included.
	maxProxyV1 = 107
	// maxProxyV2 bounds a header of version 2 with its TLVs, which are skipped.
	maxProxyV2 = 4 << 10
	proxyV2Min = 16
	// proxySignature begins every header of version 2.
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
)

// What a connection is closed for. There is no way to say so to the other side.
var (
	errProxyStart = errors.New("lb: no PROXY protocol header")
	errProxyWrong = errors.New("lb: malformed PROXY protocol header")
	errProxySize  = errors.New("lb: PROXY protocol header too large")
)

// proxyHeader is what a header says. Without known, the connection is the proxy's own or of a
// kind without addresses: its own addresses count.
type proxyHeader struct {
	known    bool
	from, to netip.AddrPort
}

// parseProxy reads a header at the beginning of b. n is its length, 0 while it is not whole.
func parseProxy(b []byte, version string) (h proxyHeader, n int, err error) {
	switch {
	case version != proxyV1 && begins(b, proxySignature):
		return parseProxyV2(b)
	case version != proxyV2 && begins(b, "PROXY "):
		return parseProxyV1(b)
	}
	return h, 0, errProxyStart
}

// begins says whether b may be or become a text that starts with start.
func begins(b []byte, start string) bool {
	n := min(len(b), len(start))
	return string(b[:n]) == start[:n]
}

// parseProxyV1 reads "PROXY TCP4 from to fromport toport CRLF" or "PROXY UNKNOWN ... CRLF".
func parseProxyV1(b []byte) (h proxyHeader, n int, err error) {
	end := bytes.IndexByte(b[:min(len(b), maxProxyV1)], '\n')
	switch {
	case end < 0 && len(b) >= maxProxyV1:
		return h, 0, errProxySize
	case end < 0:
		return h, 0, nil
	case b[end-1] != '\r': // what begins with "PROXY " has a byte before it
		return h, 0, errProxyWrong
	}
	part := bytes.Split(b[:end-1], []byte(" "))
	if string(part[1]) == "UNKNOWN" {
		return h, end + 1, nil
	}
	if len(part) != 6 || string(part[1]) != "TCP4" && string(part[1]) != "TCP6" {
		return h, 0, errProxyWrong
	}
	from, err1 := proxyV1Addr(part[2], part[4])
	to, err2 := proxyV1Addr(part[3], part[5])
	four := string(part[1]) == "TCP4"
	if err := errors.Join(err1, err2); err != nil || from.Addr().Is4() != four || to.Addr().Is4() != four {
		return h, 0, errProxyWrong
	}
	return proxyHeader{known: true, from: plainAddr(from), to: plainAddr(to)}, end + 1, nil
}

func proxyV1Addr(addr, port []byte) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(string(addr))
	if err != nil || a.Zone() != "" {
		return netip.AddrPort{}, errProxyWrong
	}
	n, err := strconv.ParseUint(string(port), 10, 16)
	if err != nil || len(port) > 1 && port[0] == '0' {
		return netip.AddrPort{}, errProxyWrong
	}
	return netip.AddrPortFrom(a, uint16(n)), nil
}

// parseProxyV2 reads signature, version and command, family, length, addresses, and skips TLVs.
func parseProxyV2(b []byte) (h proxyHeader, n int, err error) {
	if len(b) < proxyV2Min {
		return h, 0, nil
	}
	n = proxyV2Min + int(binary.BigEndian.Uint16(b[14:]))
	local := b[12] == 0x20
	switch {
	case !local && b[12] != 0x21:
		return h, 0, errProxyWrong // another version, or neither LOCAL nor PROXY
	case n > maxProxyV2:
		return h, 0, errProxySize
	case len(b) < n:
		return h, 0, nil
	case local:
		return h, n, nil
	}
	var size int // of an address
	switch b[13] {
	case 0x11:
		size = 4
	case 0x21:
		size = 16
	case 0x00, 0x31:
		return h, n, nil // no addresses, or those of Unix sockets
	default:
		return h, 0, errProxyWrong // datagrams, or a family that nobody has defined
	}
	body := b[proxyV2Min:n]
	if len(body) < 2*size+4 {
		return h, 0, errProxyWrong
	}
	from, _ := netip.AddrFromSlice(body[:size]) // 4 or 16 bytes
	to, _ := netip.AddrFromSlice(body[size : 2*size])
	ports := body[2*size:]
	h = proxyHeader{
		known: true,
		from:  plainAddr(netip.AddrPortFrom(from, binary.BigEndian.Uint16(ports))),
		to:    plainAddr(netip.AddrPortFrom(to, binary.BigEndian.Uint16(ports[2:]))),
	}
	return h, n, nil
}

// plainAddr is a without IPv4 in IPv6 and without a zone.
func plainAddr(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// readProxy reads a connection's header and gives back what came behind it.
func readProxy(c net.Conn, version string) (h proxyHeader, rest []byte, err error) {
	if err := c.SetReadDeadline(time.Now().Add(proxyHeaderTime)); err != nil {
		return h, nil, err
	}
	buf := make([]byte, 0, 512)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := c.Read(buf[len(buf):cap(buf)])
		if n == 0 && err != nil {
			return h, nil, err
		}
		buf = buf[:len(buf)+n]
		h, used, err := parseProxy(buf, version)
		if err != nil {
			return h, nil, err
		}
		if used > 0 {
			return h, buf[used:], c.SetReadDeadline(time.Time{})
		}
	}
}

// begunConn is a connection of which some bytes were read already.
type begunConn struct {
	net.Conn
	rest []byte
}

// Read gives these bytes first.
func (c *begunConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.rest)
	if c.rest = c.rest[n:]; len(c.rest) == 0 {
		c.rest = nil
	}
	return n, nil
}

// CloseWrite passes on: it is how a refusal reaches the client before the close.
func (c *begunConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return io.ErrClosedPipe
}

// appendProxy writes a header of the version for a connection from a client to us.
func appendProxy(dst []byte, version string, from, to netip.AddrPort) []byte {
	if from.Addr().Is4() != to.Addr().Is4() { // one family for both: IPv4 fits into IPv6
		from = netip.AddrPortFrom(netip.AddrFrom16(from.Addr().As16()), from.Port())
		to = netip.AddrPortFrom(netip.AddrFrom16(to.Addr().As16()), to.Port())
	}
	known, four := from.IsValid() && to.IsValid(), from.Addr().Is4()
	if version == proxyV1 {
		switch {
		case !known:
			return append(dst, "PROXY UNKNOWN\r\n"...)
		case four:
			dst = append(dst, "PROXY TCP4 "...)
		default:
			dst = append(dst, "PROXY TCP6 "...)
		}
		dst = append(from.Addr().AppendTo(dst), ' ')
		dst = append(to.Addr().AppendTo(dst), ' ')
		dst = append(strconv.AppendUint(dst, uint64(from.Port()), 10), ' ')
		return append(strconv.AppendUint(dst, uint64(to.Port()), 10), "\r\n"...)
	}
	dst = append(dst, proxySignature...)
	if !known {
		return append(dst, 0x20, 0, 0, 0)
	}
	family, size := byte(0x21), uint16(36)
	if four {
		family, size = 0x11, 12
	}
	dst = binary.BigEndian.AppendUint16(append(dst, 0x21, family), size)
	dst = append(append(dst, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	dst = binary.BigEndian.AppendUint16(dst, from.Port())
	return binary.BigEndian.AppendUint16(dst, to.Port())
}
