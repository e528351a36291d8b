package lb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// behind is a server that a member may be, and what it understood since the last look.
type behind struct {
	name, addr string
	take       func() []string
	whole      int  // messages that it took as we meant them
	tidiesPath bool // Apache passes on /b for //a/../b, whatever it is told
}

// story tells a request in one line.
func story(method, target string, body []byte) string {
	return fmt.Sprintf("%s %s %q", method, target, body)
}

// startBehind starts the five servers. The first three pass on what they understood to a recorder
// of their own.
func startBehind(t *testing.T) []*behind {
	proxied := func(name string, front func(to string) string) *behind {
		rec := startRecorder(t, others)
		return &behind{name: name, addr: front(rec.addr), take: func() (out []string) {
			got, bad := rec.take()
			for i := range got {
				out = append(out, story(got[i].method, got[i].target, got[i].body))
			}
			return append(out, bad...)
		}}
	}
	var mu sync.Mutex
	direct := func(name string, serve func(tell func(method, target string, body []byte)) string) *behind {
		var seen []string
		tell := func(method, target string, body []byte) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, story(method, target, body))
		}
		return &behind{name: name, addr: serve(tell), take: func() []string {
			mu.Lock()
			defer mu.Unlock()
			defer func() { seen = nil }()
			return seen
		}}
	}
	servers := []*behind{
		proxied("nginx", func(to string) string {
			return realserver.Nginx(t, realserver.NginxOptions{Config: "merge_slashes off; location ~ . { proxy_pass http://" + to + "; proxy_http_version 1.1; proxy_set_header Connection \"\"; }"}).Addr
		}),
		proxied("HAProxy", func(to string) string {
			return realserver.HAProxy(t, realserver.HAProxyOptions{Backends: []realserver.HAProxyBackend{{Addr: to}}}).Addr
		}),
		proxied("Apache", func(to string) string {
			return realserver.Apache(t, realserver.ApacheOptions{Config: "AllowEncodedSlashes NoDecode\nMergeSlashes Off\nProxyPass / http://" + to + "/ nocanon"}).Addr
		}),
		direct("net/http", func(tell func(string, string, []byte)) string {
			return startBackend(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if body, err := io.ReadAll(r.Body); err == nil {
					tell(r.Method, r.RequestURI, body)
				}
			})).addr
		}),
		direct("fasthttp", func(tell func(string, string, []byte)) string {
			return startFast(t, func(ctx *fasthttp.RequestCtx) {
				tell(string(ctx.Method()), string(ctx.Request.Header.RequestURI()), ctx.Request.Body())
			})
		}),
	}
	servers[2].tidiesPath = true
	return servers
}

// quietFast takes fasthttp's log.
type quietFast struct{}

func (quietFast) Printf(string, ...any) {}

// startFast serves with fasthttp; the server's workers end with their connections.
func startFast(t *testing.T, h fasthttp.RequestHandler) (addr string) {
	s := &fasthttp.Server{Handler: h, Logger: quietFast{}, NoDefaultDate: true, ReadBufferSize: 4 * headLimit}
	return serveRaw(t, func(c net.Conn) { _ = s.ServeConn(c) })
}

// TestDifferential: what the balancer forwards is framed in one way by whoever may stand behind
// it. Every accepted row of the table and a few hundred random messages are sent through it, and
// what a member got of them is sent on to each server, with one more request behind it. A server
// may refuse what it does not like. It must not see a message, or a body, that is not there.
func TestDifferential(t *testing.T) {
	covers.Req(t, "LB6")
	rec := startRecorder(t, ours)
	lb := start(t, plainConfig([]Member{{Address: rec.addr}}))
	servers := startBehind(t)
	total := 0
	check := func(name string, in []byte) {
		got := throughBalancer(t, lb.addr, rec, name, in)
		if len(got) == 0 {
			return
		}
		total++
		var stream bytes.Buffer
		var want []string
		for i := range got {
			stream.Write(got[i].raw)
			want = append(want, story(got[i].method, got[i].target, got[i].body))
		}
		stream.WriteString("GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		want = append(want, story("GET", "/after", nil))
		for _, b := range servers {
			if err := b.replay(stream.Bytes(), want); err != nil {
				t.Errorf("%s: %v of %.2000q", name, err, stream.Bytes())
			}
		}
	}
	for _, r := range strictRows(t, "request") {
		check(r.file+", "+r.name, r.bytes)
	}
	const seed, variations = 20240917, 600
	gen := rand.New(rand.NewPCG(seed, seed)) // #nosec G404 -- the same messages every time
	for i := range variations {
		check(fmt.Sprintf("variation %d of seed %d", i, seed), randomMessage(gen))
	}
	if total < 250 {
		t.Errorf("only %d messages were forwarded, the comparison says too little", total)
	}
	for _, b := range servers {
		t.Logf("%s took %d of %d messages as they were meant, and refused the others", b.name, b.whole, total)
		if b.whole < total*8/10 {
			t.Errorf("%s took only %d of %d messages: is it set up right?", b.name, b.whole, total)
		}
	}
}

// throughBalancer sends bytes through the balancer and gives what the member got, refused or not.
func throughBalancer(t *testing.T, addr string, rec *recorder, name string, in []byte) []gotRequest {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(in) // a refusal may come first
	_ = c.(*net.TCPConn).CloseWrite()
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("%s: %v for %.2000q", name, err, in)
	}
	got, bad := rec.take()
	if len(bad) > 0 {
		t.Errorf("%s: the member got %v for %.2000q", name, bad, in)
	}
	return got
}

// replay sends stream on one connection and compares what the server understood with want, of
// which some may be missing.
func (b *behind) replay(stream []byte, want []string) error {
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	_, _ = c.Write(stream)
	var ne net.Error
	if _, err := io.Copy(io.Discard, c); errors.As(err, &ne) && ne.Timeout() {
		return fmt.Errorf("%s waits for more", b.name)
	}
	got := b.take()
	left := want
	for _, g := range got {
		i := slices.IndexFunc(left, func(w string) bool { return g == w || b.tidiesPath && sameButPath(g, w) })
		if i < 0 {
			return fmt.Errorf("%s understood %.500q, not %.500q", b.name, got, want)
		}
		left = left[i+1:]
	}
	if len(got) == len(want) {
		b.whole++
	}
	return nil
}

// sameButPath compares method and body where the path of want is untidy.
func sameButPath(got, want string) bool {
	g, w := strings.SplitN(got, " ", 3), strings.SplitN(want, " ", 3)
	return len(g) == 3 && g[0] == w[0] && g[2] == w[2] && (strings.Contains(w[1], "//") || strings.Contains(w[1], "/."))
}

// randomMessage is a request in which anything about the framing may be odd, and every third
// time a few bytes are.
func randomMessage(r *rand.Rand) []byte {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	var b bytes.Buffer
	method := pick("GET", "POST", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW")
	target := pick("/", "/a/b", "//x", "/%2e%2e/a", "/a?b=c&d", "http://b/c", "http://b", "/"+strings.Repeat("x", r.IntN(300)))
	fmt.Fprintf(&b, "%s %s %s\r\n", method, target, pick("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"))
	body := make([]byte, r.IntN(3)*r.IntN(200))
	for i := range body {
		body[i] = "GET / HTTP/1.1\r\n0a\x00;"[r.IntN(20)]
	}
	lines := []string{"Host: " + pick("a", "a.example:80", "[::1]", "x_y")}
	for range r.IntN(6) {
		lines = append(lines, pick("X-A: 1", "x-b:\t2 ", "Accept: */*", "Cookie: a=b; c=d", "X-Empty:", "Referer: http://x/\xe9", "User-Agent: x",
			"Connection: close", "Connection: x-a", "Connection: keep-alive, transfer-encoding", "Content-Type: text/plain", "Upgrade: h2c",
			"TE: trailers", "Expect: 100-continue", "X-Forwarded-For: 9.9.9.9", "Content-Length: 3", "Transfer-Encoding: chunked", "Content-Encoding: x"))
	}
	framing := r.IntN(5)
	switch framing {
	case 0, 1:
		lines = append(lines, pick("Content-Length: ", "content-length:", "CONTENT-LENGTH:\t")+pick("", "0", "00")+fmt.Sprint(len(body)))
	case 2, 3:
		lines = append(lines, pick("Transfer-Encoding: chunked", "transfer-encoding:Chunked", "Transfer-Encoding: chunked "))
	default:
		body = nil
	}
	r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	b.WriteString(strings.Join(lines, "\r\n") + "\r\n\r\n")
	if framing == 2 || framing == 3 {
		writeRandomChunks(r, &b, body)
	} else {
		b.Write(body)
	}
	if r.IntN(4) == 0 {
		b.WriteString(pick("", "\r\n") + "GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	out := b.Bytes()
	if r.IntN(3) == 0 {
		for range 1 + r.IntN(2) {
			at := r.IntN(len(out))
			out = slices.Replace(out, at, at+r.IntN(2), []byte(pick("", " ", "\t", "\r", "\n", "\r\n", "\x00", ":", ",", ";", "0", "5", "x", "\x0b", "\"", "\xff"))...)
		}
	}
	return out
}

func writeRandomChunks(r *rand.Rand, b *bytes.Buffer, body []byte) {
	for len(body) > 0 {
		n := 1 + r.IntN(len(body))
		fmt.Fprintf(b, []string{"%x\r\n", "%X\r\n", "0%x\r\n", "%x;a\r\n", "%x;a=b;c=\"d;\"\r\n"}[r.IntN(5)], n)
		b.Write(body[:n])
		b.WriteString("\r\n")
		body = body[n:]
	}
	b.WriteString([]string{"0\r\n\r\n", "00\r\n\r\n", "0;a=b\r\n\r\n", "0\r\nX-T: 1\r\n\r\n", "0\r\nX-T: 1\r\nX-U:\r\n\r\n"}[r.IntN(5)])
}
