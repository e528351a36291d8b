package isalive

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

const probe = "GET /index.pl?action=is_alive"

func TestDecide(t *testing.T) {
	f := func(in string, eof bool, want verdict) {
		t.Helper()
		if got := decide([]byte(in), eof); got != want {
			t.Errorf("decide(%q, %v) = %d, want %d", in, eof, got, want)
		}
	}
	// No version: one line decides, whatever follows.
	f(probe+"\r\n", false, legacy)
	f(probe+"\n", false, legacy)
	f(probe+"\r\n\r\n", false, legacy)
	f("GET /index.pl?action=cb_status\r\n", false, legacy)
	f(probe, false, more)
	f(probe+"\r", false, more)
	f(probe, true, legacy)
	f(probe+"\r", true, legacy)
	// HTTP/1.0: at the end of the block.
	f(probe+" HTTP/1.0\r\n", false, more)
	f(probe+" HTTP/1.0\r\n\r\n", false, legacy)
	f(probe+" HTTP/1.0\r\nHost: cb\r\nUser-Agent: x\r\n\r\n", false, legacy)
	f(probe+" HTTP/1.0\r\n", true, pass)
	f(probe+" HTTP/1.0", true, pass)
	// HTTP/1.1: only without Host, and a Host line decides at once.
	f(probe+" HTTP/1.1\r\n\r\n", false, legacy)
	f(probe+" HTTP/1.1\r\nUser-Agent: x\r\n", false, more)
	f(probe+" HTTP/1.1\r\nUser-Agent: x\r\n\r\n", false, legacy)
	f(probe+" HTTP/1.1\r\nUser-Agent: x\r\nhOST: cb\r\n", false, pass)
	f(probe+" HTTP/1.1\r\nUser-Agent: x\r\n", true, pass)
	// Odd blocks are the server's to refuse.
	f(probe+" HTTP/1.1\n\n", false, pass)
	f(probe+" HTTP/1.1\r\nHost : cb\r\n\r\n", false, pass)
	f(probe+" HTTP/1.1\r\n folded\r\n\r\n", false, pass)
	f(probe+" HTTP/1.1\r\nno colon\r\n\r\n", false, pass)
	f(probe+" HTTP/2.0\r\n\r\n", false, pass)
	f(probe+" http/1.1\r\n\r\n", false, pass)
	f(probe+"  HTTP/1.1\r\n\r\n", false, pass)
	f(probe+" \r\n", false, pass)
	f(probe+"\x00\r\n", false, pass)
	// Everything else passes as soon as it differs.
	f("", false, more)
	f("", true, pass)
	f("G", false, more)
	f("P", false, pass)
	f("GET /i", false, more)
	f("GET /a", false, pass)
	f("GET /index.pl ", false, pass)
	f("GET /index.pl?action=login\r\n", false, pass)
	f("\r\n"+probe+"\r\n", false, pass)
	f("\x16\x03\x01", false, pass)
	f("PRI * HTTP/2.0\r\n", false, pass)
	// Bounds.
	f(probe+"&x="+strings.Repeat("a", maxLine), false, pass)
	f(probe+" HTTP/1.1\r\nX: "+strings.Repeat("a", maxPeek), false, pass)
	f(probe+" HTTP/1.1\r\n"+strings.Repeat("X: a\r\n", maxPeek/6), false, more)
	f(probe+" HTTP/1.1\r\n"+strings.Repeat("X: a\r\n", maxPeek/6+1), false, pass)
}

// FuzzDecide holds the parser to its promises on any input: a verdict does not change when more
// bytes come, it never waits past its bounds, and what net/http would serve is never taken.
func FuzzDecide(f *testing.F) {
	for _, s := range []string{
		probe, probe + "\r\n", probe + " HTTP/1.0\r\n\r\n", probe + " HTTP/1.1\r\nHost: a\r\n\r\n",
		probe + " HTTP/1.1\r\nX: a\r\n\r\n", "POST / HTTP/1.1\r\n", "GET /index.pl?action=cb_status\n\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		final := decide(b, false)
		for i := range b {
			if v := decide(b[:i], false); v != more && v != final {
				t.Fatalf("%q is %d, but its first %d bytes are %d", b, final, i, v)
			}
		}
		if final == more && len(b) > maxLine+maxPeek {
			t.Fatalf("%d bytes are not decided", len(b))
		}
		if decide(b, true) == more {
			t.Fatalf("%q is not decided at its end", b)
		}
		if final != legacy {
			return
		}
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err == nil && req.ProtoAtLeast(1, 1) && req.Host != "" && len(req.Header["Host"]) == 0 && req.URL.Host == "" {
			t.Fatalf("%q is a request with Host and was taken from the server", b)
		}
	})
}
