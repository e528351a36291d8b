package lb

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

// sentinel is sent after every row. It must never be read as part of the row.
const sentinel = "GET /sentinel HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

// answersTo reads the answers on c up to its end and gives their status codes.
func answersTo(c io.Reader, methods []string) (codes []int, err error) {
	br := bufio.NewReader(c)
	for n := 0; ; {
		if _, err := br.Peek(1); err != nil {
			if errors.Is(err, io.EOF) {
				return codes, nil
			}
			return codes, err
		}
		method := http.MethodGet
		if n < len(methods) {
			method = methods[n]
		}
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			return codes, err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil {
			return codes, err
		}
		codes = append(codes, resp.StatusCode)
		if resp.StatusCode >= 200 {
			n++
		}
	}
}

// TestStrictRequests sends every row through a listener and looks at both sides.
func TestStrictRequests(t *testing.T) {
	covers.Req(t, "LB6")
	rec := startRecorder(t, ours)
	lb := start(t, plainConfig([]Member{{Address: rec.addr}}))
	rows := strictRows(t, "request")
	for i := range rows {
		r := &rows[i]
		t.Run(r.file+"/"+r.name, func(t *testing.T) { checkStrictRequest(t, lb.addr, rec, r) })
	}
}

func checkStrictRequest(t *testing.T, addr string, rec *recorder, r *strictRow) {
	var methods []string
	var want []int
	forwarded := 0
	for _, g := range r.gives {
		if code, err := strconv.Atoi(g); err == nil {
			want = append(want, code)
			methods = append(methods, http.MethodGet)
			continue
		}
		forwarded++
		want = append(want, 200)
		methods = append(methods, strings.SplitN(g, " ", 2)[0])
	}
	goesOn := forwarded == len(r.gives) && !r.last && !r.closes
	if goesOn {
		want = append(want, 200)
	}
	codes, err := exchangeRow(t, addr, r, methods)
	if err != nil {
		t.Errorf("%s: %v after %v", r.where(), err, codes)
	}
	if r.closes && len(codes) == forwarded && forwarded < len(want) {
		want = want[:forwarded]
	}
	if fmt.Sprint(codes) != fmt.Sprint(want) {
		t.Errorf("%s: the client got %v, want %v", r.where(), codes, want)
	}
	got, bad := rec.take()
	if len(bad) > 0 {
		t.Errorf("%s: the member got %v", r.where(), bad)
	}
	if goesOn {
		if n := len(got); n == 0 || got[n-1].target != "/sentinel" {
			t.Errorf("%s: the next request did not reach the member", r.where())
		} else {
			got = got[:n-1]
		}
	}
	if len(got) != forwarded {
		t.Fatalf("%s: the member got %d requests, want %d", r.where(), len(got), forwarded)
	}
	for i := range got {
		if err := got[i].give(r.gives[i]); err != nil {
			t.Errorf("%s: %v, want %.200s", r.where(), err, r.gives[i])
		}
	}
	if len(got) > 0 {
		checkLines(t, r, got[len(got)-1].header)
	}
}

// exchangeRow sends a row and what follows it, and reads until the balancer closes.
func exchangeRow(t *testing.T, addr string, r *strictRow, methods []string) ([]int, error) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	out := r.bytes
	if !r.closes {
		out = append(bytes.Clone(out), sentinel...)
	}
	if _, err := c.Write(out); err != nil {
		t.Logf("%s: write: %v", r.where(), err) // the answer decides
	}
	if r.closes {
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
	}
	codes, err := answersTo(c, methods)
	if r.noInterim {
		return codes, err
	}
	final := codes[:0]
	for _, code := range codes {
		if code != http.StatusContinue {
			final = append(final, code)
		}
	}
	return final, err
}

// checkLines looks for the header lines that a row names.
func checkLines(t *testing.T, r *strictRow, lines []string) {
	t.Helper()
	for _, want := range r.has {
		found := 0
		for _, l := range lines {
			if l == strings.TrimRight(want, " ") || l == want {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%s: %q is there %d times in %q", r.where(), want, found, lines)
		}
	}
	for _, name := range r.not {
		for _, l := range lines {
			if got, _, _ := strings.Cut(l, ":"); strings.EqualFold(got, name) {
				t.Errorf("%s: %q is left", r.where(), l)
			}
		}
	}
}

// TestStrictFragments: the verdict on a request does not depend on how its bytes arrive.
func TestStrictFragments(t *testing.T) {
	rows := strictRows(t, "request")
	for i := range rows {
		r := &rows[i]
		whole := verdict(r.bytes, len(r.bytes))
		for _, size := range []int{1, 2, 3, 7} {
			if len(r.bytes) > 5000 && size < 7 {
				continue
			}
			if got := verdict(r.bytes, size); got != whole {
				t.Errorf("%s: in pieces of %d: %q, at once: %q", r.where(), size, got, whole)
			}
		}
	}
}

// verdict reads requests from pieces and tells how that ends.
func verdict(b []byte, size int) string {
	ends, bad := readStream(&pieces{rest: b, size: func() int { return size }})
	if bad != nil {
		return bad.text
	}
	return fmt.Sprint("ends ", ends)
}

// pieces is a connection that gives its bytes in pieces.
type pieces struct {
	net.Conn
	rest []byte
	size func() int
}

// Read gives the next piece.
func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:max(1, min(p.size(), len(b)))], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// readStream reads one request after the other as the proxy does, and gives the positions at which
// they end.
func readStream(conn *pieces) (ends []int, bad *refusal) {
	p := &Proxy{base: time.Now()}
	c := &clientConn{wire: wire{Conn: conn, pool: &p.buffers}, headerLimit: headLimit}
	defer c.free()
	total := len(conn.rest)
	for {
		var h head
		n, err := c.readHead(p, &h)
		if err != nil {
			return ends, asRefusal(err)
		}
		c.skip(n)
		var b requestBody
		for b.begin(&h); !b.ended(); {
			if len(c.data()) == 0 && c.fill(smallBuffer, headBuffer, b.most()) != nil {
				return ends, nil
			}
			_, used, bad := b.decode(c.data())
			if bad != nil {
				return ends, bad
			}
			c.skip(used)
		}
		ends = append(ends, total-len(conn.rest)-len(c.data()))
	}
}
