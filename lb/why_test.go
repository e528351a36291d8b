package lb

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/internal/covers"
	"switchpoint/lb/choice"
)

// why is what is told of a member, as text.
func (r *running) why(member string) (Why, string) {
	r.t.Helper()
	w, err := r.Why("brokers", member)
	if err != nil {
		r.t.Fatal(err)
	}
	return w, strings.Join(w.Lines(), "\n")
}

func (r *running) tells(member string, words ...string) {
	r.t.Helper()
	_, text := r.why(member)
	for _, w := range words {
		if !strings.Contains(text, w) {
			r.t.Errorf("no %q in\n%s", w, text)
		}
	}
}

// TestWhy: each cause for which a member gets nothing, or less, is told, and telling changes nothing.
func TestWhy(t *testing.T) {
	covers.Req(t, "LB8")
	a, b, c := startBackend(t, says("a")), startBackend(t, says("b")), startBackend(t, says("c"))
	cfg := plainConfig(members(a, b, c))
	cfg.Pools[0].Method = DefaultMethod
	cfg.Pools[0].Members[0].MaxInFlight = 1
	cfg.Pools[0].Members[0].Priority, cfg.Pools[0].Members[1].Priority = 1, 1
	r := start(t, cfg)
	lp := r.live.Load().pools[0]
	now := r.now()

	r.tells("a", "+ brokers/a "+a.addr+": gets new clients, by the pool's method", "no member of the pool was chosen", "priority:    1; in use from 1 up", "requests:    come through front", "of at most 1")
	r.tells(c.addr, "- brokers/c", "in reserve: members of a higher priority are enough")
	draws := lp.draws.Load()

	// Dearer, and how much so.
	lp.ups[0].Answered(now, 40*ms, 0, 200)
	lp.ups[1].Answered(now, 10*ms, 0, 200)
	if w, text := r.why("a"); len(w.Costs) != 2 || w.Costs[0].Equal || w.Costs[0].Times < 4 || w.Costs[0].Best != "b" || !strings.Contains(text, "times the lowest: b at 10.00 ms gets the next request") {
		t.Errorf("%+v\n%s", w.Costs, text)
	}
	r.tells("b", "10.00 ms for the class other, the lowest")

	// Full.
	if !lp.ups[0].enter(now, 0, 0) {
		t.Fatal("no place")
	}
	r.tells("a", "- brokers/a", "gets nothing more now: it has all of the 1 requests that it may have", "1 in flight of at most 1; nobody waits")
	lp.left(lp.ups[0], now, 0)

	// Failed connects.
	lp.ups[0].Unreachable(r.now())
	r.tells("a", "gets no new clients: avoided, as connects to it failed lately", "10.0 % of its requests failed lately; connects failed: it is avoided")
	lp.ups[0].Stats = choice.Stats{}

	// Back after it was away.
	lp.ups[1].back.Store(r.now())
	r.tells("b", "1; of it 10 % now: back for 0s, its share still grows (slow_start)")

	// An operator.
	w := word(Weight, "b")
	w.Weight = 5
	r.say(w)
	r.tells("b", "weight:      5, configured 1", "word:        weight 5 by alice: update; said at ")
	r.say(word(Drain, "b"))
	r.tells("b", "gets no new clients, only those that it has: drained by alice: update", "state:       draining (drained by alice: update)", "health:      up (not monitored)", "drain:       drained: 0 in flight, 0 bound clients left")
	r.say(word(Disable, "a"))
	r.tells("a", "gets nothing: it is maintenance (disabled by alice: update)")
	r.say(word(Disable, "c"))
	if w, _ := r.why("c"); !w.Nobody || w.Takes() {
		t.Errorf("%+v", w)
	}
	if n := lp.draws.Load(); n != draws {
		t.Errorf("telling counted %d choices", n-draws)
	}
	for member, pool := range map[string]string{"a": "nothing", "zoe": "brokers"} {
		if _, err := r.Why(pool, member); err == nil {
			t.Errorf("%s/%s is told of", pool, member)
		}
	}
}

// TestChosen: choices are counted by their rule, and lately is a minute.
func TestChosen(t *testing.T) {
	a := startBackend(t, says("a"))
	cfg := persistentConfig(PersistSource, members(a))
	reg := prometheus.NewRegistry()
	r := start(t, cfg, func(o *Options) { o.Metrics = reg })
	c := client(t, nil)
	for range 3 {
		get(t, c, "http://"+r.addr+"/")
	}
	m := r.member("a")
	if m.Chosen["method"] != 1 || m.Chosen["persistence"] != 2 || m.Lately != 3 || !m.Takes {
		t.Errorf("%+v", m)
	}
	want := `
# HELP switchpoint_lb_choices_total Choices of a member, by the rule: persistence, persistence-draining (it keeps its clients), method (lb_method), method-all-failing and method-panic (so, over members to which connects failed), connection (NTLM or Negotiate).
# TYPE switchpoint_lb_choices_total counter
switchpoint_lb_choices_total{by="connection",member="a",pool="brokers"} 0
switchpoint_lb_choices_total{by="method",member="a",pool="brokers"} 1
switchpoint_lb_choices_total{by="method-all-failing",member="a",pool="brokers"} 0
switchpoint_lb_choices_total{by="method-panic",member="a",pool="brokers"} 0
switchpoint_lb_choices_total{by="persistence",member="a",pool="brokers"} 2
switchpoint_lb_choices_total{by="persistence-draining",member="a",pool="brokers"} 0
# HELP switchpoint_lb_member_state 1 for the state of a member that decisions go by: its health under what operators say.
# TYPE switchpoint_lb_member_state gauge
switchpoint_lb_member_state{member="a",pool="brokers",state="draining"} 1
# HELP switchpoint_lb_pool_info 1, with how the pool chooses and knows clients again.
# TYPE switchpoint_lb_pool_info gauge
switchpoint_lb_pool_info{lb_method="` + cfg.WithDefaults().Pools[0].Method + `",persistence="source-address",pool="brokers"} 1
`
	r.say(word(Drain, "a"))
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "switchpoint_lb_choices_total", "switchpoint_lb_member_state", "switchpoint_lb_pool_info"); err != nil {
		t.Error(err)
	}
	var counts chosen
	counts.by[choice.ByMethod].Store(5)
	for range recentSeconds {
		counts.tick()
	}
	if counts.by[choice.Persisted].Store(2); counts.lately() != 2 || counts.total() != 7 {
		t.Errorf("lately %d of %d", counts.lately(), counts.total())
	}
}

// TestStopDelay: after the process was told to stop it still takes connections, and keeps none.
func TestStopDelay(t *testing.T) {
	a := startBackend(t, says("a"))
	cfg := plainConfig(members(a))
	cfg.StopDelay = time.Second
	r := start(t, cfg)
	c := client(t, nil)
	get(t, c, "http://"+r.addr+"/")
	began := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	eventually(t, "it is told to stop", r.draining.Load)
	for range 3 {
		if status, body := get(t, client(t, nil), "http://"+r.addr+"/"); status != 200 || body != "a" {
			t.Errorf("%d %s", status, body)
		}
	}
	if out := raw(t, r.addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.Contains(out, "Connection: close\r\n") {
		t.Errorf("%q", out)
	}
	if err := <-stopped; err != nil || time.Since(began) < cfg.StopDelay {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	for _, bad := range []time.Duration{-1, 2 * time.Minute} {
		cfg.StopDelay = bad
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "stop_delay") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
