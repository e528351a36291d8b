package logins

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxAnswer bounds the body of an answer.
const maxAnswer = 1 << 20

// answer is an HTTP/1.1 response. Its body is good until the next one is read.
type answer struct {
	status     int
	retryAfter int // seconds; 0 where it does not say
	closing    bool
	body       []byte
}

// reader reads the answers of one connection: what a client needs of HTTP/1.1 and no more, since it
// shares its cores with what it measures.
type reader struct {
	r    *bufio.Reader
	body []byte
}

var errLongLine = errors.New("a header line that is too long")

// line reads one line without its end; it is good until the next read.
func (r *reader) line() ([]byte, error) {
	line, err := r.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, errLongLine
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

// next reads an answer, past interim ones.
func (r *reader) next() (answer, error) {
	for {
		a, err := r.one()
		if err != nil || a.status >= 200 {
			return a, err
		}
	}
}

func (r *reader) one() (answer, error) {
	var a answer
	first, err := r.line()
	if err != nil {
		return a, err
	}
	rest, ok := bytes.CutPrefix(first, []byte("HTTP/1."))
	if !ok || len(rest) < 5 {
		return a, fmt.Errorf("no answer of HTTP/1: %.40q", first)
	}
	if a.status, err = strconv.Atoi(string(rest[2:5])); err != nil {
		return a, fmt.Errorf("no answer of HTTP/1: %.40q", first)
	}
	length, chunked := -1, false
	for {
		line, err := r.line()
		if err != nil {
			return a, unexpected(err)
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 || length > maxAnswer {
				return a, fmt.Errorf("a body of %.20q bytes", value)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")):
			a.closing = bytes.EqualFold(value, []byte("close"))
		case bytes.EqualFold(name, []byte("Retry-After")):
			a.retryAfter, _ = strconv.Atoi(string(value)) // a date is of no use here
		}
	}
	switch {
	case a.status < 200 || a.status == 204 || a.status == 304:
		return a, nil
	case chunked:
		return a, r.chunks(&a)
	case length < 0:
		return a, errors.New("an answer without a length")
	}
	return a, r.take(&a, length)
}

// take appends n bytes to the body.
func (r *reader) take(a *answer, n int) error {
	had := len(a.body)
	if had == 0 {
		r.body = r.body[:0]
	}
	if had+n > maxAnswer {
		return errors.New("an answer that is too long")
	}
	r.body = append(r.body, make([]byte, n)...)
	_, err := io.ReadFull(r.r, r.body[had:])
	a.body = r.body
	return unexpected(err)
}

func (r *reader) chunks(a *answer) error {
	for {
		line, err := r.line()
		if err != nil {
			return unexpected(err)
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(bytes.TrimSpace(size)), 16, 31)
		if err != nil {
			return fmt.Errorf("a chunk of %.20q bytes", size)
		}
		if n == 0 {
			return r.trailers()
		}
		if err := r.take(a, int(n)); err != nil {
			return err
		}
		if end, err := r.line(); err != nil || len(end) != 0 {
			return errors.Join(errors.New("a chunk that does not end where it should"), err)
		}
	}
}

// trailers reads them to the empty line at the end.
func (r *reader) trailers() error {
	for {
		if line, err := r.line(); err != nil || len(line) == 0 {
			return unexpected(err)
		}
	}
}

// unexpected turns the end of the stream into an error: it came in the middle of an answer.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
