package lb

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"switchpoint/healthcheck"
)

// reports collects what a proxy tells the health engine.
type reports struct {
	mu  sync.Mutex
	got []string
}

func (r *reports) take(ref healthcheck.Ref, o healthcheck.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, fmt.Sprintf("%d:%d:%d:%v", ref, o.Traffic, o.Status, o.Latency > 0))
}

func (r *reports) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// startReporting is a proxy whose members are checked by a monitor and have the refs 0, 1 ...
func startReporting(t *testing.T, who ...Member) (*running, *reports) {
	t.Helper()
	cfg := plainConfig(who)
	cfg.Pools[0].Monitor, cfg.Pools[0].ResponseTimeout = "m", 200*ms
	got := &reports{}
	return startWith(t, cfg, Options{Listeners: cfg.Listeners, DrainTimeout: 100 * ms, Report: got.take},
		func(k healthcheck.Key) healthcheck.Ref {
			return healthcheck.Ref(slices.IndexFunc(who, func(m Member) bool { return m.Address == k.Address }))
		}), got
}

func report(ref int, traffic healthcheck.Traffic, status int) string {
	return fmt.Sprintf("%d:%d:%d:%v", ref, traffic, status, traffic == healthcheck.Answered)
}

func deadAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestReports(t *testing.T) {
	release := make(chan struct{})
	slow := startBackend(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer close(release)
	raw1 := func(answer string) Member {
		return Member{Address: rawBackend(t, func(int, string) string { return answer })}
	}
	const getX = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	long := raw1("HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 9<<20))
	tests := []struct {
		name, in string
		member   Member
		want     []string
	}{
		{"answered", getX, raw1("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"), []string{report(0, healthcheck.Answered, 404)}},
		{"overloaded", getX, raw1("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), []string{report(0, healthcheck.Answered, 503)}},
		{"refused", getX, Member{Address: deadAddress(t)}, []string{report(0, healthcheck.Refused, 0)}},
		{"timed out", getX, Member{Address: slow.addr}, []string{report(0, healthcheck.TimedOut, 0)}},
		{"closed", getX, raw1(""), []string{report(0, healthcheck.Reset, 0)}},
		{"no HTTP", getX, raw1("220 mail\r\n\r\n"), []string{report(0, healthcheck.Reset, 0)}},
		{"body cut", getX, raw1("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), []string{report(0, healthcheck.Reset, 0)}},
		{"stream cut", getX, raw1("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nabc"), []string{report(0, healthcheck.Answered, 200)}},
		{"long, without a length, for an HTTP/1.0 client", "GET / HTTP/1.0\r\nHost: x\r\n\r\n", long, []string{report(0, healthcheck.Answered, 200)}},
		{"malformed request", "GET / HTTP/1.1\r\nHost: x\r\nX : 1\r\n\r\n", raw1(""), nil},
		{"malformed body", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", raw1(""), nil},
		{"probe of the balancer", "GET /index.pl?action=is_alive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", raw1(""), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, got := startReporting(t, tt.member)
			out := raw(t, r.addr, tt.in)
			if !slices.Equal(got.all(), tt.want) {
				t.Errorf("reported %v, want %v; answer %.100q", got.all(), tt.want, out)
			}
			if tt.member == long {
				if p := r.Explain("front", loopback).Members[0].Failing; p != 0 || !strings.HasPrefix(out, "HTTP/1.1 200 ") || len(out) < 9<<20 {
					t.Errorf("penalty %v, answer %.100q", p, out)
				}
			}
		})
	}
	t.Run("each member of a request", func(t *testing.T) {
		dead, good := Member{Address: deadAddress(t)}, Member{Address: startBackend(t, says("a")).addr}
		r, got := startReporting(t, good, dead)
		for range 2 { // round robin: one of the two begins at the dead one
			raw(t, r.addr, getX)
		}
		want := []string{report(0, healthcheck.Answered, 200), report(0, healthcheck.Answered, 200), report(1, healthcheck.Refused, 0)}
		if all := got.all(); !slices.Equal(slices.Sorted(slices.Values(all)), want) {
			t.Errorf("reported %v, want %v", all, want)
		}
	})
}

// TestStaleIsNotReported: a kept-alive connection that the member closed says nothing about it.
func TestStaleIsNotReported(t *testing.T) {
	addr, posts, gets := staleBackend(t)
	r, got := startReporting(t, Member{Address: addr})
	get(t, client(t, nil), "http://"+r.addr+"/")
	const die = " /die HTTP/1.1\r\nHost: x\r\nX-Second: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	if raw(t, r.addr, "POST"+die); posts.Load() != 1 {
		t.Fatal("the POST did not reach the member")
	}
	first := report(0, healthcheck.Answered, 200)
	if all := got.all(); !slices.Equal(all, []string{first}) {
		t.Errorf("after a stale connection: %v", all)
	}
	get(t, client(t, nil), "http://"+r.addr+"/")
	gets.Store(0)
	if raw(t, r.addr, "GET"+die); gets.Load() != 2 {
		t.Fatal("the GET was not repeated")
	}
	// The second attempt was on a fresh connection: only that one counts.
	if all := got.all(); !slices.Equal(all, []string{first, first, report(0, healthcheck.Reset, 0)}) {
		t.Errorf("after a repeated request: %v", all)
	}
}

// TestVanishedClientIsNotReported: neither one that leaves within its request nor one that leaves
// within the answer counts against the member.
func TestVanishedClientIsNotReported(t *testing.T) {
	a := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 8<<20)) }))
	r, got := startReporting(t, Member{Address: a.addr})
	for _, in := range []string{
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, in)
		if in[0] == 'G' {
			_, _ = io.ReadFull(c, make([]byte, 1000))
		}
		c.Close()
	}
	eventually(t, "no connection is left", func() bool { return r.listeners[0].conns.len() == 0 })
	if all := got.all(); !slices.Equal(all, []string{report(0, healthcheck.Answered, 200)}) {
		t.Errorf("reported %v", all)
	}
	if p := r.Explain("front", loopback).Members[0].Failing; p != 0 {
		t.Errorf("penalty %v", p)
	}
}

// TestDrainIsNotReported: a request that the end of a drain breaks off is no fault of the member.
func TestDrainIsNotReported(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	slow := startBackend(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(asked); <-release }))
	defer close(release)
	cfg := plainConfig([]Member{{Address: slow.addr}})
	cfg.Pools[0].Monitor = "m"
	got := &reports{}
	r := startWith(t, cfg, Options{Listeners: cfg.Listeners, DrainTimeout: 50 * ms, Report: got.take},
		func(healthcheck.Key) healthcheck.Ref { return 0 })
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-asked
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if all := got.all(); len(all) != 0 {
		t.Errorf("reported %v", all)
	}
}

func TestOwnFaults(t *testing.T) {
	wrap := func(e syscall.Errno) error {
		return fmt.Errorf("dial: %w", &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", e)})
	}
	for e, want := range map[syscall.Errno]bool{
		syscall.EMFILE: true, syscall.ENFILE: true, syscall.EADDRNOTAVAIL: true, syscall.ENOBUFS: true,
		syscall.ECONNREFUSED: false, syscall.EHOSTUNREACH: false, syscall.ETIMEDOUT: false,
	} {
		if got := isOwnFault(wrap(e)); got != want {
			t.Errorf("%v: %v", e, got)
		}
	}
	if isOwnFault(&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}) {
		t.Error("a time-out counts as our own fault")
	}
}
