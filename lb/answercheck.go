package lb

import (
	"bufio"
	"bytes"
	"io"
)

// checkHead looks at the head of an answer before the parser does. It waits for the whole head
// and consumes nothing.
func checkHead(br *bufio.Reader, a *answerHead) error {
	raw, err := peekHead(br)
	if err != nil {
		return err
	}
	if bad := checkAnswerHead(raw, a); bad != nil {
		return bad
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

// chunkReader gives the data of a chunked body and io.EOF after its last trailer line, where br
// then stands. A body that ends early is io.ErrUnexpectedEOF, a malformed one a *refusal.
type chunkReader struct {
	br *bufio.Reader
	chunks
}

func (r *chunkReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for !r.ended() {
		b, err := r.br.Peek(max(1, min(len(p), r.br.Buffered())))
		if len(b) == 0 {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		data, used, bad := r.next(b)
		if bad != nil {
			return 0, bad
		}
		n := copy(p, data)
		if _, err := r.br.Discard(used); err != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, io.EOF
}
