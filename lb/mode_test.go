package lb

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"switchpoint/healthcheck"
	"switchpoint/healthcheck/isalive"
	"switchpoint/internal/covers"
)

// moody is a broker that says in its probe's answer what the test wants, and its name for all else.
// A request for /hold is answered when the test lets it out.
type moody struct {
	*backend
	answer atomic.Pointer[isalive.Answer]
	gate   chan struct{}
	held   atomic.Int64
}

func startMoody(t *testing.T, name string) *moody {
	m := &moody{gate: make(chan struct{})}
	m.say("normal")
	m.backend = startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case isalive.Match(r.URL.RequestURI()):
			a := *m.answer.Load()
			a.Each(w.Header().Set)
			w.WriteHeader(a.Status)
			_, _ = io.WriteString(w, a.Body())
			return
		case r.URL.Path == "/hold":
			m.held.Add(1)
			defer m.held.Add(-1)
			select {
			case <-m.gate:
			case <-r.Context().Done():
			}
		}
		_, _ = io.WriteString(w, name)
	}))
	return m
}

func (m *moody) say(mode string) { m.answers(isalive.Answer{Status: 200, Mode: mode, Capacity: 64}) }

func (m *moody) answers(a isalive.Answer) { m.answer.Store(&a) }

// farm is three brokers behind a balancer that knows sessions and source addresses.
type farm struct {
	*running
	a, b, c *moody
	client  int
}

func startFarm(t *testing.T) *farm {
	f := &farm{a: startMoody(t, "a"), b: startMoody(t, "b"), c: startMoody(t, "c")}
	cfg := persistentConfig(PersistSession, members(f.a.backend, f.b.backend, f.c.backend))
	cfg.Pools[0].Monitor, cfg.Pools[0].SlowStart = "is_alive", ms
	for i := range cfg.Pools[0].Members {
		cfg.Pools[0].Members[i].MaxInFlight = 1
	}
	engine := startEngine(t, cfg, healthcheck.Monitor{Kind: "http"})
	f.running = startWith(t, cfg, Options{Listeners: cfg.Listeners, Snapshot: engine.Snapshot}, engine.Ref)
	return f
}

// settles waits until the balancer has heard this of each member: its state and mode.
func (f *farm) settles(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, strings.Join(want, ", "), func() bool {
		var got []string
		for _, m := range f.Status().Pools[0].Members {
			got = append(got, m.State+" "+m.Mode)
		}
		return slices.Equal(got, want)
	})
}

// newUsers are the members that nine clients get that nobody knows.
func (f *farm) newUsers() string {
	f.t.Helper()
	got := map[string]bool{}
	for range 9 {
		f.client++
		_, m := f.ask(fmt.Sprintf("192.0.2.%d", f.client))
		got[m] = true
	}
	out := ""
	for _, m := range []string{"a", "b", "c"} {
		if got[m] {
			out += m
			delete(got, m)
		}
	}
	if len(got) > 0 {
		f.t.Errorf("answers that are no member's: %v", got)
	}
	return out
}

// TestBrokersChangeTheirMode: the farm as its brokers lose their database and get it back, told by nothing
// but the header of their is_alive answer.
func TestBrokersChangeTheirMode(t *testing.T) {
	covers.Req(t, "DC7", "AL5")
	f := startFarm(t)
	token := func(c string) string { return "Authorization: Bearer sp1.1." + strings.Repeat(c, 43) }
	users := func(want string) {
		t.Helper()
		if got := f.newUsers(); got != want {
			t.Errorf("new users go to %q, want %q; %s", got, want, f.Status().Pools[0].Serving)
		}
	}
	f.settles(t, "up normal", "up normal", "up normal")
	users("abc")
	sessions := map[string]string{} // by member
	for _, c := range []string{"A", "B", "C", "D", "E", "F"} {
		_, m := f.ask("198.51.100."+fmt.Sprint(len(c)+int(c[0])), token(c))
		sessions[m] = c
	}
	if len(sessions) != 3 {
		t.Fatalf("sessions live at %v", sessions)
	}
	stay := func() {
		t.Helper()
		for m, c := range sessions {
			if _, got := f.ask("203.0.113.9", token(c)); got != m {
				t.Errorf("the session at %s was sent to %s", m, got)
			}
		}
	}

	f.a.say("hostcache")
	f.settles(t, "up hostcache", "up normal", "up normal")
	users("bc")
	stay()
	why, err := f.Why("brokers", "a")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(why.Lines(), "\n")
	for _, want := range []string{"- brokers/a ", "only those with a session there: it is up, and the members that are up in mode normal serve", "mode:        hostcache since "} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	if text := strings.Join(f.Explain("front", loopback).Lines(), "\n"); !strings.Contains(text, ", mode hostcache since ") || !strings.Contains(text, "before those in other modes") {
		t.Errorf("explained as\n%s", text)
	}
	if out := raw(t, f.addr, "GET /index.pl?action=is_alive\r\n\r\n"); !strings.Contains(out, "\r\nX-Broker-Mode: normal,hostcache\r\n") {
		t.Errorf("the balancer says %q", out)
	}

	f.b.say("leased")
	f.c.answers(isalive.Answer{Status: 503, Mode: "normal", Active: 99, Capacity: 64})
	f.settles(t, "up hostcache", "up leased", "overloaded normal")
	users("ab") // the normal one says that it has enough
	stay()

	f.c.say("hostcache")
	f.settles(t, "up hostcache", "up leased", "up hostcache")
	users("abc") // all are in the outage

	f.a.say("recovering")
	f.b.say("normal")
	f.settles(t, "up recovering", "up normal", "up hostcache")
	users("b")
	release := f.hold(t, f.b)
	users("ac") // the normal one has all that it may have
	release()
	users("b")
	f.b.answers(isalive.Answer{Status: 200, Mode: "normal", Active: 64, Capacity: 64})
	eventually(t, "b says that it is used up", func() bool { return f.newUsers() == "abc" })

	f.a.answers(isalive.Answer{Status: 503, Mode: "draining", Capacity: 64}) // it steps aside
	f.b.answers(isalive.Answer{Status: 503, Mode: "normal", Active: 99, Capacity: 64})
	f.c.answers(isalive.Answer{Status: 503, Mode: "normal", Active: 99, Capacity: 64})
	f.settles(t, "overloaded draining", "overloaded normal", "overloaded normal")
	users("bc")
	if _, m := f.ask("203.0.113.9", token(sessions["a"])); m == "a" {
		t.Error("a session is sent to the broker that steps aside")
	}
	if why, err = f.Why("brokers", "a"); err != nil || !strings.Contains(strings.Join(why.Lines(), "\n"), "gets nothing: it says that it steps aside (mode draining)") {
		t.Errorf("%v: %q", err, why.Lines())
	}

	f.a.say("!") // no mode at all: it is not believed, and it serves
	f.settles(t, "up ", "overloaded normal", "overloaded normal")
	users("a")
	f.b.kill()
	f.c.kill()
	f.a.say("hostcache")
	f.settles(t, "up hostcache", "down ", "down ")
	users("a") // whatever its mode, the last one serves
}

// hold keeps a member at its limit until the function that it gives is called.
func (f *farm) hold(t *testing.T, m *moody) func() {
	t.Helper()
	held := askFor(t, f.addr, "/hold")
	eventually(t, "the request is held", func() bool { return m.held.Load() == 1 })
	return func() {
		m.gate <- struct{}{}
		held.answer(t)
	}
}
