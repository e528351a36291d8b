package lb

import (
	"net/netip"
	"strconv"
)

// headIn is a request as the listener got it, with what the balancer adds.
type headIn struct {
	method, target []byte
	http11         bool
	raw            []byte // the header lines as received, ending in an empty line
	bodyLen        int
	peer           netip.Addr
	trusted        bool   // the peer may say who the client is
	forwardedField bool   // write Forwarded
	id             []byte // of the request
	idName         string // of the field that carries it; empty: none
	idLower        string
	secure         bool   // the client speaks TLS
	fallbackHost   string // for HTTP/1.0 without Host
}

// check judges a request before anything is decided about it.
func (in *headIn) check(h *head) *refusal {
	return h.check(in.method, in.target, in.raw, in.http11)
}

// appendRequest writes the request as the member gets it.
func (h *head) appendRequest(dst []byte, in *headIn) []byte {
	dst = append(dst, in.method...)
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
	framed, hasProto, hasHost := false, false, false
	// The check has passed, so the walk cannot fail.
	_ = eachField(in.raw, func(f field) *refusal {
		switch {
		case is(f.name, "host"):
			return nil
		case is(f.name, "content-length"), is(f.name, "transfer-encoding"):
			framed = true
			return nil
		case is(f.name, "expect"):
			return nil // answered by the listener, which has the whole body by now
		case h.hopByHop(f.name):
			return nil
		case is(f.name, "x-forwarded-for"), !in.trusted && isForwarding(f.name):
			return nil
		case in.forwardedField && is(f.name, "forwarded"), in.idName != "" && isLike(f.name, in.idLower):
			return nil
		case is(f.name, "x-forwarded-proto"):
			hasProto = true
		case is(f.name, "x-forwarded-host"):
			hasHost = true
		}
		dst = appendField(dst, f.name, f.value)
		return nil
	})
	dst = h.appendForwarded(dst, in, hasProto, hasHost)
	if in.forwardedField {
		dst = h.appendForwardedField(dst, in)
	}
	if in.idName != "" {
		dst = appendField(dst, in.idName, in.id)
	}
	if in.bodyLen > 0 || framed || expectsBody(in.method) {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(in.bodyLen), 10)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...)
}

func (h *head) appendForwarded(dst []byte, in *headIn, hasProto, hasHost bool) []byte {
	dst = append(dst, "X-Forwarded-For: "...)
	if in.trusted {
		_ = eachField(in.raw, func(f field) *refusal {
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

// hopByHop says whether a field is meant for this connection only (RFC 9110 7.6.1).
func (h *head) hopByHop(name []byte) bool {
	return isHopByHop(name) || named(h.options[:h.nOptions], name)
}
