package broker

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"switchpoint/internal/covers"
)

// counter is an admission whose logins take as long as a test says; synctest gives the time.
type counter struct {
	*admission
	work time.Duration
	stop func()

	mu      sync.Mutex
	worked  int
	stopped int // whose context ended
}

func newCounter(t *testing.T, places int, work time.Duration) *counter {
	c := &counter{admission: newAdmission(places, 120*time.Second, nil), work: work}
	c.admission.work = func(p *pending) {
		ctx, cancel := c.begin(p)
		defer cancel()
		waitUntil(ctx, time.Now().Add(work))
		result := LoginResult{Token: p.attempt.User}
		c.mu.Lock()
		if c.worked++; ctx.Err() != nil {
			c.stopped++
			result = LoginResult{Refusal: &Refusal{Code: string(c.ended(p))}}
		}
		c.mu.Unlock()
		c.leave(p)
		c.end(p, result)
	}
	c.lost = func(p *pending, why lossReason) {
		c.end(p, LoginResult{Refusal: &Refusal{Code: string(why), Position: p.turn.decision.ahead}})
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { c.run(ctx) })
	c.stop = func() { cancel(); running.Wait() }
	return c
}

func (c *counter) figures() (worked, stopped int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.worked, c.stopped
}

// login is a request as Login makes it, of a user who sits at the nth address.
func (c *counter) login(ctx context.Context, n int, user, key string) LoginResult {
	now := time.Now()
	req := LoginRequest{User: user, Password: "p", Key: key, Arrived: now, ClientAddr: fmt.Sprintf("192.0.2.%d", n)}
	p := &pending{attempt: &attempt{LoginRequest: req}, done: make(chan struct{})}
	if key != "" {
		p.key = joinKey([32]byte{1}, req)
	}
	awaited := c.arrive(p)
	if awaited == nil {
		return LoginResult{Refusal: &Refusal{Code: CodeStopped}}
	}
	return c.await(ctx, awaited, 7, now.Add(10*time.Second))
}

// poll asks as LoginOutcome does; nil: the id is not known.
func (c *counter) poll(t *testing.T, id string) *LoginResult {
	t.Helper()
	parsed, err := parseWaitingID(id)
	if err != nil || parsed.site != 7 {
		t.Fatalf("id %q: %+v, %v", id, parsed, err)
	}
	p := c.find(parsed.hash())
	if p == nil {
		return nil
	}
	r := c.await(t.Context(), p, 7, time.Now().Add(10*time.Second))
	return &r
}

// TestWaitingLogin: after ten seconds a login gets an id and keeps its place; whoever asks with that waits
// ten seconds more, and gets the outcome as often as he asks for two minutes.
func TestWaitingLogin(t *testing.T) {
	covers.Req(t, "LG1")
	synctest.Test(t, func(t *testing.T) {
		c := newCounter(t, 1, 25*time.Second)
		defer c.stop()
		var others sync.WaitGroup
		defer others.Wait()
		for i := range 2 {
			others.Go(func() { c.login(t.Context(), i+1, "other", "") })
			synctest.Wait()
		}
		arrived := time.Now()
		took := func() time.Duration { return time.Since(arrived) }
		r := c.login(t.Context(), 3, "anna", "")
		if r.Waiting == nil || took() != 10*time.Second || r.Waiting.Position != 1 || r.Waiting.RetryAfter < time.Second || r.Token != "" || r.Refusal != nil {
			t.Fatalf("after %s: %+v", took(), r.Waiting)
		}
		id := r.Waiting.ID
		for _, s := range []int{20, 30, 40, 50, 60, 70} {
			p := c.poll(t, id)
			want := 0
			if s < 25 {
				want = 1
			}
			if p == nil || p.Waiting == nil || p.Waiting.ID != id || p.Waiting.Position != want || took() != time.Duration(s)*time.Second {
				t.Fatalf("after %s: %+v", took(), p)
			}
		}
		p := c.poll(t, id)
		if p == nil || p.Token != "anna" || took() != 75*time.Second {
			t.Fatalf("after %s: %+v", took(), p)
		}
		time.Sleep(119 * time.Second)
		if p := c.poll(t, id); p == nil || p.Token != "anna" {
			t.Errorf("asked for again within two minutes: %+v", p)
		}
		time.Sleep(3 * time.Second)
		if p := c.poll(t, id); p != nil {
			t.Errorf("kept for longer than two minutes: %+v", p)
		}
		c.admission.mu.Lock()
		defer c.admission.mu.Unlock()
		if len(c.known.byID) != 0 || c.known.ended.Len() != 0 || len(c.queue.lanes) != 0 {
			t.Errorf("left over: %d ids, %d outcomes, %d lanes", len(c.known.byID), c.known.ended.Len(), len(c.queue.lanes))
		}
	})
}

// TestDeadlineOfALogin: what cannot be answered within two minutes is refused by then, whether it waits or
// is in work, and nothing that comes later hears yes.
func TestDeadlineOfALogin(t *testing.T) {
	covers.Req(t, "LG1")
	synctest.Test(t, func(t *testing.T) {
		c := newCounter(t, 1, time.Hour)
		defer c.stop()
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				arrived := time.Now()
				r := c.login(t.Context(), i, "anna", "")
				for r.Waiting != nil {
					id := r.Waiting.ID
					if p := c.poll(t, id); p != nil {
						r = *p
					} else {
						t.Error("the id is not known")
						return
					}
				}
				if took := time.Since(arrived); r.Refusal == nil || r.Refusal.Code != string(lossDeadline) || took > 120*time.Second || took < 100*time.Second {
					t.Errorf("after %s: %+v", took, r.Refusal)
				}
			})
		}
		wg.Wait()
		if s := c.state(); s.working != 0 || s.waiting != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestClientGone: a login that nobody waits for any more leaves the queue, or its work is ended; one that
// has got an id stays for whoever asks within 30 s.
func TestClientGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter(t, 1, 50*time.Second)
		defer c.stop()
		var wg sync.WaitGroup
		var leave [2]context.CancelFunc
		for i := range leave {
			var ctx context.Context
			ctx, leave[i] = context.WithCancel(t.Context())
			wg.Go(func() {
				if r := c.login(ctx, i, "anna", ""); r.Refusal == nil || r.Refusal.Code != CodeAbandoned {
					t.Errorf("%+v", r)
				}
			})
			synctest.Wait()
		}
		if s := c.state(); s.working != 1 || s.waiting != 1 {
			t.Fatalf("%+v", s)
		}
		leave[1]()
		synctest.Wait()
		if s := c.state(); s.working != 1 || s.waiting != 0 {
			t.Errorf("it has not left the queue: %+v", s)
		}
		leave[0]()
		synctest.Wait()
		if s := c.state(); s.working != 0 {
			t.Errorf("its work goes on: %+v", s)
		}
		wg.Wait()
		if worked, stopped := c.figures(); worked != 1 || stopped != 1 {
			t.Errorf("%d were worked, %d of them stopped", worked, stopped)
		}

		// Two in line behind one; of the first nobody asks for the outcome.
		for i := range 3 {
			wg.Go(func() {
				if r := c.login(t.Context(), i, "bob", ""); r.Waiting == nil {
					t.Errorf("%+v", r)
				} else if i != 1 {
					for r := c.poll(t, r.Waiting.ID); r.Waiting != nil; r = c.poll(t, r.Waiting.ID) {
					}
				}
			})
			synctest.Wait()
		}
		time.Sleep(51 * time.Second)
		if s := c.state(); s.working != 1 || s.waiting != 0 {
			t.Errorf("the one that nobody asks for still waits: %+v", s)
		}
		wg.Wait()
	})
}

// TestRepeatedLogin: the same request with the same key while the first one is under way is that one; it
// goes on when the first client has gone, and another request with the key is another login.
func TestRepeatedLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter(t, 1, 15*time.Second)
		defer c.stop()
		first, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { c.login(first, 1, "anna", "k1") })
		synctest.Wait()
		ids, other := make([]string, 2), ""
		for i := range ids {
			wg.Go(func() {
				if r := c.login(t.Context(), 1, "anna", "k1"); r.Waiting != nil {
					ids[i] = r.Waiting.ID
				}
			})
		}
		wg.Go(func() {
			if r := c.login(t.Context(), 1, "bob", "k1"); r.Waiting != nil {
				other = r.Waiting.ID
			}
		})
		time.Sleep(time.Second)
		leave()
		if s := c.state(); s.working != 1 || s.waiting != 1 {
			t.Errorf("%+v", s)
		}
		wg.Wait()
		if ids[0] == "" || ids[0] != ids[1] || other == "" || other == ids[0] {
			t.Fatalf("the ids of one login: %q, of another user with the key: %q", ids, other)
		}
		for range 2 {
			if r := c.poll(t, ids[0]); r == nil || r.Token != "anna" {
				t.Errorf("%+v", r)
			}
		}
		time.Sleep(20 * time.Second)
		if worked, stopped := c.figures(); worked != 2 || stopped != 0 {
			t.Errorf("%d were worked, %d of them stopped", worked, stopped)
		}
		c.admission.mu.Lock()
		defer c.admission.mu.Unlock()
		if len(c.known.byKey) != 0 {
			t.Errorf("%d keys are left", len(c.known.byKey))
		}
	})
}

// TestStopWithLogins: a broker that stops answers all that wait, ends the work and takes no more.
func TestStopWithLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter(t, 2, time.Minute)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				if r := c.login(t.Context(), i, "anna", ""); r.Refusal == nil || r.Refusal.Code != string(lossStopped) {
					t.Errorf("%+v", r)
				}
			})
		}
		time.Sleep(time.Second)
		c.stop()
		wg.Wait()
		if r := c.login(t.Context(), 1, "anna", ""); r.Refusal == nil || r.Refusal.Code != CodeStopped {
			t.Errorf("after the end: %+v", r)
		}
		if s := c.state(); s.working != 0 || s.waiting != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestOutcomesAreBounded: the oldest outcomes go when there are too many.
func TestOutcomesAreBounded(t *testing.T) {
	k := newKnownLogins()
	var first *pending
	for range maxOutcomes + 10 {
		p := &pending{id: newWaitingID(1), attempt: &attempt{}}
		if first == nil {
			first = p
		}
		k.byID[p.id.hash()] = p
		k.end(p, time.Now())
	}
	if len(k.byID) != maxOutcomes || k.ended.Len() != maxOutcomes || k.byID[first.id.hash()] != nil {
		t.Errorf("%d ids, %d outcomes", len(k.byID), k.ended.Len())
	}
}

// FuzzWaitingID: whatever a client sends, only what newWaitingID makes is an id.
func FuzzWaitingID(f *testing.F) {
	good := newWaitingID(3).String()
	for _, s := range []string{good, "", "sw1", "sw1.3.", "sw1..", good + "=", strings.Replace(good, "sw1", "sp1", 1), strings.Replace(good, ".3.", ".03.", 1),
		strings.Replace(good, ".3.", ".65536.", 1), strings.Replace(good, ".3.", ".-3.", 1), good + ".x", strings.Repeat("A", 1<<16)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := parseWaitingID(s)
		if err == nil && (id.String() != s || id.zero() || id.site > maxSiteID) {
			t.Errorf("%q is read as %+v", s, id)
		}
	})
}
