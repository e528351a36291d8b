package lb

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
)

const (
	// logShards keeps requests of different connections from waiting for each other.
	logShards = 8
	// maxLogShard bounds the lines that wait for the disk in one shard, in bytes: above that they
	// are lost and counted, because no request ever waits for the disk.
	maxLogShard = 256 << 10
	// wakeLogShard is when they are written before their second is over.
	wakeLogShard = 64 << 10
	// logFlush is how long a line may stay in memory.
	logFlush = time.Second
	// maxLogPath bounds what is logged of a path.
	maxLogPath = 1024
)

// Why a line is not in the file.
const (
	lostBusy  = "busy"  // the disk is slower than the requests
	lostWrite = "write" // the file cannot be written
)

// accessLog is the lines for one file on their way there. Requests append whole lines to a shard
// and go on; one goroutine (Proxy.writeLogs) owns the file. It outlives tables that name its file.
type accessLog struct {
	shards [logShards]logShard
	wake   chan<- struct{}
	busy   prometheus.Counter
	// What follows is the writing goroutine's only.
	file    logFile
	unnamed bool // by any listener, at the last look
}

type logShard struct {
	mu    sync.Mutex
	buf   []byte
	lines int
	_     [64]byte // a cache line of its own for each mutex
}

// add takes a whole line. It never blocks on the disk.
func (l *accessLog) add(shard uint64, line []byte) {
	s := &l.shards[shard%logShards]
	s.mu.Lock()
	had, full := len(s.buf), len(s.buf)+len(line) > maxLogShard
	if !full {
		s.buf = append(s.buf, line...)
		s.lines++
	}
	s.mu.Unlock()
	if full {
		l.busy.Inc()
	}
	if had < wakeLogShard && had+len(line) >= wakeLogShard {
		select {
		case l.wake <- struct{}{}:
		default: // it is awake already
		}
	}
}

// flush writes what waits in all shards. spare is a buffer to exchange for theirs.
func (l *accessLog) flush(spare []byte) []byte {
	l.file.reopen()
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		buf, lines := s.buf, s.lines
		s.buf, s.lines = spare[:0], 0
		s.mu.Unlock()
		l.file.write(buf, lines)
		spare = buf
	}
	return spare
}

// writeLogs writes the access logs of all listeners until ctx ends, and then what is left. Files
// that no listener names any more are closed.
func (p *Proxy) writeLogs(ctx context.Context) {
	tick := time.NewTicker(logFlush)
	defer tick.Stop()
	var spare []byte
	for {
		select {
		case <-tick.C:
		case <-p.logWake:
		case <-ctx.Done():
			for _, l := range p.openLogs() {
				spare = l.flush(spare)
				l.file.close()
			}
			return
		}
		for _, l := range p.openLogs() {
			spare = l.flush(spare)
		}
		for _, l := range p.closedLogs() {
			l.file.close()
		}
	}
}

func (p *Proxy) openLogs() []*accessLog {
	p.mu.Lock()
	defer p.mu.Unlock()
	logs := make([]*accessLog, 0, len(p.logs))
	for _, l := range p.logs {
		logs = append(logs, l)
	}
	return logs
}

// closedLogs forgets the files that the table in force did not name at the last two looks, so that
// the lines of requests that had just looked their log up were written, too.
func (p *Proxy) closedLogs() (closed []*accessLog) {
	p.mu.Lock()
	defer p.mu.Unlock()
	live := p.live.Load()
	for path, l := range p.logs {
		switch {
		case live == nil, slices.ContainsFunc(live.listeners, func(n *liveListener) bool { return n.log == l }):
			l.unnamed = false
		case !l.unnamed:
			l.unnamed = true
		default:
			delete(p.logs, path)
			closed = append(closed, l)
		}
	}
	return closed
}

// accessLog gives the log at path, opened when its first line is written. p.mu is held.
func (p *Proxy) accessLog(path string) *accessLog {
	if path == "" {
		return nil
	}
	l := p.logs[path]
	if l == nil {
		l = &accessLog{wake: p.logWake, busy: p.metrics.logLost.WithLabelValues(lostBusy)}
		l.file = logFile{log: p.log, path: path, lost: p.metrics.logLost.WithLabelValues(lostWrite)}
		p.logs[path] = l
	}
	return l
}

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
	ttfb               time.Duration
	retries            int
	picked             string
	refused            string // why, where the balancer answered itself
}

// write appends the line of r in the listener's log, where r is one of the sample or a failure.
func (l *liveListener) write(r *logged, now time.Time, line []byte) []byte {
	c := r.client
	failed := r.status == 0 || r.status >= fasthttp.StatusInternalServerError || r.refused != ""
	if !failed && (c.number+c.requests)%l.logSample != 0 {
		return line
	}
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
	line = appendMillis(line, "duration_ms", now.Sub(r.at))
	line = appendInt(line, "retries", int64(r.retries))
	line = appendText(line, "picked", r.picked)
	line = appendText(line, "refused", r.refused)
	line = appendText(line, "tls", c.tlsVersion)
	line = append(line, "}\n"...)
	l.log.add(c.number, line)
	return line
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
	if l = ex.p.live.Load().listeners[l.n]; l.log == nil {
		return
	}
	r := logged{client: ex.client, at: ex.start, id: ex.id, method: ex.in.method, host: ex.head.host, path: logPath(ex.head.target),
		status: ex.status, in: int64(ex.in.bodyLen), out: ex.sent, ttfb: ex.ttfb, retries: ex.retries, refused: ex.refused}
	if ex.member >= 0 {
		r.pool, r.member, r.picked = ex.pool.jsonName, ex.pool.jsonMembers[ex.member], ex.reason.How.String()
	}
	ex.line = l.write(&r, time.Now(), ex.line)
}

// logRefusal writes the line of what the server could not read as a request.
func (p *Proxy) logRefusal(l *liveListener, ctx *fasthttp.RequestCtx, status int, text string) {
	if c, ok := ctx.Conn().(*clientConn); ok && l.log != nil {
		now := time.Now()
		c.requests++
		l.write(&logged{client: c, at: now, status: status, refused: text, id: c.appendID(nil, p.idBase)}, now, nil)
	}
}

// logPath is what a log may show of a target: no query, and no parameters of a segment (RFC 3986
// 3.3), in which old applications carry the keys of sessions.
func logPath(target []byte) []byte {
	if i := bytes.IndexAny(target, "?;"); i >= 0 {
		return target[:i]
	}
	return target
}
