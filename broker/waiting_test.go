package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/broker"
	"switchpoint/directory/demodir"
	"switchpoint/internal/covers"
)

// slowDirectory is the demo directory behind a proxy, as one of the setup's.
func slowDirectory(t *testing.T) (*exchanges, broker.Directory) {
	t.Helper()
	address, _ := serveDirectory(t, "127.0.0.1:0")
	e := ldapExchanges(t, address, demodir.ServiceDN)
	d := corp(t, e.addr())
	d.Timeout = 20 * time.Second
	return e, d
}

// untilEnd signs in and asks for the outcome until there is one, as a client does.
func (r *running) untilEnd(t *testing.T, q broker.LoginRequest) (res broker.LoginResult, polls int) {
	t.Helper()
	res = r.Login(t.Context(), q)
	for ; res.Waiting != nil; polls++ {
		if polls > 1000 {
			t.Fatal("it waits forever")
		}
		res = r.LoginOutcome(t.Context(), res.Waiting.ID)
	}
	return res, polls
}

// TestLoginThatWaits: a login that is not answered in time keeps its place, its outcome is had with its
// id, and a repeated request with its key is the same login: one bind, one session.
func TestLoginThatWaits(t *testing.T) {
	covers.Req(t, "LG1", "LG4")
	t.Parallel()
	ldap, d := slowDirectory(t)
	b := newCluster(t).start(1, func(o *broker.Options) {
		o.Config.Capacity, o.Config.AnswerWithin = 1, 100*time.Millisecond
	})
	b.fill(t, ukSetup(d))
	b.untilEnd(t, login("bob", "bob-demo")) // connections are made
	ldap.slow(2)
	ldap.figures()
	held := make(chan struct{})
	go func() { defer close(held); b.untilEnd(t, login("dave", "dave-demo")) }()
	defer func() { <-held }()
	eventually(t, "the place is taken", func() bool { return b.Alive().Active == 1 })

	q := login("bob", "bob-demo")
	q.Key, q.Arrived = "key-1", time.Now()
	first, second := b.Login(t.Context(), q), b.Login(t.Context(), q)
	if first.Waiting == nil || second.Waiting == nil || first.Waiting.ID != second.Waiting.ID || !strings.HasPrefix(first.Waiting.ID, "sw1.1.") {
		t.Fatalf("one login sent twice: %+v, %+v", first.Waiting, second.Waiting)
	}
	var got [3]broker.LoginResult
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			for got[i] = first; got[i].Waiting != nil; got[i] = b.LoginOutcome(t.Context(), first.Waiting.ID) {
			}
		})
	}
	wg.Wait()
	<-held
	again := b.LoginOutcome(t.Context(), first.Waiting.ID)
	for _, r := range append(got[:], again) {
		if r.Token == "" || r.Token != got[0].Token || len(r.Offers) == 0 {
			t.Errorf("the outcome: %+v", r)
		}
	}
	if n := ldap.total(userBind); n != 2 {
		t.Errorf("%d binds for two logins", n)
	}
	if _, offers, err := b.Offers(t.Context(), again.Token, "192.0.2.7"); err != nil || len(offers) == 0 {
		t.Errorf("the session: %v, %v", offers, err)
	}
	row, err := b.ExplainRef(t.Context(), again.Ref)
	if err != nil || row.Duration < 400*time.Millisecond || !strings.Contains(strings.Join(row.Reason, "\n"), "for a place") {
		t.Errorf("its log row: %+v, %v", row, err)
	}

	// A wrong password is one bind, and no sooner answered than any other.
	q = login("bob", "wrong")
	q.Arrived = time.Now()
	if r, _ := b.untilEnd(t, q); code(r.Refusal) != broker.CodeSignInFailed || time.Since(q.Arrived) < 300*time.Millisecond {
		t.Errorf("a wrong password: %+v after %s", r, time.Since(q.Arrived))
	}
	if n := ldap.total(userBind); n != 3 {
		t.Errorf("%d binds for three logins", n)
	}
	for _, id := range []string{"", "x", "sw1.1.AAAA", first.Waiting.ID + "A", strings.Replace(first.Waiting.ID, "sw1.1.", "sw1.2.", 1), again.Token} {
		if r := b.LoginOutcome(t.Context(), id); code(r.Refusal) != broker.CodeLoginUnknown || r.Token != "" {
			t.Errorf("id %q: %+v", id, r)
		}
	}
}

// TestOutcomeElsewhere: another broker of the cluster asks the one that has the login; one that does not
// answer is asked later, one that is no more has taken the login with it.
func TestOutcomeElsewhere(t *testing.T) {
	covers.Req(t, "LG1")
	t.Parallel()
	ldap, d := slowDirectory(t)
	c := newCluster(t)
	one := c.start(1, func(o *broker.Options) { o.Config.AnswerWithin = 100 * time.Millisecond })
	one.fill(t, ukSetup(d))
	var broken atomic.Bool
	two := c.start(2, func(o *broker.Options) {
		o.Config.AnswerWithin = 1500 * time.Millisecond
		o.AskWaiting = func(_ context.Context, name string, q broker.WaitingQuestion) (broker.WaitingAnswer, error) {
			if name != "broker-1" {
				t.Errorf("broker %q is asked", name)
			}
			if broken.Load() {
				return broker.WaitingAnswer{}, errors.New("no answer")
			}
			return one.AnswerWaiting(q)
		}
	})
	one.untilEnd(t, login("bob", "bob-demo"))
	ldap.slow(1)
	one.untilEnd(t, login("dave", "dave-demo")) // the next one has to wait a second
	res := one.Login(t.Context(), login("bob", "bob-demo"))
	if res.Waiting == nil {
		t.Fatalf("%+v", res)
	}
	id := res.Waiting.ID
	eventually(t, "it knows of the other one", func() bool { return two.LoginOutcome(t.Context(), id).Refusal == nil })
	broken.Store(true)
	if r := two.LoginOutcome(t.Context(), id); r.Waiting == nil || r.Waiting.ID != id || r.Waiting.RetryAfter == 0 {
		t.Errorf("while the other one does not answer: %+v", r)
	}
	broken.Store(false)
	for res = two.LoginOutcome(t.Context(), id); res.Waiting != nil; res = two.LoginOutcome(t.Context(), id) {
	}
	if res.Token == "" || !strings.HasPrefix(res.Token, "sp1.1.") || len(res.Offers) == 0 {
		t.Errorf("the outcome at another broker: %+v", res)
	}
	if r := one.LoginOutcome(t.Context(), id); r.Token != res.Token {
		t.Errorf("at its own: %+v", r)
	}
	if _, err := one.AnswerWaiting(broker.WaitingQuestion{IDHash: []byte("short")}); err == nil {
		t.Error("half a hash is answered")
	}
	if a, err := one.AnswerWaiting(broker.WaitingQuestion{IDHash: make([]byte, 32)}); err != nil || a.Result != nil {
		t.Errorf("an id that nobody has: %+v, %v", a, err)
	}
	if err := one.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it knows that the other one is no more", func() bool {
		r := two.LoginOutcome(t.Context(), id)
		return code(r.Refusal) == broker.CodeLoginUnknown
	})
}

// gauges reads metrics without labels.
func gauges(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			switch {
			case m.GetGauge() != nil:
				out[name] = m.GetGauge().GetValue()
			case m.GetCounter() != nil:
				out[name] = m.GetCounter().GetValue()
			case m.GetHistogram() != nil:
				out[name] = float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return out
}

// overload is what came of offering more logins than the directory can do.
type overload struct {
	mu               sync.Mutex
	accepted, inTime int
	slowest          time.Duration
	codes            map[string]int
}

func (o *overload) count(res broker.LoginResult, took time.Duration, underLoad bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if res.Token != "" {
		o.accepted++
		o.slowest = max(o.slowest, took)
		if underLoad {
			o.inTime++
		}
		return
	}
	o.codes[code(res.Refusal)]++
}

// TestSlowDirectory offers three times as many logins as the directory can do (LG1, with a deadline of 10 s
// in place of two minutes): none that is accepted is late, the directory's work is for those that are, and
// is_alive is 503 meanwhile and 200 again soon after.
func TestSlowDirectory(t *testing.T) {
	covers.Req(t, "LG1", "AL1", "AL5")
	const places, perSecond, deadline, loaded = 12, 20, 10 * time.Second, 14 * time.Second
	ldap, d := slowDirectory(t)
	reg := prometheus.NewRegistry()
	b := newCluster(t).start(1, func(o *broker.Options) {
		o.Config.Capacity, o.Config.LoginDeadline, o.Config.AnswerWithin, o.Metrics = places, deadline, time.Second, reg
	})
	b.fill(t, ukSetup(d))
	b.mustLogin(t, "bob")
	ldap.slow(perSecond)
	ldap.figures()

	o := overload{codes: make(map[string]int)}
	var clients sync.WaitGroup
	began := time.Now()
	end := began.Add(loaded)
	settled := began.Add(time.Second)
	var crowded, low, calm time.Time
	boundBefore, bound := 0, 0 // binds
	offered, most, samples, busy := 0, 0.0, 0, 0
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for now := range tick.C {
		for due := int(min(now.Sub(began), loaded).Seconds() * 3 * perSecond); offered < due; offered++ {
			n := offered
			clients.Go(func() {
				q := login("bob", "bob-demo")
				q.ClientAddr = fmt.Sprintf("10.1.%d.%d", n/200, n%200)
				q.Arrived = time.Now()
				res, _ := b.untilEnd(t, q)
				ended := time.Now()
				o.count(res, ended.Sub(q.Arrived), ended.After(settled) && ended.Before(end))
			})
		}
		g := gauges(t, reg)
		waiting, limit, alive := g["switchpoint_broker_logins_waiting"], g["switchpoint_broker_logins_waiting_limit"], b.Alive()
		if most = max(most, limit); alive.Active > places+int(most)+3*perSecond {
			t.Fatalf("%d logins are in, %g may wait", alive.Active, most)
		}
		if now.After(settled) && now.Before(end) {
			if samples++; samples == 1 {
				boundBefore = ldap.total(userBind)
			}
			bound = ldap.total(userBind) - boundBefore
			if alive.Active >= places {
				busy++
			}
		}
		switch {
		case crowded.IsZero() && alive.Status == 503:
			crowded = now
		case alive.Status == 503:
			calm = time.Time{}
		case calm.IsZero() && !crowded.IsZero():
			calm = now
		}
		if waiting*4 > limit {
			low = now
		}
		if now.After(end) && alive.Active == 0 {
			break
		}
		if now.Sub(end) > 2*deadline {
			t.Fatalf("%d logins are still in", alive.Active)
		}
	}
	clients.Wait()
	g := gauges(t, reg)
	// What the directory can do is what it did while all places were taken: the machine may be slower.
	goodput, binds := float64(o.inTime)/end.Sub(settled).Seconds(), float64(bound)/end.Sub(settled).Seconds()
	t.Logf("offered %d, accepted %d (%.1f of %.1f/s under load, the slowest after %s), refused %v; 503 after %s, 200 %s after the queue was low",
		offered, o.accepted, goodput, binds, o.slowest, o.codes, crowded.Sub(began), calm.Sub(low))
	switch {
	case o.slowest > deadline:
		t.Errorf("a login was accepted after %s", o.slowest)
	case busy < samples*95/100 || samples < 20:
		t.Errorf("all places were taken in %d of %d samples", busy, samples)
	case goodput < 0.95*min(perSecond, binds):
		t.Errorf("%.1f logins a second were accepted of %.1f that the directory did", goodput, binds)
	case crowded.IsZero() || calm.IsZero() || calm.Sub(low) > 5*time.Second:
		t.Errorf("is_alive: 503 at %s, low at %s, 200 at %s", crowded, low, calm)
	case o.codes[broker.CodeBusy] == 0 || o.accepted+o.codes[broker.CodeBusy]+o.codes[broker.CodeTimedOut] != offered:
		t.Errorf("offered %d, accepted %d, refused %v", offered, o.accepted, o.codes)
	case g["switchpoint_broker_logins_lost_total busy"] == 0 || g["switchpoint_broker_login_wait_seconds"] < float64(o.accepted) || g["switchpoint_broker_logins_active"] != 0:
		t.Errorf("metrics: %v", g)
	}
	if rate := g["switchpoint_broker_logins_service_rate"]; rate > perSecond*2 {
		t.Errorf("the measured rate is %g/s", rate)
	}
}
