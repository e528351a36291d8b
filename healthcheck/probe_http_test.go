package healthcheck

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// quick is a monitor that gives up soon enough for a test and late enough for a busy machine.
func quick(kind string) Monitor {
	return Monitor{Name: "m", Kind: kind, Interval: 10 * time.Second, Timeout: 5 * time.Second}
}

const alive = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n"

func TestHTTPAccepts(t *testing.T) {
	f := func(m Monitor, talk func(net.Conn), state State, reason string) Result {
		t.Helper()
		r := Probe(t.Context(), m, responder(t, talk), Settings{})
		if r.State != state || r.Reason != reason {
			t.Errorf("got %s (%s), want %s (%s)", r.State, r.Reason, state, reason)
		}
		if r.Dial <= 0 || r.TTFB <= 0 || r.Total < r.Dial+r.TTFB || r.At.IsZero() || r.TimedOut {
			t.Errorf("steps: %+v", r)
		}
		return r
	}
	const good = `200, the body contains "CB_IS_OKAY"`
	m := quick("http")
	r := f(m, says(alive+"X-Broker-Mode: normal\r\nX-Broker-Active: 3\r\nx-broker-capacity: 64\r\n\r\nCB_IS_OKAY"), Up, good)
	if r.Load != (Load{Active: 3, Capacity: 64, Mode: "normal"}) || r.Status != 200 || string(r.FirstBytes) != "CB_IS_OKAY" {
		t.Errorf("facts: %+v", r)
	}
	if r = f(m, says(alive+"X-Broker-Mode: \x1b[2J\r\nX-Broker-Active: -7\r\n\r\nCB_IS_OKAY"), Up, good); r.Load != noLoad {
		t.Errorf("load: %+v", r.Load)
	}
	f(m, then(says(alive+"\r\nCB_IS_OKAY"), stall), Up, good) // a server that does not close
	f(m, says("HTTP/1.0 200\r\n\r\n<html>CB_IS_OKAY</html>"), Up, good)
	f(m, says("HTTP/1.1 200 OK\nContent-Length: 10\n\nCB_IS_OKAY"), Up, good)
	f(m, says("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"+alive+"\r\nCB_IS_OKAY"), Up, good)
	f(m, says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nCB_IS\r\n5\r\n_OKAY\r\n0\r\n\r\n"), Up, good)
	f(m, says("HTTP/1.1 200 OK\r\nX-Long: "+strings.Repeat("a", 20000)+"\r\n\r\nCB_IS_OKAY"), Up, good)
	f(m, says("HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\nCB_IS_OKAY"+strings.Repeat("x", bodyLimit)), Up, good)
	f(m, says("HTTP/1.1 503 Service Unavailable\r\nX-Broker-Capacity: 64\r\nX-Broker-Active: 60\r\n\r\nCB_IS_BUSY"), Overloaded, "503: the target says that it is overloaded")

	m.Receive = "regex:CB_IS_(OKAY|FINE)$"
	f(m, says("HTTP/1.1 200 OK\r\n\r\n# CB_IS_FINE"), Up, "200, the body contains /CB_IS_(OKAY|FINE)$/")
	m = quick("http")
	m.Send, m.Status = "GET /status", []int{204, 301}
	f(m, says("HTTP/1.1 204 No Content\r\n\r\n"), Up, "204, any body")
	f(m, then(says("HTTP/1.1 301 Moved\r\nLocation: /status\r\n\r\n"), endless("x")), Up, "301, any body")
}

func TestHTTPRefuses(t *testing.T) {
	f := func(talk func(net.Conn), reason string) {
		t.Helper()
		r := Probe(t.Context(), quick("http"), responder(t, talk), Settings{})
		if r.State != Down || r.Reason != reason || r.TimedOut || len(r.FirstBytes) > firstBytes {
			t.Errorf("got %s (%s), want (%s)", r.State, r.Reason, reason)
		}
	}
	const want = `, wanted "CB_IS_OKAY"`
	f(says("HTTP/1.1 200 OK\r\n\r\nLogin please"), `200 but the body was "Login please"`+want)
	f(says("HTTP/1.1 200 OK\r\n\r\n"+strings.Repeat("\x1b", 99)), `200 but the body was "`+strings.Repeat(`\x1b`, 60)+`"...`+want)
	f(says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), `200 but the body was empty`+want)
	f(says("HTTP/1.1 500 Oh\r\n\r\nCB_IS_OKAY"), "status 500, wanted 200")
	f(says("HTTP/1.1 302 Found\r\nLocation: /index.pl?action=is_alive\r\n\r\n"), "status 302, wanted 200")
	f(says("HTTP/1.1 204 No\r\n\r\n"), "status 204, wanted 200")
	f(says(""), "connection closed before the first byte")
	f(then(says(""), reset), "connection reset before the first byte")
	f(says("HTTP/1.1 2"), "connection closed in the headers")
	f(says("HTTP/1.1 200 OK\r\nServer: x"), "connection closed in the headers")
	f(says("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), `not HTTP: a header line is "no colon"`)
	f(says("SSH-2.0-OpenSSH_9.2\r\n"), `not HTTP: the answer begins with "SSH-2.0-OpenSSH_9.2"`)
	f(says("HTTP/2.0 200 OK\r\n\r\n"), `not HTTP: the answer begins with "HTTP/2.0 200 OK"`)
	f(says("HTTP/1.1 2x0 OK\r\n\r\n"), `not HTTP: the status line is "HTTP/1.1 2x0 OK"`)
	f(says("<html>\x00</html>"), `not HTTP: the answer begins with "<html>\x00</html>"`)
	f(says(alive+"\r\nCB_IS"), "200 but connection closed in the body after 5 of 10 bytes")
	f(says("HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n"), `bad Content-Length "-3"`)
	f(says("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), `bad Content-Length "4"`)
	f(says("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx"), `the body has the transfer encoding "gzip", which cannot be read here`)
	chunked := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	f(says(chunked+"zz\r\n"), `200 but bad chunk in the body: the size is "zz"`)
	f(says(chunked+"3\r\nabcdef\r\n"), `200 but bad chunk in the body: it is longer than its size`)
	f(says(chunked+"5\r\nCB_"), "200 but connection closed in the body after 3 bytes")
	f(says(chunked+strings.Repeat("1", 5000)), "200 but bad chunk in the body: the size line does not end")
	f(then(says("HTTP/1.1 200 OK\r\n"), endless("X-A: b\r\n")), "header larger than 32 KB")
	f(then(says("HTTP/1.1 200 OK\r\nX: "), endless("aaaaaaaaaaaaaaaa")), "header larger than 32 KB")
	f(endless("HTTP/1.1 100 Continue\r\n\r\n"), "header larger than 32 KB")
	begins := `200 but the first 64 KB of the body do not contain "CB_IS_OKAY", they begin with "` + strings.Repeat("y", 60) + `"...`
	f(then(says("HTTP/1.1 200 OK\r\n\r\n"), endless(strings.Repeat("y", 1000))), begins)
	f(then(says(chunked), endless("64\r\n"+strings.Repeat("y", 100)+"\r\n")), begins)

	if r := Probe(t.Context(), quick("http"), refused(t), Settings{}); r.Reason != "connection refused" || r.State != Down {
		t.Errorf("refused: %+v", r)
	}
}

func TestHTTPTimesOut(t *testing.T) {
	f := func(talk func(net.Conn), reason string) {
		t.Helper()
		m := quick("http")
		m.Timeout = 150 * time.Millisecond
		r := Probe(t.Context(), m, responder(t, talk), Settings{})
		if r.State != Down || !strings.HasPrefix(r.Reason, reason) || !r.TimedOut {
			t.Errorf("got %s (%s), want (%s)", r.State, r.Reason, reason)
		}
		if r.Total < m.Timeout || r.Total > m.Timeout+2*time.Second {
			t.Errorf("%s: took %v", reason, r.Total)
		}
	}
	f(stall, "timed out before the first byte")
	f(then(says("HTTP/1.1 200 OK\r\nServer: "), drips("x")), "timed out in the headers")
	f(then(says("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"), drips("x")), "200 but timed out in the body after ")
	f(then(says("HTTP/1.1 200 OK\r\n\r\n"), drips("x")), "200 but timed out in the body after ")
}

func TestProbeObeysItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addr := responder(t, func(c net.Conn) { readRequest(c); cancel(); stall(c) })
	m := quick("http")
	m.Interval, m.Timeout = time.Hour, time.Minute
	r := Probe(ctx, m, addr, Settings{})
	if r.Reason != "the probe was cancelled before the first byte" || r.Total > 30*time.Second {
		t.Errorf("%s after %v", r.Reason, r.Total)
	}
}

func TestHTTPSends(t *testing.T) {
	f := func(m Monitor, want string) {
		t.Helper()
		got := make(chan string, 1)
		addr := responder(t, func(c net.Conn) {
			got <- readRequest(c)
			write("HTTP/1.1 200 OK\r\n\r\nCB_IS_OKAY")(c)
		})
		Probe(t.Context(), m, addr, Settings{})
		if g := <-got; g != strings.ReplaceAll(want, "ADDR", addr) {
			t.Errorf("sent %q, want %q", g, want)
		}
	}
	m := quick("http")
	f(m, "GET /index.pl?action=is_alive HTTP/1.1\r\nHost: ADDR\r\nConnection: close\r\n\r\n")
	m.Headers = []string{"X-Probe: 1", "Host: cb.company.com"}
	f(m, "GET /index.pl?action=is_alive HTTP/1.1\r\nConnection: close\r\nX-Probe: 1\r\nHost: cb.company.com\r\n\r\n")
	m = quick("http")
	m.Send = "GET /a\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"
	f(m, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n")
	m.Send = "GET /a HTTP/1.0"
	f(m, "GET /a HTTP/1.0\r\n\r\n")
	m.Send = "GET /a HTTP/1.1\nHost: x\n"
	f(m, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
}

func TestRequestHostAndBody(t *testing.T) {
	f := func(m Monitor, address, want string) {
		t.Helper()
		r, err := newRequest(m)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(r.bytes(address)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	post := Monitor{Kind: "http", Send: "POST /x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"}
	f(post, "h:80", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
	f(Monitor{Kind: "https", Send: "GET / HTTP/1.1"}, "h:443", "GET / HTTP/1.1\r\n\r\n")
	get := Monitor{Kind: "https", Send: "GET /\nConnection: x"}
	f(get, "h:443", "GET / HTTP/1.1\r\nHost: h\r\nConnection: x\r\n\r\n")
	f(get, "[2001:db8::1]:443", "GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\nConnection: x\r\n\r\n")
	f(get, "h:8443", "GET / HTTP/1.1\r\nHost: h:8443\r\nConnection: x\r\n\r\n")
	get.ServerName = "cb"
	f(get, "10.0.0.1:443", "GET / HTTP/1.1\r\nHost: cb\r\nConnection: x\r\n\r\n")
}
