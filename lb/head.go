package lb

import (
	"bytes"
	"net/netip"
	"strconv"
)

// headIn is what the balancer adds to a request's head.
type headIn struct {
	peer           netip.Addr
	trusted        bool   // the peer may say who the client is
	forwardedField bool   // write Forwarded
	id             []byte // of the request
	idName         string // of the field that carries it; empty: none
	idLower        string
	cookies        []string // the balancer's own, which are not passed on
	secure         bool     // the client speaks TLS
	fallbackHost   string   // for HTTP/1.0 without Host
}

// appendRequest writes the request as the member gets it, without its body.
func (h *head) appendRequest(dst []byte, in *headIn) []byte {
	dst = append(dst, h.method...)
	dst = append(dst, ' ')
	if h.before != 0 {
		dst = append(dst, h.before)
	}
	dst = append(dst, h.target...)
	dst = append(dst, " HTTP/1.1\r\n"...)
	if len(h.host) > 0 {
		dst = appendField(dst, "Host", h.host)
	} else {
		dst = append(append(append(dst, "Host: "...), in.fallbackHost...), "\r\n"...)
	}
	hasProto, hasHost := false, false
	eachChecked(h.fields, func(f field) {
		switch {
		case h.dropped(f.name, in):
			return
		case is(f.name, "x-forwarded-proto"):
			hasProto = true
		case is(f.name, "x-forwarded-host"):
			hasHost = true
		case len(in.cookies) > 0 && is(f.name, "cookie"):
			dst = appendCookies(dst, f, in.cookies)
			return
		}
		dst = appendLine(dst, f)
	})
	dst = h.appendForwarded(dst, in, hasProto, hasHost)
	if in.forwardedField {
		dst = h.appendForwardedField(dst, in)
	}
	if in.idName != "" {
		dst = appendField(dst, in.idName, in.id)
	}
	return append(h.appendControl(dst), "\r\n"...)
}

// dropped names the fields that are not passed on as they are.
func (h *head) dropped(name []byte, in *headIn) bool {
	switch {
	case is(name, "host"), is(name, "content-length"), is(name, "transfer-encoding"), is(name, "expect"), is(name, "x-forwarded-for"):
		return true
	case is(name, "trailer"):
		return h.framing != frameChunked || named(h.options[:h.nOptions], name)
	case isHopByHop(name), named(h.options[:h.nOptions], name), !in.trusted && isForwarding(name):
		return true
	}
	return in.forwardedField && is(name, "forwarded") || in.idName != "" && isLike(name, in.idLower)
}

// appendControl writes the fields that are between us and the member: framing, what we wait for,
// what the client can take, and the one protocol that is changed to.
func (h *head) appendControl(dst []byte) []byte {
	switch {
	case h.framing == frameChunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case h.framing == frameLength || expectsBody(h.method):
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, h.length, 10)
		dst = append(dst, "\r\n"...)
	}
	if h.waiting {
		dst = append(dst, "Expect: 100-continue\r\n"...)
	}
	switch {
	case h.webSocket():
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	case h.trailers:
		dst = append(dst, "Connection: TE\r\nTE: trailers\r\n"...)
	}
	return dst
}

// webSocket says whether the client asks to change to the one protocol that is carried on. h2c
// would carry requests that nobody checks, whatever else is asked for is not known to be safe: it
// is dropped, as RFC 9110 7.8 allows.
func (h *head) webSocket() bool {
	return h.upgrade && h.framing == frameNone && is(h.protocol, "websocket") && named(h.options[:h.nOptions], []byte("upgrade"))
}

// persists says whether the client wants to send more requests on its connection (RFC 9112 9.3).
func (h *head) persists() bool {
	return !h.closeClient && (h.http11 || named(h.options[:h.nOptions], []byte("keep-alive")))
}

// eachChecked walks header lines that the strict check has passed.
func eachChecked(raw []byte, f func(field)) {
	for {
		end := bytes.IndexByte(raw, '\n')
		if end < 2 {
			return
		}
		line := raw[:end+1]
		raw = raw[end+1:]
		if colon := bytes.IndexByte(line, ':'); colon > 0 {
			f(field{line[:colon], trimOWS(line[colon+1 : end-1]), line})
		}
	}
}

// usual says whether the line has one blank before the value and nothing behind it.
func (f *field) usual() bool {
	return len(f.name)+len(f.value)+4 == len(f.line) && f.line[len(f.name)+1] == ' '
}

// appendLine writes a field, by copying its line where that has the usual form.
func appendLine(dst []byte, f field) []byte {
	if f.usual() {
		return append(dst, f.line...)
	}
	return appendField(dst, f.name, f.value)
}

func (h *head) appendForwarded(dst []byte, in *headIn, hasProto, hasHost bool) []byte {
	dst = append(dst, "X-Forwarded-For: "...)
	if in.trusted {
		_ = eachField(h.fields, func(f field) *refusal {
			if is(f.name, "x-forwarded-for") && len(f.value) > 0 {
				dst = append(append(dst, f.value...), ", "...)
			}
			return nil
		})
	}
	dst = append(in.peer.AppendTo(dst), "\r\n"...)
	if !hasProto {
		proto := "http"
		if in.secure {
			proto = "https"
		}
		dst = append(append(append(dst, "X-Forwarded-Proto: "...), proto...), "\r\n"...)
	}
	if !hasHost && len(h.host) > 0 {
		dst = appendField(dst, "X-Forwarded-Host", h.host)
	}
	return dst
}
