package lb

import (
	"bytes"
	"net/url"
)

// redirect is where a request is sent instead of a pool.
type redirect struct {
	to       string // scheme and authority, and a path where keepPath is not set
	keepPath bool   // add the request's own path and query
	status   int
}

// httpsRedirect is the same address under https.
type httpsRedirect struct {
	port   string // ":8443", empty for the usual one
	status int
}

// hasPath says whether a checked address names a path or query of its own.
func hasPath(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Path != "" || u.RawQuery != "")
}

// appendTo writes the address that a redirect names for a request.
func (r *redirect) appendTo(dst []byte, h *head) []byte {
	dst = append(dst, r.to...)
	if r.keepPath {
		dst = h.appendTarget(dst)
	}
	return dst
}

// appendTo writes the https address of a request, nil for one without a Host.
func (r *httpsRedirect) appendTo(dst []byte, h *head) []byte {
	host := h.host
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	if len(host) == 0 {
		return nil
	}
	dst = append(append(append(dst, "https://"...), host...), r.port...)
	return h.appendTarget(dst)
}

// appendTarget writes path and query; the server as a whole ("*") is its root here.
func (h *head) appendTarget(dst []byte) []byte {
	if h.before == '/' {
		dst = append(dst, '/')
	}
	if h.before == '*' || string(h.target) == "*" {
		return append(dst, '/')
	}
	return append(dst, h.target...)
}

// redirect answers a request that the listener or its route sends elsewhere. One that came by TLS
// to a trusted proxy in front needs no https any more.
func (ex *exchange) redirect(route *pathRoute) bool {
	var status int
	var to []byte
	switch r := ex.listener.toHTTPS; {
	case r != nil && !ex.cameByTLS():
		status, to = r.status, r.appendTo(ex.out[:0], &ex.head)
		if to == nil {
			ex.refuse(400, "this address is served under https only", false)
			return true
		}
	case route != nil && route.redirect != nil:
		status, to = route.redirect.status, route.redirect.appendTo(ex.out[:0], &ex.head)
	default:
		return false
	}
	ex.reply(status, "Location: "+string(to)+"\r\nContent-Type: text/plain; charset=utf-8\r\n", "the address is in Location\n")
	return true
}

// cameByTLS believes X-Forwarded-Proto of a trusted proxy.
func (ex *exchange) cameByTLS() bool {
	secure := false
	if ex.in.trusted {
		_ = eachField(ex.head.fields, func(f field) *refusal {
			if is(f.name, "x-forwarded-proto") {
				secure = is(f.value, "https")
			}
			return nil
		})
	}
	return secure
}
