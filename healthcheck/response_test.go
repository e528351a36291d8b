package healthcheck

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
	"testing/iotest"
)

func read(b []byte, trickle bool) (response, error) {
	var src io.Reader = bytes.NewReader(b)
	if trickle {
		src = iotest.OneByteReader(src)
	}
	br := bufio.NewReaderSize(src, 4096)
	res := response{length: -1}
	if err := res.readHead(br); err != nil {
		return res, err
	}
	return res, res.readBody(br)
}

// FuzzResponse holds the reader of answers to its bounds, to the same result however the bytes
// arrive, and to the body that net/http reads where both accept the answer.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX-Broker-Active: 1\r\n\r\nCB_IS_OKAY",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nCB_IS\r\n5\r\n_OKAY\r\n0\r\n\r\n",
		"HTTP/1.0 200 \nTrAnsfer-EnCoding: Chunked\n\n000\n00000", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"HTTP/1.0 503\r\n\r\nbusy", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n", "SSH-2.0\r\n", "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, err := read(b, false)
		slow, slowErr := read(b, true)
		if (err == nil) != (slowErr == nil) || whole.status != slow.status || !bytes.Equal(whole.body, slow.body) || whole.load != slow.load {
			t.Fatalf("%q: at once %+v (%v), byte by byte %+v (%v)", b, whole, err, slow, slowErr)
		}
		if len(whole.body) > bodyLimit || whole.load.Active < -1 || whole.load.Capacity < -1 {
			t.Fatalf("out of bounds: %d bytes, %+v", len(whole.body), whole.load)
		}
		if err != nil || !whole.whole {
			return
		}
		std, stdErr := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
		if stdErr != nil || std.StatusCode != whole.status {
			return // net/http is stricter, or shows an interim answer
		}
		defer std.Body.Close()
		body, stdErr := io.ReadAll(std.Body)
		if stdErr == nil && !bytes.Equal(body, whole.body) {
			t.Fatalf("%q: body %q, net/http reads %q", b, whole.body, body)
		}
	})
}
