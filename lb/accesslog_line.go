package lb

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// logged is what the access log tells of a request: never a field's value but Host, a query, or a
// parameter of a path, which may be a session's key.
type logged struct {
	client             *clientConn
	at                 time.Time
	id                 []byte
	method, host, path []byte
	status             int
	in, out            int64
	pool, member       []byte // as JSON
	instead            []byte // the pool whose backup pool that is, as JSON; nil: none
	ttfb, took         time.Duration
	retries            int
	picked             string
	refused            string // why, where the balancer answered itself
}

// logs says whether a request gets a line: it is one of the sample, or failed.
func (l *liveListener) logs(c *clientConn, status int, refused string) bool {
	return status == 0 || status >= 500 || refused != "" || (c.number+c.requests)%l.logSample == 0
}

// write appends the line of r to the listener's log.
func (l *liveListener) write(r *logged, line []byte) []byte {
	c := r.client
	line = append(line[:0], `{"time":"`...)
	line = r.at.UTC().AppendFormat(line, "2006-01-02T15:04:05.000000Z")
	line = append(append(line, `","listener":`...), l.jsonName...)
	line = append(line, `,"client":"`...)
	line = append(c.peer.AppendTo(line), '"')
	line = appendText(line, "id", r.id)
	line = appendText(line, "method", r.method)
	line = appendText(line, "host", r.host)
	line = appendText(line, "path", r.path[:min(len(r.path), maxLogPath)])
	line = appendInt(line, "status", int64(r.status))
	line = appendInt(line, "bytes_in", r.in)
	line = appendInt(line, "bytes_out", r.out)
	if r.member != nil {
		line = append(append(line, `,"pool":`...), r.pool...)
		line = append(append(line, `,"member":`...), r.member...)
		line = appendMillis(line, "ttfb_ms", r.ttfb)
	}
	line = appendInstead(line, r.instead)
	line = appendMillis(line, "duration_ms", r.took)
	line = appendInt(line, "retries", int64(r.retries))
	line = appendText(line, "picked", r.picked)
	line = appendText(line, "refused", r.refused)
	line = appendText(line, "tls", c.tlsVersion)
	line = append(line, "}\n"...)
	l.log.add(c.number, line)
	return line
}

// appendInstead names the pool that had nobody, where its backup pool served.
func appendInstead(line, pool []byte) []byte {
	if pool == nil {
		return line
	}
	return append(append(line, `,"instead_of":`...), pool...)
}

// appendText writes a value that is visible ASCII, of which only two bytes need an escape; an
// empty one not at all.
func appendText[T []byte | string](dst []byte, name string, value T) []byte {
	if len(value) == 0 {
		return dst
	}
	dst = append(append(append(dst, `,"`...), name...), `":"`...)
	for i := range len(value) {
		switch c := value[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c >= 0x7f: // nothing that passed the strict check
			dst = append(dst, '?')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

func appendInt(dst []byte, name string, n int64) []byte {
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	return strconv.AppendInt(dst, n, 10)
}

// appendMillis writes milliseconds with their microseconds.
func appendMillis(dst []byte, name string, d time.Duration) []byte {
	us := d.Microseconds()
	dst = append(appendInt(dst, name, us/1000), '.')
	return append(dst, byte('0'+us/100%10), byte('0'+us/10%10), byte('0'+us%10))
}

// jsonOf is a name from the configuration as it stands in lines.
func jsonOf(name string) []byte {
	b, err := json.Marshal(name)
	if err != nil {
		return []byte(`"?"`) // no string fails
	}
	return b
}

// accessLog writes the line of a request that has ended. The log is that of the table in force
// now: the one of the request's own table may be closed already.
func (ex *exchange) accessLog() {
	l := ex.listener
	if l.log == nil {
		return
	}
	if l = ex.p.live.Load().listeners[l.n]; l.log == nil || !l.logs(ex.client, ex.status, ex.refused) {
		return
	}
	took := time.Duration(ex.p.now() - ex.start)
	r := logged{client: ex.client, at: time.Now().Add(-took), took: took, id: ex.id, method: ex.head.method, host: ex.head.host, path: logPath(ex.head.target),
		status: ex.status, in: ex.body.got, out: ex.sent, ttfb: ex.ttfb, retries: ex.retries, refused: ex.refused, instead: ex.instead}
	if ex.member >= 0 {
		r.pool, r.member, r.picked = ex.pool.jsonName, ex.pool.jsonMembers[ex.member], ex.reason.How.String()
	}
	ex.line = l.write(&r, ex.line)
}

// logRefusal writes the line of what the server could not read as a request.
func (p *Proxy) logRefusal(l *liveListener, c *clientConn, status int, text string) {
	if l.log != nil {
		c.requests++
		l.write(&logged{client: c, at: time.Now(), status: status, refused: text, id: c.appendID(nil, p.idBase)}, nil)
	}
}

// waitingID begins the id of a login that waits at a broker (LG1): whoever has it has the outcome.
const waitingID = "/sw1."

// logPath is what a log may show of a target: no query, no parameters of a segment (RFC 3986
// 3.3), in which old applications carry the keys of sessions, and no id of a login that waits.
func logPath(target []byte) []byte {
	if i := bytes.IndexAny(target, "?;"); i >= 0 {
		target = target[:i]
	}
	if i := bytes.Index(target, []byte(waitingID)); i >= 0 {
		target = target[:i+len(waitingID)]
	}
	return target
}
