package healthcheck

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/healthcheck/isalive"
)

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// transitions gives "from>to: reason" of every logged change.
func (b *buffer) transitions(t *testing.T) (out []string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.b.String()) {
		var rec struct{ Msg, From, To, Reason, Address, Monitor string }
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatal(err)
		}
		if rec.Msg == "health changed" {
			if rec.Address == "" || rec.Monitor != "is_alive" {
				t.Errorf("a transition does not name its check: %s", line)
			}
			out = append(out, rec.From+">"+rec.To+": "+rec.Reason)
		}
	}
	return out
}

// The engine over real sockets: a broker's page goes 200 -> 503 -> 200 -> silence -> refusal,
// and each is seen as the rules say, with its reason, and logged once.
func TestEngineFollowsATarget(t *testing.T) {
	var mode atomic.Value
	mode.Store(isalive.Answer{Status: 200, Mode: "normal", Active: 1, Capacity: 64})
	addr := responder(t, func(c net.Conn) {
		readRequest(c)
		a := mode.Load().(isalive.Answer)
		if a.Status == 0 {
			return
		}
		_, _ = c.Write(a.Bytes())
	})
	var log buffer
	reg := prometheus.NewPedanticRegistry()
	e := New(Options{Log: slog.New(slog.NewJSONHandler(&log, nil)), Metrics: reg})
	table, err := Compile(Config{
		Monitors: []Monitor{{Name: "is_alive", Kind: "http", Interval: 50 * time.Millisecond, Timeout: 45 * time.Millisecond}},
		Checks:   []Key{{addr, "is_alive"}, {addr, "is_alive"}},
	})
	if err != nil || table.Len() != 1 {
		t.Fatal(table, err)
	}
	e.SetTable(table)
	defer started(t, e)()
	<-e.Ready()
	ref := e.Ref(Key{addr, "is_alive"})
	wait := func(what string, holds func(Status) bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			if s := e.Snapshot().Get(ref); holds(s) {
				return
			} else if time.Now().After(end) {
				t.Fatalf("%s: still %+v", what, s)
			}
		}
	}
	is := func(want State) func(Status) bool { return func(s Status) bool { return s.State == want } }
	wait("start", is(Up))
	if s := e.Snapshot().Get(ref); s.Load != (Load{Active: 1, Capacity: 64, Mode: "normal"}) || s.TTFB <= 0 || s.Since.IsZero() {
		t.Errorf("facts: %+v", s)
	}
	mode.Store(isalive.Answer{Status: 200, Mode: "normal", Active: 40, Capacity: 64})
	wait("load", func(s Status) bool { return s.Load.Active == 40 })
	mode.Store(isalive.Answer{Status: 503, Mode: "leased", Active: 64, Capacity: 64})
	wait("503", is(Overloaded))
	mode.Store(isalive.Answer{Status: 200, Mode: "normal", Active: 1, Capacity: 64})
	wait("200 again", is(Up))
	mode.Store(isalive.Answer{})
	wait("closed", is(Down))
	if s := e.Snapshot().Get(ref); s.Reason != "connection closed before the first byte" || s.Load != noLoad || s.TTFB != 0 {
		t.Errorf("down: %+v", s)
	}
	for _, ev := range e.History(Key{addr, "is_alive"}) { // each tells which probe, what bytes, which timings
		switch {
		case ev.At.IsZero() || ev.Reason == "" || ev.Total <= 0:
			t.Errorf("an event without its probe: %+v", ev)
		case ev.Kind == Moved && ev.To == Overloaded && (ev.Status != 503 || ev.TTFB <= 0 || len(ev.FirstBytes) == 0):
			t.Errorf("a change without what the probe saw: %+v", ev)
		}
	}
	want := []string{
		`unknown>up: 200, the body contains "CB_IS_OKAY"`,
		"up>overloaded: 503: the target says that it is overloaded",
		`overloaded>up: 200, the body contains "CB_IS_OKAY"`,
		"up>down: connection closed before the first byte",
	}
	wait("log", func(Status) bool { return len(log.transitions(t)) >= len(want) })
	if got := log.transitions(t); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("logged\n%s", strings.Join(got, "\n"))
	}
	checkMetrics(t, reg)
}

func checkMetrics(t *testing.T, reg *prometheus.Registry) {
	t.Helper()
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
	want := `
# HELP switchpoint_health_checks Checks of the table, by monitor and state.
# TYPE switchpoint_health_checks gauge
switchpoint_health_checks{monitor="is_alive",state="down"} 1
switchpoint_health_checks{monitor="is_alive",state="draining"} 0
switchpoint_health_checks{monitor="is_alive",state="maintenance"} 0
switchpoint_health_checks{monitor="is_alive",state="overloaded"} 0
switchpoint_health_checks{monitor="is_alive",state="unknown"} 0
switchpoint_health_checks{monitor="is_alive",state="up"} 0
# HELP switchpoint_health_transitions_total Changes of a check's state, by monitor and new state.
# TYPE switchpoint_health_transitions_total counter
switchpoint_health_transitions_total{monitor="is_alive",to="down"} 1
switchpoint_health_transitions_total{monitor="is_alive",to="draining"} 0
switchpoint_health_transitions_total{monitor="is_alive",to="maintenance"} 0
switchpoint_health_transitions_total{monitor="is_alive",to="overloaded"} 1
switchpoint_health_transitions_total{monitor="is_alive",to="unknown"} 0
switchpoint_health_transitions_total{monitor="is_alive",to="up"} 2
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "switchpoint_health_checks", "switchpoint_health_transitions_total"); err != nil {
		t.Error(err)
	}
}

// Two engines in one process, each with its own registry, and one without.
func TestMetricsForgetMonitors(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	e := New(Options{Metrics: reg})
	New(Options{Metrics: prometheus.NewRegistry()})
	e.SetTable(tableOf(Settings{}, Monitor{}, nil, "a:1"))
	if n, err := testutil.GatherAndCount(reg, "switchpoint_health_checks"); n != int(Maintenance)+1 || err != nil {
		t.Errorf("%d series, %v", n, err)
	}
	e.SetTable(&Table{settings: Settings{}.WithDefaults()})
	if n, err := testutil.GatherAndCount(reg, "switchpoint_health_checks"); n != 0 || err != nil {
		t.Errorf("%d series of a monitor that is gone, %v", n, err)
	}
}
