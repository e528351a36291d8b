package lb

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// addRequests seeds a fuzz target with the bytes of the table and more.
func addRequests(f *testing.F, add func([]byte)) {
	for _, r := range strictRows(f, "request") {
		if len(r.bytes) < 2000 {
			add(r.bytes)
		}
	}
	for _, s := range []string{
		"GET http://u:80?x HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\nX: 1\r\nTE: trailers\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=1\r\nContent-Length: 3\r\n\r\nabc",
		"PUT /%2e/..;x HTTP/1.1\r\nHost: [::1]:8\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
	} {
		add([]byte(s))
	}
}

// FuzzHead: what the check accepts is written as a head that the check accepts again, and that
// net/http and fasthttp, where they take it, read with the same method, target, host, framing
// and fields.
func FuzzHead(f *testing.F) {
	addRequests(f, func(b []byte) {
		if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
			f.Add(b[:i+4], false)
			f.Add(b[:i+4], true)
		}
	})
	f.Fuzz(func(t *testing.T, raw []byte, trusted bool) {
		var h head
		if len(raw) > headLimit || checkRequestHead(raw, &h) != nil {
			return
		}
		in := headIn{peer: loopback, fallbackHost: "m:1", trusted: trusted}
		out := h.appendRequest(nil, &in)
		if bytes.Index(out, []byte("\r\n\r\n")) != len(out)-4 {
			t.Fatalf("%q was forwarded as more than one head: %q", raw, out)
		}
		var again head
		if bad := checkRequestHead(out, &again); bad != nil {
			t.Fatalf("%q was forwarded as %q, which is refused: %v", raw, out, bad)
		}
		framing := h.framing
		if framing == frameNone && expectsBody(h.method) {
			framing = frameLength
		}
		if again.nOptions > 1 || again.webSocket() != h.webSocket() || again.trailers != (h.trailers && !h.webSocket()) ||
			again.framing != framing || again.length != h.length || !bytes.Equal(again.method, h.method) {
			t.Fatalf("%q was forwarded as %q", raw, out)
		}
		want := readFields(again.fields)
		if req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(out))); err == nil {
			fields := []string{"host: " + req.Host}
			for name, values := range req.Header {
				for _, v := range values {
					fields = append(fields, strings.ToLower(name)+": "+v)
				}
			}
			length := req.ContentLength
			if len(req.TransferEncoding) == 1 && length == -1 {
				length, fields = 0, append(fields, "transfer-encoding: "+req.TransferEncoding[0])
			}
			compareHead(t, "net/http", out, &again, req.Method, req.RequestURI, length, fields, want)
		}
		var theirs fasthttp.RequestHeader
		theirs.DisableNormalizing()
		theirs.DisableSpecialHeader()
		if err := theirs.Read(bufio.NewReaderSize(bytes.NewReader(out), 4*headLimit)); err == nil {
			var fields []string
			length := int64(0)
			hosts := 0
			for name, value := range theirs.All() {
				if is(name, "host") {
					if hosts++; hosts == 2 && bytes.Equal(value, again.host) {
						continue // All gives the one that there is twice
					}
				}
				fields = append(fields, strings.ToLower(string(name))+": "+string(value))
				if is(name, "content-length") {
					length, _ = parseLength(value)
				}
			}
			compareHead(t, "fasthttp", out, &again, string(theirs.Method()), string(theirs.RequestURI()), length, fields, want)
		}
	})
}

func readFields(fields []byte) (out []string) {
	_ = eachField(fields, func(f field) *refusal {
		out = append(out, strings.ToLower(string(f.name))+": "+string(f.value))
		return nil
	})
	return out
}

func compareHead(t *testing.T, who string, out []byte, h *head, method, target string, length int64, fields, want []string) {
	t.Helper()
	// net/http takes Trailer out of the header, and writes the names in its own way.
	isTrailer := func(f string) bool { return strings.HasPrefix(f, "trailer: ") }
	fields, want = slices.DeleteFunc(fields, isTrailer), slices.DeleteFunc(slices.Clone(want), isTrailer)
	slices.Sort(fields)
	want = slices.Sorted(slices.Values(want))
	if method != string(h.method) || target != string(h.target) || length != h.length || !slices.Equal(fields, want) {
		t.Fatalf("%s read %q as %s %s, length %d, %q; want %q", who, out, method, target, length, fields, want)
	}
}

// FuzzStream: a stream of requests has the same verdict and the same ends however it was cut, and
// net/http and fasthttp, as long as they take it, find the same ends in it.
func FuzzStream(f *testing.F) {
	addRequests(f, func(b []byte) {
		f.Add(b, []byte{1, 5, 2})
		f.Add(append(bytes.Clone(b), sentinel...), []byte(nil))
	})
	f.Fuzz(func(t *testing.T, stream, cut []byte) {
		ends, bad := readStream(&pieces{rest: bytes.Clone(stream), size: func() int { return 1 }})
		ends2, bad2 := readStream(&pieces{rest: bytes.Clone(stream), size: func() (n int) {
			if n = len(stream); len(cut) > 0 {
				n, cut = int(cut[0]), cut[1:]
			}
			return n
		}})
		if !slices.Equal(ends, ends2) || (bad == nil) != (bad2 == nil) {
			t.Fatalf("byte by byte: %d %v, in pieces: %d %v", ends, bad, ends2, bad2)
		}
		last := 0
		if len(ends) > 0 {
			last = ends[len(ends)-1]
		}
		whole := stream[:last]
		compareEnds(t, "net/http", whole, ends, func(br *bufio.Reader) (bool, error) {
			req, err := http.ReadRequest(br)
			if err != nil {
				return false, err
			}
			_, err = io.Copy(io.Discard, req.Body)
			return false, err
		})
		compareEnds(t, "fasthttp", whole, ends, func(br *bufio.Reader) (bool, error) {
			var req fasthttp.Request
			err := req.Read(br)
			return req.MayContinue(), err // then it left the body alone
		})
	})
}

// compareEnds reads one message after the other, until read refuses one or wants to stop.
func compareEnds(t *testing.T, who string, stream []byte, ends []int, read func(*bufio.Reader) (stop bool, err error)) {
	t.Helper()
	src := bytes.NewReader(stream)
	br := bufio.NewReaderSize(src, 4*headLimit)
	for _, end := range ends {
		if stop, err := read(br); stop || err != nil {
			return
		}
		if at := len(stream) - src.Len() - br.Buffered(); at != end {
			t.Fatalf("%s ends a message of %q at %d, we at %d", who, stream, at, end)
		}
	}
}
