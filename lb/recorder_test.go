package lb

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// gotRequest is a request as a member got it: read by the plain rules, without any of our code.
type gotRequest struct {
	method, target string
	header         []string // lines
	framed         bool
	body           []byte
	raw            []byte
}

// recorder is a member that keeps what it gets and answers "ok".
type recorder struct {
	addr string
	mu   sync.Mutex
	got  []gotRequest
	bad  []string // bytes that are no request
}

func startRecorder(t testing.TB, w writer) *recorder {
	t.Helper()
	r := &recorder{}
	r.addr = serveRaw(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		for {
			req, err := readPlain(br, w)
			if err != nil && len(req.raw) == 0 {
				return // closed or reset between requests
			}
			r.mu.Lock()
			if err != nil {
				r.bad = append(r.bad, fmt.Sprintf("%v in %q", err, req.raw))
			} else if !strings.Contains(req.target, "is_alive") { // what probes of other servers ask
				r.got = append(r.got, req)
			}
			r.mu.Unlock()
			answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
			if req.method == http.MethodHead {
				answer = answer[:len(answer)-2]
			}
			if err != nil {
				return
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	})
	return r
}

// take gives what came since the last call.
func (r *recorder) take() (got []gotRequest, bad []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	got, bad = r.got, r.bad
	r.got, r.bad = nil, nil
	return got, bad
}

// serveRaw gives every connection to serve, until the test ends.
func serveRaw(t testing.TB, serve func(net.Conn)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := make(map[net.Conn]bool)
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			wg.Go(func() {
				serve(c)
				_ = c.Close()
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return ln.Addr().String()
}

// writer is who wrote a request: ours must be beyond doubt, others may use HTTP/1.0 and leave
// blanks at the end of a line.
type writer int

const (
	ours writer = iota
	others
)

// readPlain reads a request: CRLF lines, one Host, one framing.
func readPlain(br *bufio.Reader, w writer) (req gotRequest, err error) {
	var raw bytes.Buffer
	defer func() { req.raw = raw.Bytes() }()
	line := func() string {
		s, e := br.ReadString('\n')
		raw.WriteString(s)
		if e != nil && err == nil {
			if err = e; len(s) > 0 {
				err = io.ErrUnexpectedEOF
			}
		}
		text, ok := strings.CutSuffix(s, "\r\n")
		if err == nil && (!ok || strings.ContainsAny(text, "\r\n\x00")) {
			err = fmt.Errorf("bad line %q", s)
		}
		return text
	}
	data := func(n int64) []byte {
		b := make([]byte, n)
		m, e := io.ReadFull(br, b)
		raw.Write(b[:m])
		if e != nil && err == nil {
			err = io.ErrUnexpectedEOF
		}
		return b
	}
	parts := strings.Split(line(), " ")
	if err != nil {
		return req, err
	}
	if len(parts) != 3 || parts[2] != "HTTP/1.1" && (w == ours || parts[2] != "HTTP/1.0") || parts[0] == "" || parts[1] == "" {
		return req, fmt.Errorf("bad request line %q", parts)
	}
	req.method, req.target = parts[0], parts[1]
	hosts, length, chunked := 0, int64(-1), false
	for {
		l := line()
		if err != nil || l == "" {
			break
		}
		req.header = append(req.header, l)
		name, value, ok := strings.Cut(l, ": ")
		switch {
		case !ok || strings.ContainsAny(name, " \t") || w == ours && strings.TrimSpace(value) != value:
			return req, fmt.Errorf("bad header line %q", l)
		case strings.EqualFold(name, "host"):
			hosts++
		case strings.EqualFold(name, "content-length") && length < 0 && !chunked:
			if length, err = strconv.ParseInt(value, 10, 64); err != nil || length < 0 {
				return req, fmt.Errorf("bad length %q", value)
			}
		case strings.EqualFold(name, "transfer-encoding") && length < 0 && !chunked && value == "chunked":
			chunked = true
		case strings.EqualFold(name, "content-length"), strings.EqualFold(name, "transfer-encoding"):
			return req, fmt.Errorf("two framings, %q", l)
		}
	}
	if err == nil && hosts != 1 && parts[2] == "HTTP/1.1" {
		err = fmt.Errorf("%d hosts", hosts)
	}
	if err != nil {
		return req, err
	}
	req.framed = chunked || length >= 0
	if length > 0 {
		req.body = data(length)
	}
	for chunked && err == nil {
		n, e := strconv.ParseUint(line(), 16, 31)
		if err == nil && e != nil {
			return req, e
		}
		if n == 0 {
			for err == nil && line() != "" {
				continue
			}
			break
		}
		req.body = append(req.body, data(int64(n))...)
		if s := line(); err == nil && s != "" {
			return req, fmt.Errorf("%q after a chunk", s)
		}
	}
	return req, err
}

// give compares a request with a verdict like `POST /x "abc"`.
func (g *gotRequest) give(verdict string) error {
	parts := strings.SplitN(verdict, " ", 3)
	if len(parts) != 3 {
		return fmt.Errorf("the verdict %q is no request", verdict)
	}
	target, _, err := unescapeRow(parts[1])
	if err != nil {
		return err
	}
	if g.method != parts[0] || g.target != string(target) {
		return fmt.Errorf("the member got %s %.200s", g.method, g.target)
	}
	var want []byte
	if parts[2] != "none" {
		s, err := strconv.Unquote(parts[2])
		if err != nil {
			return fmt.Errorf("body of the verdict %q: %w", verdict, err)
		}
		want = []byte(s)
	}
	if !bytes.Equal(g.body, want) || g.framed != (parts[2] != "none") {
		return fmt.Errorf("the member got the body %.200q, framed %v", g.body, g.framed)
	}
	return nil
}
