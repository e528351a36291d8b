package lb

import (
	"bufio"
	"bytes"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
)

// readChunks feeds c with pieces of b that cut says the sizes of (0 ends: the rest at once), and
// gives the data, how many bytes of b the body took, and the verdict.
func readChunks(c *chunks, b, cut []byte) (data []byte, used int, bad *refusal) {
	for used < len(b) && !c.ended() {
		piece := b[used:]
		if len(cut) > 0 {
			if n := int(cut[0]); n > 0 && n < len(piece) {
				piece = piece[:n]
			}
			cut = cut[1:]
		}
		// A copy of exactly this size: reading past its end would be a panic.
		piece = bytes.Clone(piece)[:len(piece):len(piece)]
		d, n, bad := c.next(piece)
		data = append(data, d...)
		used += n
		if bad != nil {
			return data, used, bad
		}
	}
	return data, used, nil
}

func TestChunks(t *testing.T) {
	const long = 3000
	tests := []struct {
		in      string
		data    string
		left    string // after the end
		trailer string
		bad     *refusal
		open    bool // not ended
	}{
		{in: "0\r\n\r\n"},
		{in: "000\r\n\r\nGET", left: "GET"},
		{in: "5\r\nhello\r\n0\r\n\r\n", data: "hello"},
		{in: "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\nx", data: "01234567890123456789", left: "x"},
		{in: "1;a\r\nx\r\n1;a=b;c=\"d;\\\"\r\n", data: "x", bad: errChunkExt},
		{in: "1;a=b;c=\"d;\\\"\"\r\nx\r\n0;e\r\n\r\n", data: "x"},
		{in: "0\r\nX-Sum: 1\r\nY:\r\n\r\n", trailer: "X-Sum: 1\r\nY:\r\n"},
		{in: "5\r\nhel", data: "hel", open: true},
		{in: "5", open: true},
		{in: "0\r\n", open: true},
		{in: "0\r\n\r", open: true},
		{in: "", open: true},
		{in: "\r\n", bad: errChunkSize},
		{in: "5 \r\n", bad: errChunkSize},
		{in: "0x5\r\n", bad: errChunkSize},
		{in: "g\r\n", bad: errChunkSize},
		{in: "-1\r\n", bad: errChunkSize},
		{in: "5\n", bad: errChunkSize},
		{in: "5\rx", bad: errChunkSize},
		{in: "fffffffffffffff\r\nx", data: "x", open: true},
		{in: "ffffffffffffffff\r\n", bad: errChunkSize},
		{in: strings.Repeat("0", 16) + "\r\n\r\n", bad: errChunkSize},
		{in: "1;\r\n", bad: errChunkExt},
		{in: "1;=b\r\n", bad: errChunkExt},
		{in: "1;a=\r\n", bad: errChunkExt},
		{in: "1;a=b=c\r\n", bad: errChunkExt},
		{in: "1;a;\r\n", bad: errChunkExt},
		{in: "1;a b\r\n", bad: errChunkExt},
		{in: "1;a=\"b\"c\r\n", bad: errChunkExt},
		{in: "1;a=\"\n\"\r\n", bad: errChunkExt},
		{in: "1;a=\"\\\n\"\r\n", bad: errChunkExt},
		{in: "1;" + strings.Repeat("a", long) + "\r\n", bad: errChunkExt},
		{in: strings.Repeat("1;"+strings.Repeat("a", 1000)+"\r\nx\r\n", 20), data: strings.Repeat("x", 8), bad: errChunkExt},
		{in: "1\r\nxx", data: "x", bad: errChunkEnd},
		{in: "1\r\nx\n", data: "x", bad: errChunkEnd},
		{in: "1\r\nx\rx", data: "x", bad: errChunkEnd},
		{in: "0\r\n\n", bad: errTrailerField},
		{in: "0\r\n\rx", bad: errTrailerField},
		{in: "0\r\n: 1\r\n", bad: errTrailerField},
		{in: "0\r\nX : 1\r\n", bad: errTrailerField},
		{in: "0\r\n X: 1\r\n", bad: errTrailerField},
		{in: "0\r\nX: 1\r\n 2\r\n", trailer: "X: 1\r\n ", bad: errTrailerField},
		{in: "0\r\nX: 1\n", bad: errTrailerField},
		{in: "0\r\nX: 1\rY", bad: errTrailerField},
		{in: "0\r\nX: \x00", bad: errTrailerField},
		{in: "0\r\nX\r\n", bad: errTrailerField},
		{in: "0\r\ncontent-LENGTH: 1\r\n", bad: errTrailerName},
		{in: "0\r\nTransfer_Encoding: chunked\r\n", bad: errTrailerName},
		{in: "0\r\nHost:\r\n", bad: errTrailerName},
		{in: "0\r\nX-Forwarded-Anything-That-Is-Longer-Than-What-Is-Kept: x\r\n", bad: errTrailerName},
		{in: "0\r\n" + strings.Repeat("y", maxTrailer+1), bad: errTrailerSize},
		{in: "0\r\n" + strings.Repeat("X: y\r\n", maxTrailer/6+1), bad: errTrailerSize},
	}
	for _, tt := range tests {
		for _, cut := range [][]byte{nil, bytes.Repeat([]byte{1}, len(tt.in)), bytes.Repeat([]byte{3}, len(tt.in))} {
			c := chunks{keep: true}
			data, used, bad := readChunks(&c, []byte(tt.in), cut)
			if string(data) != tt.data || bad != tt.bad || c.ended() == (tt.open || tt.bad != nil) {
				t.Errorf("%.80q: data %.40q, ended %v, %v", tt.in, data, c.ended(), bad)
			}
			if bad == nil && tt.in[used:] != tt.left {
				t.Errorf("%.80q: left %q", tt.in, tt.in[used:])
			}
			if bad == nil && string(c.trailer) != tt.trailer {
				t.Errorf("%.80q: trailer %q", tt.in, c.trailer)
			}
			if _, n, again := c.next([]byte("0\r\n\r\n")); bad != nil && (again != bad || n != 0) {
				t.Errorf("%.80q: a refused body went on: %v", tt.in, again)
			} else if c.ended() && bad == nil && !tt.open && n != 0 {
				t.Errorf("%.80q: an ended body went on", tt.in)
			}
		}
	}
}

func TestChunksReset(t *testing.T) {
	c := chunks{keep: true}
	if _, _, bad := readChunks(&c, []byte("0\r\nX: 1\r\n\r\n"), nil); bad != nil {
		t.Fatal(bad)
	}
	c.reset(false)
	if data, _, bad := readChunks(&c, []byte("1;a\r\nx\r\n0\r\nX: 1\r\n\r\n"), nil); bad != nil || string(data) != "x" || len(c.trailer) != 0 {
		t.Errorf("%q, %v, trailer %q", data, bad, c.trailer)
	}
}

func TestStrictAllocatesNothing(t *testing.T) {
	request := []byte("GET http://a?x HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\nTransfer-Encoding: chunked\r\n\r\n")
	answer := []byte("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n")
	body := []byte("5;a=\"b\"\r\nhello\r\n0\r\nX: 1\r\n\r\n")
	var h head
	var a answerHead
	c := chunks{keep: true, trailer: make([]byte, 0, 64)}
	for name, f := range map[string]func() bool{
		"request": func() bool { h = head{}; return checkRequestHead(request, &h) == nil },
		"answer":  func() bool { a = answerHead{}; return checkAnswerHead(answer, &a) == nil },
		"chunks": func() bool {
			c.reset(true)
			for used := 0; used < len(body); {
				_, n, bad := c.next(body[used:])
				if used += n; bad != nil {
					return false
				}
			}
			return c.ended()
		},
	} {
		if n := testing.AllocsPerRun(100, func() {
			if !f() {
				t.Error(name, "was refused")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestChunksDecode: the data of a body lies together at the front of what it came in, whatever the
// pieces, and what follows the body is left alone.
func TestChunksDecode(t *testing.T) {
	const body = "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX: 1\r\n\r\n"
	for size := 1; size <= len(body)+4; size++ {
		var c chunks
		var got []byte
		for rest := []byte(body + "next"); len(rest) > 0 && !c.ended(); {
			piece := bytes.Clone(rest[:min(size, len(rest))])
			n, used, bad := c.decode(piece)
			if bad != nil {
				t.Fatal(bad)
			}
			got = append(got, piece[:n]...)
			if rest = rest[used:]; c.ended() && string(rest) != "next" {
				t.Errorf("in pieces of %d: %q is left", size, rest)
			}
		}
		if !c.ended() || string(got) != "hello world" {
			t.Errorf("in pieces of %d: %q, ended %v", size, got, c.ended())
		}
	}
}

// FuzzChunks: the verdict, the data and the end do not depend on how the bytes are cut, nothing
// past the end is used, and where net/http's reader accepts the same body it reads the same.
func FuzzChunks(f *testing.F) {
	for _, s := range []string{
		"0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n", "5;a=b;c=\"d\"\r\nhello\r\n0\r\nX: 1\r\n\r\n",
		"1\r\nx\r\n1\r\ny\r\n00\r\nA:b\r\nC: d\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "5\nhello\n0\n\n", "2;\nxx\r\n4c\r\n",
		"fffffffffffffff\r\n", "10000000000000005\r\nhello\r\n0\r\n\r\n", "0\r\nContent-Length: 5\r\n\r\n", "1;a=\"\r\n\"\r\nx\r\n0\r\n\r\n",
	} {
		f.Add([]byte(s), []byte{1, 2, 3})
	}
	f.Fuzz(func(t *testing.T, body, cut []byte) {
		whole := chunks{keep: true}
		data, used, bad := readChunks(&whole, body, nil)
		pieces := chunks{keep: true}
		data2, used2, bad2 := readChunks(&pieces, body, cut)
		if !bytes.Equal(data, data2) || used != used2 || bad != bad2 || whole.state != pieces.state || !bytes.Equal(whole.trailer, pieces.trailer) {
			t.Fatalf("at once: %q %d %v, in pieces: %q %d %v", data, used, bad, data2, used2, bad2)
		}
		if len(whole.trailer) > maxTrailer || used > len(body) {
			t.Fatalf("read too much: %d of %d, trailer %d", used, len(body), len(whole.trailer))
		}
		if !whole.ended() {
			return
		}
		more := chunks{keep: true}
		if _, n, _ := readChunks(&more, append(bytes.Clone(body[:used]), "GET / HTTP/1.1\r\n"...), nil); n != used || !more.ended() {
			t.Fatalf("the end depends on what comes after: %d, then %d", used, n)
		}
		br := bufio.NewReader(bytes.NewReader(body))
		theirs, err := io.ReadAll(httputil.NewChunkedReader(br))
		if err != nil {
			return
		}
		if !bytes.Equal(data, theirs) {
			t.Fatalf("we read %q, net/http %q", data, theirs)
		}
		// It stops before the trailer section.
		rest, err := io.ReadAll(br)
		if err != nil || !bytes.Equal(rest, append(bytes.Clone(whole.trailer), append([]byte("\r\n"), body[used:]...)...)) {
			t.Fatalf("net/http left %q, we took %d of %q, trailer %q", rest, used, body, whole.trailer)
		}
	})
}
