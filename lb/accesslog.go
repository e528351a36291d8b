package lb

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/internal/linefile"
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
	path    string
	file    *linefile.File
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
	l.file.Follow(l.path)
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		buf, lines := s.buf, s.lines
		s.buf, s.lines = spare[:0], 0
		s.mu.Unlock()
		l.file.Write(buf, lines)
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
				l.file.Close()
			}
			return
		}
		for _, l := range p.openLogs() {
			spare = l.flush(spare)
		}
		for _, l := range p.closedLogs() {
			l.file.Close()
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
		l = &accessLog{wake: p.logWake, busy: p.metrics.logLost.WithLabelValues(lostBusy), path: path}
		l.file = linefile.New(linefile.Options{Name: "lb: the access log", Log: p.log, Lost: p.metrics.logLost.WithLabelValues(lostWrite)})
		p.logs[path] = l
	}
	return l
}
