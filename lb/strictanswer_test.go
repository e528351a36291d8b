package lb

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

// actor is a member that answers /row with the bytes of the row that is its turn and everything
// else with "next".
type actor struct {
	addr string
	mu   sync.Mutex
	row  *strictRow
	conn map[string]int // target -> number of the connection that it came on
}

func startActor(t testing.TB) *actor {
	t.Helper()
	a := &actor{conn: make(map[string]int)}
	count := 0
	a.addr = serveRaw(t, func(c net.Conn) {
		a.mu.Lock()
		count++
		n := count
		a.mu.Unlock()
		br := bufio.NewReader(c)
		for {
			req, err := readPlain(br, ours)
			if err != nil {
				return
			}
			a.mu.Lock()
			row := a.row
			a.conn[req.target] = n
			a.mu.Unlock()
			answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")
			ends := false
			if req.target == "/row" {
				answer, ends = row.bytes, row.closes
			}
			if _, err := c.Write(answer); err != nil || ends {
				return
			}
		}
	})
	return a
}

// TestStrictAnswers has a member give every row as an answer, and then an ordinary one.
func TestStrictAnswers(t *testing.T) {
	covers.Req(t, "LB6")
	a := startActor(t)
	lb := start(t, plainConfig([]Member{{Address: a.addr}}))
	rows := strictRows(t, "answer")
	for i := range rows {
		r := &rows[i]
		t.Run(r.file+"/"+r.name, func(t *testing.T) {
			a.mu.Lock()
			a.row = r
			a.mu.Unlock()
			checkStrictAnswer(t, lb.addr, r)
			a.mu.Lock()
			defer a.mu.Unlock()
			if reused := a.conn["/row"] == a.conn["/next"]; r.reuse == "yes" && !reused || r.reuse == "no" && reused {
				t.Errorf("%s: the connection to the member was used again: %v, want %s", r.where(), reused, r.reuse)
			}
		})
	}
}

func checkStrictAnswer(t *testing.T, addr string, r *strictRow) {
	method, version := http.MethodGet, "HTTP/1.1"
	if r.ask != "" {
		method, version, _ = strings.Cut(r.ask, " / ")
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { c.Close() }()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(c)
	got := ask(c, br, method, "/row", version)
	if err := got.give(r.gives[0]); err != nil {
		t.Errorf("%s: %v, want %s", r.where(), err, r.gives[0])
	}
	checkLines(t, r, got.header)
	// The next answer is the next one, on this connection where it goes on, and on another.
	if got.err == nil && !got.close {
		if next := ask(c, br, http.MethodGet, "/next", "HTTP/1.1"); next.err != nil || next.body != "next" {
			t.Errorf("%s: the next answer was %+v", r.where(), next)
		}
		return
	}
	if b, _ := io.ReadAll(br); len(b) > 0 {
		t.Errorf("%s: %.200q came after the answer", r.where(), b)
	}
	other, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if next := ask(other, bufio.NewReader(other), http.MethodGet, "/next", "HTTP/1.1"); next.err != nil || next.body != "next" {
		t.Errorf("%s: the next answer was %+v", r.where(), next)
	}
}

// gotAnswer is what a client got, interim answers left out.
type gotAnswer struct {
	status int
	header []string // lines
	body   string
	close  bool
	err    error // not a whole answer
}

func ask(c net.Conn, br *bufio.Reader, method, target, version string) (got gotAnswer) {
	length := ""
	if method == http.MethodPost {
		length = "Content-Length: 0\r\n"
	}
	if _, got.err = fmt.Fprintf(c, "%s %s %s\r\nHost: a\r\n%s\r\n", method, target, version, length); got.err != nil {
		return got
	}
	for got.status < 200 && got.err == nil {
		got = readAnswerHead(br)
	}
	if got.err == nil {
		got.readBody(br, method, version)
	}
	return got
}

func readAnswerHead(br *bufio.Reader) (got gotAnswer) {
	for {
		line, err := br.ReadString('\n')
		text, ok := strings.CutSuffix(line, "\r\n")
		switch {
		case err != nil || !ok:
			got.err = fmt.Errorf("head breaks off in %q: %v", line, err)
			return got
		case text == "":
			return got
		case got.status == 0:
			parts := strings.SplitN(text, " ", 3)
			if len(parts) < 2 || parts[0] != "HTTP/1.1" {
				got.err = fmt.Errorf("status line %q", text)
				return got
			}
			got.status, got.err = strconv.Atoi(parts[1])
		default:
			got.header = append(got.header, text)
		}
	}
}

// readBody reads as a client does that trusts nobody: framed once, or to the end.
func (got *gotAnswer) readBody(br *bufio.Reader, method, version string) {
	length, framings, chunked := int64(-1), 0, false
	got.close = version == "HTTP/1.0"
	for _, line := range got.header {
		name, value, _ := strings.Cut(line, ": ")
		switch strings.ToLower(name) {
		case "content-length":
			framings++
			if length, got.err = strconv.ParseInt(value, 10, 64); got.err != nil {
				return
			}
		case "transfer-encoding":
			framings++
			chunked = true
		case "connection":
			got.close = value == "close"
		}
	}
	var body []byte
	switch {
	case framings > 1:
		got.err = fmt.Errorf("two framings: %q", got.header)
	case method == http.MethodHead || got.status == http.StatusNoContent || got.status == http.StatusNotModified:
	case chunked:
		if body, got.err = io.ReadAll(httputil.NewChunkedReader(br)); got.err != nil {
			return
		}
		for line := "x"; line != "\r\n" && got.err == nil; {
			line, got.err = br.ReadString('\n')
		}
	case length >= 0:
		body = make([]byte, length)
		_, got.err = io.ReadFull(br, body)
	default:
		got.close = true
		body, got.err = io.ReadAll(br)
	}
	got.body = string(body)
}

// give compares an answer with a verdict like `200 "abc"`, 502 or broken.
func (got *gotAnswer) give(verdict string) error {
	code, body, hasBody := strings.Cut(verdict, " ")
	want, _ := strconv.Atoi(code)
	switch {
	case verdict == "broken" && (got.err != nil || got.status == http.StatusBadGateway):
		return nil
	case got.err != nil:
		return fmt.Errorf("no whole answer: %w", got.err)
	case got.status != want:
		return fmt.Errorf("status %d, %.200q", got.status, got.body)
	case hasBody:
		if text, err := strconv.Unquote(body); err != nil || got.body != text {
			return fmt.Errorf("body %.200q", got.body)
		}
	}
	return nil
}

// TestLateExtraData: what a member sends after its answer, on a connection that nobody waits on,
// is not the answer to the next request.
func TestLateExtraData(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
	poison, sent := make(chan struct{}), make(chan struct{})
	var once sync.Once
	addr := serveRaw(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		for {
			if _, err := readPlain(br, ours); err != nil {
				return
			}
			if _, err := io.WriteString(c, answer+"honest"); err != nil {
				return
			}
			once.Do(func() {
				<-poison
				_, _ = io.WriteString(c, answer+"poison")
				close(sent)
			})
		}
	})
	r := start(t, plainConfig([]Member{{Address: addr}}))
	for i := range 3 {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := ask(c, bufio.NewReader(c), http.MethodGet, "/", "HTTP/1.1"); got.err != nil || got.body != "honest" {
			t.Errorf("request %d: %+v", i, got)
		}
		c.Close()
		if i == 0 {
			eventually(t, "the connection is idle", func() bool {
				u := r.live.Load().pools[0].ups[0]
				u.mu.Lock()
				defer u.mu.Unlock()
				return len(u.idle) == 1
			})
			close(poison)
			<-sent
		}
	}
}
