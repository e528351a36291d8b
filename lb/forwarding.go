package lb

import (
	"bytes"
	"net/netip"
)

// maxForwarded bounds how many proxies of a Forwarded field are looked at.
const maxForwarded = 32

// appendForwardedField writes Forwarded (RFC 7239): what a trusted proxy said, and the peer.
func (h *head) appendForwardedField(dst []byte, in *headIn) []byte {
	dst = append(dst, "Forwarded: "...)
	if in.trusted {
		_ = eachField(h.fields, func(f field) *refusal {
			if is(f.name, "forwarded") && len(f.value) > 0 {
				dst = append(append(dst, f.value...), ", "...)
			}
			return nil
		})
	}
	if in.peer.Is4() {
		dst = in.peer.AppendTo(append(dst, "for="...))
	} else {
		dst = append(in.peer.AppendTo(append(dst, `for="[`...)), `]"`...)
	}
	if in.secure {
		dst = append(dst, ";proto=https"...)
	} else {
		dst = append(dst, ";proto=http"...)
	}
	if len(h.host) > 0 { // checked: no quote and no backslash is in it
		dst = append(append(append(dst, `;host="`...), h.host...), '"')
	}
	return append(dst, "\r\n"...)
}

// clientAddr is who the request is from, for persistence: the peer, or whom a trusted proxy names.
// X-Forwarded-For goes before Forwarded.
func (ex *exchange) clientAddr() netip.Addr {
	in := &ex.in
	if !in.trusted || len(ex.head.forwarded) > 0 || !in.forwardedField {
		return clientAddr(in, ex.listener.trusted, ex.head.forwarded)
	}
	var value []byte
	_ = eachField(ex.head.fields, func(f field) *refusal {
		if is(f.name, "forwarded") {
			value = f.value
		}
		return nil
	})
	var space [maxForwarded]netip.Addr
	chain, ok := forwardedChain(space[:0], value)
	addr := in.peer
	for i := len(chain) - 1; ok && i >= 0 && chain[i].IsValid(); i-- {
		if addr = chain[i]; !contains(ex.listener.trusted, addr) {
			break
		}
	}
	return addr
}

// forwardedChain reads the "for" of each element of a Forwarded field (RFC 7239 4); one that is
// hidden or unknown is the zero Addr. A malformed or too long field says nothing at all: ok is
// false.
func forwardedChain(chain []netip.Addr, value []byte) (_ []netip.Addr, ok bool) {
	var addr netip.Addr
	for value = trimOWS(value); ; {
		name, rest, found := cutByte(value, '=')
		if !found || !isToken(name) || len(rest) == 0 {
			return chain, false
		}
		text, rest, ok := forwardedValue(rest)
		if !ok {
			return chain, false
		}
		if is(name, "for") {
			addr = forwardedNode(text)
		}
		rest = trimOWS(rest)
		if len(rest) > 0 && rest[0] == ';' {
			value = trimOWS(rest[1:])
			continue
		}
		if len(chain) == maxForwarded {
			return chain, false
		}
		chain, addr = append(chain, addr), netip.Addr{}
		if len(rest) == 0 {
			return chain, true
		}
		if rest[0] != ',' {
			return chain, false
		}
		value = trimOWS(rest[1:])
	}
}

// forwardedValue cuts a token or a quoted string from the front of b. No address needs an escape,
// so one with an escape is not taken apart.
func forwardedValue(b []byte) (text, rest []byte, ok bool) {
	if b[0] == '"' {
		end := bytes.IndexByte(b[1:], '"')
		if end < 0 || bytes.IndexByte(b[1:1+end], '\\') >= 0 {
			return nil, nil, false
		}
		return b[1 : 1+end], b[2+end:], true
	}
	n := 0
	for n < len(b) && isTokenByte(b[n]) {
		n++
	}
	return b[:n], b[n:], n > 0
}

// forwardedNode reads an address with or without a port; IPv6 stands in brackets.
func forwardedNode(b []byte) netip.Addr {
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || len(b) > end+1 && b[end+1] != ':' || !validPort(b[end+1:]) {
			return netip.Addr{}
		}
		a, err := netip.ParseAddr(string(b[1:end]))
		if err != nil || !a.Is6() {
			return netip.Addr{}
		}
		return a.Unmap().WithZone("")
	}
	name, _, _ := cutByte(b, ':')
	if !validPort(b[len(name):]) {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(string(name))
	if err != nil || !a.Is4() {
		return netip.Addr{}
	}
	return a
}
