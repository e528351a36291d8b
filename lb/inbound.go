package lb

import "bytes"

// readHead waits for the head of the next request and judges it by its raw bytes. Nothing of a
// request is looked at otherwise, and nothing is passed on before the whole head was judged. The
// parts in h lie in the wire's buffer, where the head is not skipped yet; n is its length. The
// error is a *refusal, or what ended the connection.
//
//	[ empty line ] -> head -> judged        any fault -> refused, and the connection ends
func (c *clientConn) readHead(p *Proxy, h *head) (n int, err error) {
	skipped, timed := false, false
	for looked := 0; ; {
		b := c.data()
		if looked == 0 && len(b) > 0 {
			used, bad := emptyLine(b, &skipped)
			if bad != nil {
				return 0, bad
			}
			if used > 0 {
				c.skip(used)
				continue
			}
		}
		n, bad := findHead(b, looked, c.headerLimit)
		if bad == nil && n > 0 {
			bad = checkRequestHead(b[:n], h)
		}
		if bad != nil {
			return 0, bad
		}
		if n > 0 {
			return n, nil
		}
		if !timed { // from the first byte on: one limit for all of the head
			timed = true
			c.until(p.now() + int64(p.limits.read))
		}
		if looked = len(b); looked == 1 && b[0] == '\r' {
			looked = 0 // it may be an empty line
		}
		if err := c.fill(smallBuffer, classFor(c.headerLimit), 0); err != nil {
			return 0, err
		}
	}
}

// emptyLine measures the one empty line that may precede a request (RFC 9112 2.2).
func emptyLine(b []byte, skipped *bool) (used int, bad *refusal) {
	switch {
	case b[0] == '\n', b[0] == '\r' && *skipped, b[0] == '\r' && len(b) > 1 && b[1] != '\n':
		return 0, errBareLF
	case b[0] == '\r' && len(b) > 1:
		*skipped = true
		return 2, nil
	}
	return 0, nil
}

// findHead gives the length of the head that b begins with, 0 while it is not whole. looked is
// how much of b was searched before.
func findHead(b []byte, looked, limit int) (n int, bad *refusal) {
	from := max(0, looked-3)
	if i := bytes.Index(b[from:], []byte("\r\n\r\n")); i >= 0 {
		n = from + i + 4
	}
	switch {
	case n > limit, n == 0 && len(b) >= limit:
		return 0, errHeadSize
	case n == 0 && hasBareLF(b, looked):
		return 0, errBareLF
	}
	return n, nil
}

// hasBareLF looks at the bytes from had on. A head that uses bare LF might never end here.
func hasBareLF(b []byte, had int) bool {
	for i := had; i < len(b); i++ {
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			return false
		}
		if i += j; i == 0 || b[i-1] != '\r' {
			return true
		}
	}
	return false
}
