package lb

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"switchpoint/internal/covers"
)

var madeID = regexp.MustCompile(`\r\nX-Request-Id: ([0-9a-f]{16}-[0-9a-f]+-[0-9a-f]+)\r\n`)

// TestRequestID: each request has an id of its own on its way to the member; a trusted proxy's is
// kept where it is well-formed; the client hears it where that is configured.
func TestRequestID(t *testing.T) {
	covers.Req(t, "LB1")
	m, addr := startMirror(t, strings.Replace(okAnswer, "\r\n\r\n", "\r\nx-request-id: the-members\r\n\r\n", 1))
	cfg := plainConfig([]Member{{Address: addr}})
	cfg.Listeners[0].RequestID = ""
	r := start(t, cfg)
	seen := make(map[string]bool)
	ask := func(fields string) (answer, id string) {
		t.Helper()
		answer = raw(t, r.addr, "GET / HTTP/1.1\r\nHost: x\r\n"+fields+"Connection: close\r\n\r\n")
		if n := strings.Count(strings.ToLower(m.last()), "request"); n != 1 {
			t.Fatalf("%d ids in %q", n, m.last())
		}
		if found := madeID.FindStringSubmatch(m.last()); found != nil {
			id = found[1]
		}
		return answer, id
	}
	for range 5 {
		_, id := ask("X-Request-Id: evil\r\nX_Request_Id: evil\r\n")
		if id == "" || seen[id] {
			t.Errorf("id %q, seen %v, in %q", id, seen[id], m.last())
		}
		seen[id] = true
	}
	// Requests of one connection differ in the last part only.
	out := raw(t, r.addr, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	var ids []string
	m.mu.Lock()
	for _, head := range m.heads[len(m.heads)-2:] {
		ids = append(ids, madeID.FindStringSubmatch(head)[1])
	}
	m.mu.Unlock()
	if base := strings.TrimSuffix(ids[0], "1"); !strings.HasSuffix(ids[0], "-1") || ids[1] != base+"2" {
		t.Errorf("ids %q", ids)
	}
	if !strings.Contains(out, "x-request-id: the-members") {
		t.Errorf("the member's own field is gone from %q", out)
	}

	trusting := cfg
	trusting.Listeners = []Listener{cfg.Listeners[0]}
	trusting.Listeners[0].TrustedProxies, trusting.Listeners[0].RequestIDAnswer = []string{"127.0.0.1"}, true
	r.reload(trusting)
	answer, _ := ask("x-request-ID: From-Outside/1\r\n")
	if !strings.Contains(m.last(), "\r\nX-Request-Id: From-Outside/1\r\n") || strings.Count(answer, "equest-") != 1 || !strings.Contains(answer, "X-Request-Id: From-Outside/1\r\n") {
		t.Errorf("the member got %q, the client %q", m.last(), answer)
	}
	for _, bad := range []string{"", "a b", `a"b`, `a\b`, "a,b", "\x80", strings.Repeat("x", maxRequestID+1)} {
		if answer, id := ask("X-Request-Id: " + bad + "\r\n"); id == "" || !strings.Contains(answer, id) {
			t.Errorf("%q became %q; the client got %q", bad, id, answer)
		}
	}
	named := trusting
	named.Listeners = []Listener{trusting.Listeners[0]}
	named.Listeners[0].RequestID = "X-Correlation"
	r.reload(named)
	if out := raw(t, r.addr, "GET / HTTP/1.1\r\nHost: x\r\nX-Correlation: 7\r\nX-Request-Id: 8\r\nConnection: close\r\n\r\n"); !strings.Contains(out, "\r\nX-Correlation: 7\r\n") ||
		!strings.Contains(m.last(), "\r\nX-Correlation: 7\r\n") || !strings.Contains(m.last(), "\r\nX-Request-Id: 8\r\n") {
		t.Errorf("the member got %q, the client %q", m.last(), out)
	}
}

// TestIDsOfProcesses: two processes do not make the same ids.
func TestIDsOfProcesses(t *testing.T) {
	c := &clientConn{number: 255, requests: 16}
	one, two := string(c.appendID(nil, newIDBase())), string(c.appendID(nil, newIDBase()))
	if one == two || !strings.HasSuffix(one, "-ff-10") || len(one) != len("0123456789abcdef-ff-10") {
		t.Error(fmt.Sprint(one, " ", two))
	}
	buf, base := make([]byte, 0, 64), newIDBase()
	if n := testing.AllocsPerRun(100, func() { buf = c.appendID(buf[:0], base) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
