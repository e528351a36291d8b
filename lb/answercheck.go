package lb

import (
	"bufio"
	"bytes"
	"errors"
)

var errStatusLine = errors.New("malformed status line")

// checkHead looks at the head of an answer before the parser does, as strictly as at that of a
// request: what could end an answer elsewhere for the client than for us is refused (LB6, RFC
// 9112 6.1 and 6.3). It waits for the whole head and consumes nothing.
func checkHead(br *bufio.Reader) error {
	raw, err := peekHead(br)
	if err != nil {
		return err
	}
	line, fields, _ := bytes.Cut(raw, []byte("\r\n"))
	if !bytes.HasPrefix(line, []byte("HTTP/1.")) || bytes.IndexByte(line, '\n') >= 0 {
		return errStatusLine
	}
	lengths, codings := 0, 0
	if bad := eachField(fields, func(f field) *refusal {
		switch {
		case is(f.name, "content-length"):
			lengths++
		case is(f.name, "transfer-encoding"):
			codings++
		}
		return nil
	}); bad != nil {
		return bad
	}
	old := bytes.HasPrefix(line, []byte("HTTP/1.0"))
	if lengths+codings > 1 || old && codings > 0 {
		return errFraming
	}
	return nil
}

// peekHead gives the bytes up to the first empty line, all of which the reader's buffer must hold.
func peekHead(br *bufio.Reader) ([]byte, error) {
	for looked := 0; ; {
		b, err := br.Peek(max(1, br.Buffered()))
		if err != nil {
			return nil, err
		}
		if i := bytes.Index(b[looked:], []byte("\r\n\r\n")); i >= 0 {
			return b[:looked+i+4], nil
		}
		looked = max(0, len(b)-3)
		if _, err := br.Peek(len(b) + 1); err != nil {
			return nil, err
		}
	}
}
