package healthcheck

import (
	"bytes"
	"fmt"
	"net"
	"strings"
)

// request is a compiled ECV send string: all of it but the Host line, which depends on the
// target.
type request struct {
	before []byte // up to where the Host line goes
	middle []byte // up to where a Connection line goes
	after  []byte // the rest, with the blank line and a body
	host   bool   // a Host line is to be added
	free   bool   // the send string leaves it to us whether the connection is kept
	single bool   // the send string asks the target to close the connection
	head   bool   // the method is HEAD: the answer has no body
	name   string // value of the Host line when it is not the target's
	port   string // default port of the scheme, left out of the Host line
}

// newRequest compiles m.Send. A first line without an HTTP version ("GET /x", as NetScaler and
// F5 write it) is sent as HTTP/1.1 with Host and Connection: close (HK1). With a version the
// string is the operator's word: only a missing blank line at its end is added.
func newRequest(m Monitor) (request, error) {
	head, body := splitHead(m.Send)
	lines := strings.Split(head, "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	first := strings.Fields(lines[0])
	if len(first) < 2 || len(first) > 3 || strings.ContainsFunc(lines[0], func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return request{}, fmt.Errorf("the first line to send, %q, is no HTTP request line", cut(lines[0]))
	}
	r := request{head: first[0] == "HEAD", name: m.ServerName, port: "80"}
	if m.Kind == "https" {
		r.port = "443"
	}
	extra := m.Headers
	if len(first) == 2 {
		lines[0] += " HTTP/1.1"
		r.host = !hasHeader(lines[1:], "Host") && !hasHeader(extra, "Host")
		r.free = !hasHeader(lines[1:], "Connection") && !hasHeader(extra, "Connection")
	}
	r.single = closes(lines[1:]) || closes(extra)
	r.before = []byte(lines[0] + "\r\n")
	r.middle, r.after = joinLines(lines[1:]), joinLines(extra)
	r.after = append(r.after, "\r\n"...)
	r.after = append(r.after, body...)
	return r, nil
}

// joinLines ends each line as HTTP wants it.
func joinLines(lines []string) (b []byte) {
	for _, l := range lines {
		b = append(append(b, l...), "\r\n"...)
	}
	return b
}

// closes says that one of the header lines asks for the end of the connection.
func closes(lines []string) bool {
	for _, l := range lines {
		name, value, ok := strings.Cut(l, ":")
		if ok && strings.EqualFold(name, "Connection") && strings.EqualFold(strings.TrimSpace(value), "close") {
			return true
		}
	}
	return false
}

// bytes is the request as it goes to address on a connection that ends with it.
func (r *request) bytes(address string) []byte { return r.appendTo(nil, address, false) }

// appendTo appends the request; keep says that the connection is to stay open.
func (r *request) appendTo(b []byte, address string, keep bool) []byte {
	b = append(b, r.before...)
	if r.host {
		b = append(b, "Host: "...)
		b = append(b, r.hostValue(address)...)
		b = append(b, "\r\n"...)
	}
	b = append(b, r.middle...)
	if r.free && !keep {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(b, r.after...)
}

func (r *request) hostValue(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if r.name != "" {
		host = r.name
	}
	if port != r.port && r.name == "" {
		return address
	}
	switch {
	case port != r.port:
		return net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		return "[" + host + "]"
	}
	return host
}

// splitHead cuts a send string at its first blank line.
func splitHead(s string) (head, body string) {
	at, width := len(s), 0
	for _, sep := range [...]string{"\r\n\r\n", "\n\n"} {
		if i := strings.Index(s, sep); i >= 0 && i < at {
			at, width = i, len(sep)
		}
	}
	return strings.TrimRight(s[:at], "\r\n"), s[at+width:]
}

func hasHeader(lines []string, name string) bool {
	for _, l := range lines {
		n, _, ok := strings.Cut(l, ":")
		if ok && strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// cut shortens what a target sent to what fits in a reason.
func cut[T string | []byte](b T) T {
	const limit = 60
	if len(b) > limit {
		return b[:limit]
	}
	return b
}

// show quotes the beginning of what a target sent.
func show(b []byte) string {
	b = bytes.TrimSpace(b)
	if len(b) > len(cut(b)) {
		return fmt.Sprintf("%q...", cut(b))
	}
	return fmt.Sprintf("%q", b)
}
