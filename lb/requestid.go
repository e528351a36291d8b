package lb

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
)

const (
	noRequestID = "none"
	// maxRequestID bounds an id that a trusted proxy gave.
	maxRequestID = 128
)

// newIDBase begins the ids of this process: 64 random bits, so that no two processes have a
// request with the same id.
func newIDBase() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails (crypto/rand)
	return hex.EncodeToString(b[:]) + "-"
}

// appendID writes process, connection and position of a request in its connection: unique without
// a draw or a shared counter per request, and requests of one connection are seen to be so.
func (c *clientConn) appendID(dst []byte, base string) []byte {
	dst = append(dst, base...)
	dst = strconv.AppendUint(dst, c.number, 16)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, c.requests, 16)
}

// takeID finds the request's id: a trusted proxy's is kept, everybody else gets a new one.
func (ex *exchange) takeID() {
	ex.id = ex.id[:0]
	l := ex.listener
	if l.idName == "" && l.log == nil {
		return
	}
	if ex.in.trusted && l.idName != "" {
		_ = eachField(ex.head.fields, func(f field) *refusal {
			if len(ex.id) == 0 && is(f.name, l.idLower) && isRequestID(f.value) {
				ex.id = append(ex.id, f.value...)
			}
			return nil
		})
	}
	if len(ex.id) == 0 {
		ex.id = ex.client.appendID(ex.id, ex.p.idBase)
	}
	ex.in.id, ex.in.idName, ex.in.idLower = ex.id, l.idName, l.idLower
}

// isRequestID accepts what can stand in any log and any field: visible ASCII without quotes,
// backslashes and commas.
func isRequestID(b []byte) bool {
	if len(b) == 0 || len(b) > maxRequestID {
		return false
	}
	for _, c := range b {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == ',' {
			return false
		}
	}
	return true
}
