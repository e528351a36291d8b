package nodes

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/lb/stick"
	"switchpoint/peer"
)

// TestEntriesReachTheTwin: within a second, with the time that they have left, and by members'
// names.
func TestEntriesReachTheTwin(t *testing.T) {
	w := newWorld(t, "lb-1", "lb-2")
	a, b := w.node("lb-1"), w.node("lb-2")
	w.until("both are in touch", func() bool { return a.of("lb-2").InTouch && b.of("lb-1").InTouch })
	best := time.Hour
	for round := range 5 { // the machine may be busy with other things
		from := 1000 * round
		a.bind(1, from, from+1000)
		began := time.Now()
		w.until("the twin has the entries", func() bool { return b.has(1, from, from+1000) })
		best = min(best, time.Since(began))
	}
	if best > time.Second {
		t.Errorf("it took %v", best)
	}
	_, left, _ := b.table.Peek(key(0), b.clock())
	if left < keep-15*time.Second || left > keep {
		t.Errorf("an entry of %v has %v left on the twin", keep, left)
	}
	if n := b.journal.Next(); n != 0 {
		t.Errorf("%d entries are told back", n)
	}
	a.bind(0, 0, 10) // the member changes
	w.until("the twin has the other member", func() bool { return b.has(0, 0, 10) })
	b.bind(1, 20_000, 20_010)
	w.until("it goes the other way too", func() bool { return a.has(1, 20_000, 20_010) })
	if s := a.of("lb-2"); s.Lag != 0 || s.Trouble != "" || s.Sent < 5010 || s.Received < 10 || !s.InTouch {
		t.Errorf("%+v", s)
	}
	if problems, err := testutil.GatherAndLint(w.sites["lb-1"].registry); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	if n, err := testutil.GatherAndCount(w.sites["lb-1"].registry, "switchpoint_lb_node_in_touch", "switchpoint_lb_node_lag_seconds",
		"switchpoint_lb_node_entries_sent_total", "switchpoint_lb_node_entries_received_total", "switchpoint_lb_node_full_syncs_total"); n != 5 || err != nil {
		t.Errorf("%d figures, %v", n, err)
	}
}

// TestPartition: what could not be told is told when the others can be reached again, also more
// than the journal keeps.
func TestPartition(t *testing.T) {
	w := newWorld(t, "lb-1", "lb-2")
	a, b := w.node("lb-1"), w.node("lb-2")
	a.bind(0, 0, 100)
	full := func() float64 { return testutil.ToFloat64(a.metrics.all.WithLabelValues("lb-2")) }
	w.until("the twin has the entries, and was told all", func() bool { return b.has(0, 0, 100) && full() > 0 })
	before := full()

	w.partition(true)
	a.bind(1, 0, 100)
	w.until("the loss is seen", func() bool {
		s := a.of("lb-2")
		return s.Trouble != "" && !s.InTouch && s.Lag > 2*time.Second
	})
	if !b.has(0, 0, 100) {
		t.Error("the twin has lost what it had")
	}
	w.partition(false)
	w.until("the twin has what was bound meanwhile, and said so", func() bool {
		s := a.of("lb-2")
		return b.has(1, 0, 100) && s.InTouch && s.Trouble == ""
	})
	if full() != before {
		t.Error("everything was told, though the journal had it all")
	}

	w.partition(true)
	w.until("the loss is seen", func() bool { return a.of("lb-2").Trouble != "" })
	a.bind(0, 0, 30_000) // the journal keeps 20,000
	w.partition(false)
	w.until("the twin has them all", func() bool { return b.has(0, 0, 30_000) && full() > before })
	if full() != before+1 {
		t.Errorf("everything was told %v times, want once", full()-before)
	}
	if n := strings.Count(a.logged.String(), "cannot be told"); n != 2 {
		t.Errorf("the loss is logged %d times, want 2:\n%s", n, a.logged)
	}
}

// TestRestart: a node that comes back knows everything again soon, and the other one nothing less.
func TestRestart(t *testing.T) {
	w := newWorld(t, "lb-1", "lb-2")
	a, b := w.node("lb-1"), w.node("lb-2")
	a.bind(0, 0, 500)
	b.bind(1, 500, 1000)
	w.until("both know everything", func() bool { return a.has(1, 500, 1000) && b.has(0, 0, 500) })
	w.end("lb-1")
	b.bind(1, 1000, 1500)
	a = w.start("lb-1", 5) // with other ids
	began := time.Now()
	w.until("it knows everything again", func() bool { return a.has(0, 0, 500) && a.has(1, 500, 1500) })
	t.Logf("after %v", time.Since(began))
	if !b.has(0, 0, 500) || !b.has(1, 500, 1500) {
		t.Error("the other one has lost something")
	}
}

// TestNewMembers: entries of a member that a node did not have come once it has it.
func TestNewMembers(t *testing.T) {
	w := newWorld(t, "lb-1", "lb-2")
	a, b := w.node("lb-1"), w.node("lb-2")
	fresh := Member{"brokers", "10.0.0.13:443"}
	add := func(r *running) {
		r.mu.Lock()
		r.members = append(r.members, fresh)
		r.mu.Unlock()
		r.Resync()
	}
	add(a)
	a.bind(3, 0, 10)
	a.bind(0, 10, 20)
	w.until("the twin has the others", func() bool { return b.has(0, 10, 20) })
	if b.has(3, 0, 1) {
		t.Fatal("an entry of an unknown member")
	}
	add(b)
	w.until("it has those of the new member", func() bool { return b.has(3, 0, 10) })
}

// TestThreeNodes: everybody knows everything, and nothing goes in circles.
func TestThreeNodes(t *testing.T) {
	w := newWorld(t, "lb-1", "lb-2", "lb-3")
	for i, name := range w.names {
		w.node(name).bind(i, 100*i, 100*i+100)
	}
	for _, name := range w.names {
		r := w.node(name)
		w.until(name+" knows everything", func() bool { return r.has(0, 0, 100) && r.has(1, 100, 200) && r.has(2, 200, 300) })
		if n := r.journal.Next(); n != 100 {
			t.Errorf("%s tells %d changes, want its own 100", name, n)
		}
	}
}

// TestManyEntries: how long it takes to tell a node that was started 100,000 entries, and in how
// many bytes.
func TestManyEntries(t *testing.T) {
	w := newWorld(t, "lb-1", "lb-2")
	a, b := w.node("lb-1"), w.node("lb-2")
	w.until("both are in touch", func() bool { return a.of("lb-2").InTouch && b.of("lb-1").InTouch })
	w.end("lb-2")
	const many = 100_000
	a.bind(0, 0, many/2)
	a.bind(1, many/2, many)
	sent := &w.sites["lb-1"].sizes
	sent.mu.Lock()
	sent.bytes, sent.calls, sent.longest = 0, 0, 0
	sent.mu.Unlock()
	b = w.start("lb-2", 1)
	began := time.Now()
	w.until("it has them all", func() bool { return b.has(1, many-10, many) && b.has(0, 0, many/2) && b.has(1, many/2, many) })
	took := time.Since(began)
	sent.mu.Lock()
	defer sent.mu.Unlock()
	t.Logf("%d entries in %v, %d bytes in %d messages, the longest %d", many, took, sent.bytes, sent.calls, sent.longest)
	if sent.longest > maxMessage || sent.bytes > 24*many {
		t.Errorf("%d bytes, the longest message %d", sent.bytes, sent.longest)
	}
	if took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestStrangers: nobody is believed who is not among the peers, and nothing that is malformed.
func TestStrangers(t *testing.T) {
	w := newWorld(t, "lb-1", "lb-2")
	r := w.node("lb-1")
	body, _ := newWriter(r.nameOf).take(header{start: 1})
	for method, handle := range r.Handlers() {
		_, err := handle(t.Context(), peer.Trust{Name: "broker-1"}, body)
		if fault, ok := errors.AsType[*peer.RemoteError](err); !ok || fault.Code != "not-a-member" {
			t.Errorf("%s of a stranger: %v", method, err)
		}
	}
	_, err := r.Handlers()[methodEntries](t.Context(), peer.Trust{Name: "lb-2"}, body[:len(body)-1])
	if fault, ok := errors.AsType[*peer.RemoteError](err); !ok || fault.Code != peer.CodeBadRequest {
		t.Errorf("a message that breaks off: %v", err)
	}
	if err := r.SetConfig(Config{Peers: []string{"lb-1"}}); err != nil { // only itself
		t.Fatal(err)
	}
	if _, err := r.Handlers()[methodEntries](t.Context(), peer.Trust{Name: "lb-2"}, body); err == nil || len(r.Show()) != 0 {
		t.Errorf("a peer that was removed is believed: %v", err)
	}
	alone, err := New(Options{Name: "lb-9", Table: stick.New(1, nil)})
	if err != nil {
		t.Fatal(err)
	}
	if err := alone.SetConfig(Config{Peers: []string{"lb-9"}}); err != nil {
		t.Errorf("a list of itself: %v", err)
	}
	if err := alone.SetConfig(Config{Peers: []string{"lb-1"}}); err == nil {
		t.Error("peers without a way to reach them")
	}
}

// TestWords: what operators say reaches everybody, and they are told who has it.
func TestWords(t *testing.T) {
	w := newWorld(t, "lb-1", "lb-2", "lb-3")
	a, b := w.node("lb-1"), w.node("lb-2")
	w.until("all are in touch", func() bool { return a.of("lb-2").InTouch && a.of("lb-3").InTouch })
	a.say("drain 10.0.0.11")
	for _, ack := range a.Tell(t.Context()) {
		if !ack.Has || ack.Why != "" || ack.Heard.IsZero() {
			t.Errorf("%+v", ack)
		}
	}
	if got := string(b.said()); got != "drain 10.0.0.11" {
		t.Errorf("lb-2 knows %q", got)
	}
	b.say("weight 10.0.0.12") // nobody is told at once: the next messages do it
	w.until("all know it", func() bool {
		return string(a.said()) == "drain 10.0.0.11\nweight 10.0.0.12" && string(w.node("lb-3").said()) == string(a.said())
	})

	w.partition(true)
	a.say("disable 10.0.0.12")
	for _, ack := range a.Tell(t.Context()) {
		if ack.Has || ack.Why == "" {
			t.Errorf("%+v in a partition", ack)
		}
	}
	w.partition(false)
	w.until("it arrives later", func() bool { return strings.Contains(string(b.said()), "disable") })

	w.end("lb-2")
	b = w.start("lb-2", 5)
	w.until("a node that was started knows it", func() bool { return string(b.said()) == string(a.said()) })

	b.mu.Lock()
	b.refuse, b.words = errors.New("the disk is full"), nil
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for _, ack := range a.Tell(ctx) {
		if ack.Has != (ack.Node != "lb-2") || ack.Has == strings.Contains(ack.Why, "disk is full") {
			t.Errorf("%+v", ack)
		}
	}
}
