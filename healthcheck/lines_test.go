package healthcheck

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// kept runs probes of m one after the other as an engine does, with connections that stay open.
type kept struct {
	t     *testing.T
	l     *lines
	probe prober
	addr  string
	ctx   context.Context
}

func keep(t *testing.T, m Monitor, every int, addr string) *kept {
	t.Helper()
	table, err := Compile(Config{Monitors: []Monitor{m}})
	if err != nil {
		t.Fatal(err)
	}
	l := &lines{by: make(map[lineKey]*line)}
	l.configure(Settings{FreshEvery: every, MaxHandshakes: 1000}.WithDefaults(), []Key{{addr, m.Name}})
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), linesKey{}, l))
	t.Cleanup(func() { l.end(); cancel() })
	return &kept{t: t, l: l, probe: table.monitors[m.Name].probe, addr: addr, ctx: ctx}
}

// ask wants a probe with this state and reason, on a kept connection or not.
func (k *kept) ask(state State, reason string, onKept bool) Result {
	k.t.Helper()
	r := k.probe(k.ctx, k.addr)
	if r.State != state || !strings.Contains(r.Reason, reason) || r.Kept != onKept {
		k.t.Errorf("%v (%s), kept %v; want %v (%s), kept %v", r.State, r.Reason, r.Kept, state, reason, onKept)
	}
	return r
}

// grown makes the line one that had a connection before, which is not cut short by chance.
func (k *kept) grown(key lineKey) {
	k.l.mu.Lock()
	defer k.l.mu.Unlock()
	k.l.at(key).young = false
}

// each answers every request of a connection with what next says, and counts connections.
func each(conns *atomic.Int64, next func() string) func(net.Conn) {
	return func(c net.Conn) {
		conns.Add(1)
		buf := make([]byte, 4096)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := io.WriteString(c, next()); err != nil {
				return
			}
		}
	}
}

const okay = alive + "\r\nCB_IS_OKAY"

func TestKeptConnection(t *testing.T) {
	var conns atomic.Int64
	k := keep(t, quick("http"), 4, responder(t, each(&conns, func() string { return okay })))
	for k.probe(k.ctx, k.addr); k.l.idle > 0; { // the first one lives as long as chance has it, at most four
		if k.ask(Up, "200", true); k.l.kept.Load() > 3 {
			t.Fatal("the first connection never ends")
		}
	}
	before := k.l.kept.Load()
	for i := range 12 {
		r := k.ask(Up, "200", i%4 != 0)
		if (r.Dial > 0) == r.Kept {
			t.Errorf("probe %d: connect took %v", i, r.Dial)
		}
	}
	if n := conns.Load(); n != 4 {
		t.Errorf("%d connections for the first and 12 probes of which every fourth is fresh", n)
	}
	if f, kept, stale := k.l.fresh.Load(), k.l.kept.Load()-before, k.l.stale.Load(); f != 4 || kept != 9 || stale != 0 {
		t.Errorf("fresh %d, kept %d, stale %d", f, kept, stale)
	}
}

// What may be kept: an answer whose end is known and reached, from a server that stays.
func TestWhatIsKept(t *testing.T) {
	f := func(answer string, want bool, change func(*Monitor)) {
		t.Helper()
		var conns atomic.Int64
		m := quick("http")
		if change != nil {
			change(&m)
		}
		k := keep(t, m, 10, responder(t, each(&conns, func() string { return answer })))
		k.grown(lineKey{address: k.addr})
		k.probe(k.ctx, k.addr)
		if got := k.l.idle == 1; got != want {
			t.Errorf("%q is kept: %v", answer, got)
		}
	}
	anyBody := func(m *Monitor) { m.Send = "GET /" }
	f(okay, true, nil)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nCB_IS_OKAY\r\n0\r\n\r\n", true, nil)
	f("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nBUSY", true, nil)
	f("HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\nBUSY", true, nil)
	f("HTTP/1.1 204 No\r\n\r\n", true, func(m *Monitor) { m.Send, m.Status = "GET /", []int{204} })
	f("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", true, func(m *Monitor) { m.Send = "HEAD /" })
	f(okay, true, anyBody)
	f("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nCB_IS_OKAY", false, nil)
	f("HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nCB_IS_OKAY", false, nil)
	f(okay+"X", false, nil) // an answer that nobody asked for
	f("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"+strings.Repeat("CB_IS_OKAY", 9999)+"123456789", false, nil)
	f("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf", false, anyBody)
	f(okay, false, func(m *Monitor) { m.Send = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"; m.Receive = "CB" })
}

// A server that closes a connection between two probes does what servers do: the probe goes on
// with a new one. What goes wrong on that one counts.
func TestStaleConnection(t *testing.T) {
	var mu sync.Mutex
	var open []net.Conn
	var behave atomic.Value
	behave.Store(says(okay))
	addr := responder(t, func(c net.Conn) {
		mu.Lock()
		open = append(open, c)
		mu.Unlock()
		behave.Load().(func(net.Conn))(c)
		stall(c)
	})
	end := func(how func(net.Conn)) {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range open {
			how(c)
		}
		open = nil
	}
	k := keep(t, quick("http"), 100, addr)
	k.grown(lineKey{address: k.addr})
	k.ask(Up, "200", false)
	end(func(c net.Conn) { _ = c.Close() })
	k.ask(Up, "200", false)
	end(reset)
	k.ask(Up, "200", false)
	if n := k.l.stale.Load(); n != 2 {
		t.Errorf("%d stale connections", n)
	}
	// The target breaks for good: the retry on the new connection is the result.
	end(func(c net.Conn) { _ = c.Close() })
	behave.Store(then(says(""), func(c net.Conn) { _ = c.Close() }))
	k.ask(Down, "connection closed before the first byte", false)
	behave.Store(then(says(alive+"\r\nCB_"), func(c net.Conn) { _ = c.Close() }))
	k.ask(Down, "connection closed in the body after 3 of 10 bytes", false)
}

// Faults in the middle of an answer are failures on a kept connection too, and so is silence.
func TestKeptConnectionFails(t *testing.T) {
	f := func(second func(net.Conn), reason string, left int) {
		t.Helper()
		addr := responder(t, func(c net.Conn) {
			buf := make([]byte, 4096)
			_, _ = c.Read(buf)
			write(okay)(c)
			if _, err := c.Read(buf); err == nil {
				second(c)
			}
		})
		m := quick("http")
		m.Timeout = 300 * time.Millisecond
		k := keep(t, m, 100, addr)
		k.grown(lineKey{address: k.addr})
		k.ask(Up, "200", false)
		k.ask(Down, reason, true)
		if k.l.idle != left {
			t.Errorf("after %q %d connections are kept", reason, k.l.idle)
		}
	}
	f(write("HTTP/1.1 2"), "connection closed in the headers", 0)
	f(write(alive+"\r\nCB_IS"), "connection closed in the body after 5 of 10 bytes", 0)
	f(write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nLogin"), `200 but the body was "Login"`, 1) // wrong, but whole
	f(stall, "timed out before the first byte", 0)
}

func TestLinesAreBounded(t *testing.T) {
	var conns atomic.Int64
	addr := responder(t, each(&conns, func() string { return okay }))
	k := keep(t, quick("http"), 100, addr)
	k.grown(lineKey{address: k.addr})
	k.l.max = 0
	k.ask(Up, "200", false)
	k.ask(Up, "200", false) // no room: every probe opens its own
	k.l.max = 1
	k.ask(Up, "200", false)
	k.ask(Up, "200", true)
	k.l.configure(Settings{}.WithDefaults(), nil) // a table without the address
	if k.l.idle != 0 || len(k.l.by) != 0 {
		t.Error("connections outlive their table")
	}
	k.ask(Up, "200", false)
	k.l.end()
	k.ask(Up, "200", false)
	if k.l.idle != 0 {
		t.Error("a connection is kept after the end")
	}
}

func TestTLSResumption(t *testing.T) {
	a := newAuthority(t)
	var resumed, whole atomic.Int64
	cfg := a.server("cb.test", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	addr := respond(t, cfg, func(c net.Conn) {
		s := c.(*tls.Conn)
		if s.Handshake() != nil {
			return
		}
		if s.ConnectionState().DidResume {
			resumed.Add(1)
		} else {
			whole.Add(1)
		}
		var n atomic.Int64
		each(&n, func() string { return okay })(c)
	})
	m := quick("https")
	m.CA = a.file
	k := keep(t, m, 2, addr)
	k.grown(lineKey{address: addr, secure: "\x00" + a.file})
	for i := range 6 {
		if r := k.ask(Up, "200", i%2 == 1); r.CertExpiry.IsZero() {
			t.Error("the expiry of the certificate is not known on this connection")
		}
	}
	if whole.Load() != 1 || resumed.Load() != 2 {
		t.Errorf("%d whole handshakes, %d resumed", whole.Load(), resumed.Load())
	}
	k.l.mu.Lock()
	for _, ln := range k.l.by {
		ln.full = time.Now().Add(-2 * sessionAge)
	}
	k.l.mu.Unlock()
	k.ask(Up, "200", false)
	if whole.Load() != 2 {
		t.Error("the target never has to show its certificate again")
	}
	k.ask(Up, "200", true)
	// A second's handshakes are used up: the probe is put off and says nothing of the target.
	k.l.mu.Lock()
	k.l.hands = bucket{rate: 0.001, left: 0, at: time.Now()}
	k.l.mu.Unlock()
	if r := k.ask(Down, "put off", false); !r.Excused || k.l.deferred.Load() != 1 {
		t.Errorf("%+v", r)
	}
}

func TestBucket(t *testing.T) {
	b := bucket{rate: 10}
	n := 0
	for range 100 {
		if b.take(moment) {
			n++
		}
	}
	if n != 10 {
		t.Errorf("%d in the first moment", n)
	}
	n = 0
	for i := range 1000 { // a second, at every millisecond
		if b.take(moment.Add(time.Duration(i+1) * time.Millisecond)) {
			n++
		}
	}
	if n < 9 || n > 11 {
		t.Errorf("%d in a second", n)
	}
}

func TestReceiveDisableAndReverse(t *testing.T) {
	f := func(m Monitor, talk func(net.Conn), state State, reason string) {
		t.Helper()
		if r := Probe(t.Context(), m, responder(t, talk), Settings{}); r.State != state || r.Reason != reason {
			t.Errorf("%v (%s), want %v (%s)", r.State, r.Reason, state, reason)
		}
	}
	m := quick("http")
	m.ReceiveDisable = "regex:DRAIN|LEAVING"
	f(m, says(alive+"\r\nCB_IS_OKAY"), Up, `200, the body contains "CB_IS_OKAY"`)
	f(m, says("HTTP/1.1 200 OK\r\n\r\nCB_IS_OKAY LEAVING"), Draining, `200, the body contains /DRAIN|LEAVING/ (receive_disable)`)
	f(m, says("HTTP/1.1 200 OK\r\n\r\nelse"), Down, `200 but the body was "else", wanted "CB_IS_OKAY"`)
	m = quick("http")
	m.Receive, m.Reverse = "ERROR", true
	f(m, says("HTTP/1.1 200 OK\r\n\r\nfine"), Up, `200, the body does not contain "ERROR"`)
	f(m, says("HTTP/1.1 200 OK\r\n\r\nan ERROR"), Down, `200 but the body contains "ERROR", which must not be there`)
	f(m, says(""), Down, "connection closed before the first byte")

	m = quick("tcp")
	m.ReceiveDisable = "maint"
	f(m, write("220 maint"), Draining, `the stream contains "maint" (receive_disable)`)
	f(m, write("220 hello"), Up, "answered")
	m.Receive, m.Reverse, m.ReceiveDisable = "500", true, ""
	f(m, write("220 hello"), Up, `the stream does not contain "500"`)
	f(m, write("500 oh"), Down, `the stream contains "500", which must not be there`)
	f(m, write(""), Down, "connection closed before the first byte")
	m.Timeout = 200 * time.Millisecond
	f(m, then(write("220 hello"), stall), Up, `the stream does not contain "500"`)
}
