package healthcheck

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"switchpoint/healthcheck/isalive"
)

// Bounds of one answer.
const (
	headerLimit = 32 << 10
	bodyLimit   = 64 << 10 // HK1
)

// response is what was read of an HTTP/1 answer, also when reading it failed half-way.
type response struct {
	status int
	body   []byte
	whole  bool // the body ended before the limit
	ended  bool // nothing of the answer is left on the connection
	close  bool // the target ends the connection after the answer
	load   Load
	length int64 // Content-Length, -1 without one
	chunks bool
	old    bool // HTTP/1.0
	kept   int  // header bytes so far
}

// errFault is an answer that breaks HTTP; its text is a reason.
type errFault string

func (e errFault) Error() string { return string(e) }

// readHead reads the status line and the header block. Interim answers (1xx, RFC 9110 15.2)
// are skipped; all of them share one limit.
func (r *response) readHead(br *bufio.Reader) error {
	for {
		if err := r.readStatus(br); err != nil {
			return err
		}
		r.load, r.length, r.chunks, r.close = noLoad, -1, false, false
		if err := r.readHeaders(br); err != nil {
			return err
		}
		if r.status < 100 || r.status >= 200 {
			return nil
		}
	}
}

func (r *response) readStatus(br *bufio.Reader) error {
	line, err := r.line(br)
	if err != nil && len(line) == 0 {
		return err
	}
	// "HTTP/1.1 200 OK"; the phrase may be missing.
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		if err != nil && bytes.HasPrefix([]byte("HTTP/1."), line[:min(len(line), 7)]) {
			return err // cut off inside the status line
		}
		r.body = append(r.body[:0], line...)
		return errFault("not HTTP: the answer begins with " + show(line))
	}
	code, convErr := strconv.Atoi(string(line[9:12]))
	if convErr != nil || code < 100 {
		return errFault("not HTTP: the status line is " + show(line))
	}
	r.status, r.old = code, line[7] == '0'
	return err
}

func (r *response) readHeaders(br *bufio.Reader) error {
	for {
		line, err := r.line(br)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return errFault("not HTTP: a header line is " + show(line))
		}
		if err := r.header(name, bytes.TrimSpace(value)); err != nil {
			return err
		}
	}
}

func (r *response) header(name, value []byte) error {
	is := func(want string) bool { return len(name) == len(want) && strings.EqualFold(string(name), want) }
	switch {
	case is("Content-Length"):
		n, err := strconv.ParseUint(string(value), 10, 63)
		if err != nil || r.length >= 0 && r.length != int64(n) {
			return errFault("bad Content-Length " + show(value))
		}
		r.length = int64(n)
	case is("Transfer-Encoding"):
		if r.old || !strings.EqualFold(string(value), "chunked") { // RFC 9112 6.1: HTTP/1.0 has none
			return errFault("the body has the transfer encoding " + show(value) + ", which cannot be read here")
		}
		r.chunks = true
	case is("Connection"):
		r.close = r.close || bytes.Contains(bytes.ToLower(value), []byte("close"))
	case is(isalive.HeaderMode):
		r.load.Mode = isalive.CleanMode(string(value))
	case is(isalive.HeaderActive):
		r.load.Active = isalive.Count(string(value))
	case is(isalive.HeaderCapacity):
		r.load.Capacity = isalive.Count(string(value))
	}
	return nil
}

// line reads one line without its end. A line longer than the reader's buffer is given by its
// beginning only: no header that matters is that long. The slice is valid until the next read.
func (r *response) line(br *bufio.Reader) ([]byte, error) {
	line, err := br.ReadSlice('\n')
	r.kept += len(line)
	if errors.Is(err, bufio.ErrBufferFull) {
		line = bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) && r.kept <= headerLimit {
			var rest []byte
			rest, err = br.ReadSlice('\n')
			r.kept += len(rest)
		}
	}
	if r.kept > headerLimit {
		return nil, errFault(fmt.Sprintf("header larger than %d KB", headerLimit>>10))
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), err
}

// readBody reads the body up to bodyLimit into r.body, by its framing (RFC 9112 6.3).
func (r *response) readBody(br *bufio.Reader) error {
	r.body = r.body[:0]
	switch {
	case r.status == 204 || r.status == 304:
		r.whole, r.ended = true, true
		return nil
	case r.chunks:
		return r.readChunks(br)
	case r.length >= 0:
		want := int(min(r.length, bodyLimit))
		if err := r.fill(br, want); err != nil {
			if errors.Is(err, io.EOF) {
				return errFault(fmt.Sprintf("connection closed in the body after %d of %d bytes", len(r.body), r.length))
			}
			return err
		}
		r.whole = r.length <= bodyLimit
		r.ended = r.whole
		return nil
	}
	err := r.fill(br, bodyLimit)
	if errors.Is(err, io.EOF) {
		r.whole = true
		return nil
	}
	return err
}

// fill appends n bytes to the body; io.EOF when the connection ends before.
func (r *response) fill(br *bufio.Reader, n int) error {
	for n > 0 {
		if br.Buffered() == 0 {
			if _, err := br.Peek(1); err != nil {
				return err
			}
		}
		part, err := br.Peek(min(n, br.Buffered()))
		if err != nil {
			return err
		}
		r.body = append(r.body, part...)
		n -= len(part)
		if _, err := br.Discard(len(part)); err != nil {
			return err
		}
	}
	return nil
}

// readChunks reads a chunked body (RFC 9112 7.1); the trailer is not needed.
func (r *response) readChunks(br *bufio.Reader) error {
	cutOff := func(err error) error {
		if errors.Is(err, io.EOF) {
			return errFault(fmt.Sprintf("connection closed in the body after %d bytes", len(r.body)))
		}
		return err
	}
	for {
		line, err := br.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return errFault("bad chunk in the body: the size line does not end")
		}
		if err != nil {
			return cutOff(err)
		}
		text, _, _ := bytes.Cut(bytes.TrimSpace(line), []byte(";"))
		size, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 16, 31)
		if err != nil {
			return errFault("bad chunk in the body: the size is " + show(text))
		}
		if size == 0 {
			r.whole = true
			if rest, err := br.Peek(min(2, br.Buffered())); err == nil && string(rest) == "\r\n" {
				_, err = br.Discard(2) // without a trailer, as nearly always
				r.ended = err == nil
			}
			return nil
		}
		want := min(int(size), bodyLimit-len(r.body))
		if err := r.fill(br, want); err != nil {
			return cutOff(err)
		}
		if len(r.body) >= bodyLimit {
			return nil
		}
		end, err := br.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return cutOff(err)
		}
		if len(bytes.TrimSpace(end)) > 0 {
			return errFault("bad chunk in the body: it is longer than its size")
		}
	}
}
