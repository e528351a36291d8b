package lb

import (
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/internal/covers"
	"switchpoint/lb/choice"
)

// TestQueueStop: a process that stops serves those who wait while there is time, and cuts off the
// rest.
func TestQueueStop(t *testing.T) {
	g := startGated(t)
	r := start(t, limited(g, 1), func(o *Options) { o.DrainTimeout = 500 * ms })
	first := askFor(t, r.addr, "/0")
	eventually(t, "the first is there", func() bool { return len(g.paths()) == 1 })
	second := askFor(t, r.addr, "/1")
	eventually(t, "one waits", func() bool { return r.queued() == 1 })
	third := askFor(t, r.addr, "/2")
	eventually(t, "two wait", func() bool { return r.queued() == 2 })
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	eventually(t, "it stops", r.draining.Load)
	g.gate <- struct{}{}
	if status, _ := first.answer(t); status != 200 {
		t.Errorf("the first: %d", status)
	}
	eventually(t, "the second is there", func() bool { return len(g.paths()) == 2 })
	g.gate <- struct{}{}
	if status, _ := second.answer(t); status != 200 {
		t.Errorf("the second: %d", status)
	}
	eventually(t, "the third is there", func() bool { return len(g.paths()) == 3 })
	if b, err := io.ReadAll(third.Reader); len(b) > 0 {
		t.Errorf("the third got %q, %v", b, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestQueueStopWaiting: who still waits at the end of a drain is cut off, and Run ends.
func TestQueueStopWaiting(t *testing.T) {
	g := startGated(t)
	r := start(t, limited(g, 1), func(o *Options) { o.DrainTimeout = 100 * ms })
	askFor(t, r.addr, "/0")
	eventually(t, "the first is there", func() bool { return len(g.paths()) == 1 })
	second := askFor(t, r.addr, "/1")
	eventually(t, "one waits", func() bool { return r.queued() == 1 })
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if b, err := io.ReadAll(second.Reader); len(b) > 0 {
		t.Errorf("it got %q, %v", b, err)
	}
	if p := g.paths(); len(p) != 1 {
		t.Errorf("at the member: %v", p)
	}
}

// TestQueueTCP: connections of a tcp listener wait as requests do.
func TestQueueTCP(t *testing.T) {
	covers.Req(t, "LB10")
	cfg := tcpConfig(services(startService(t, greet("a")))...)
	cfg.Pools[0].Members[0].MaxInFlight, cfg.Pools[0].Queue = 1, 2
	r := start(t, cfg)
	first, name := greeted(t, r.addr)
	if name != "a" {
		t.Fatalf("got %q", name)
	}
	second := dial(t, r.addr)
	eventually(t, "one waits", func() bool { return r.queued() == 1 })
	gone := dial(t, r.addr)
	eventually(t, "two wait", func() bool { return r.queued() == 2 })
	cutOff(t, r.addr)
	_ = gone.SetLinger(0)
	_ = gone.Close()
	eventually(t, "one has gone", func() bool { return r.queued() == 1 })
	half := dial(t, r.addr)
	if err := half.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "two wait again", func() bool { return r.queued() == 2 })
	_ = first.Close()
	if got := line(t, second); got != "a" {
		t.Errorf("the second got %q", got)
	}
	_ = second.Close()
	if got := line(t, half); got != "a" {
		t.Errorf("the third got %q", got)
	}
	_ = half.Close()
	eventually(t, "all have ended", func() bool { return r.Status().Pools[0].Members[0].InFlight == 0 && r.queued() == 0 })
}

// TestQueueTCPLate: a connection that gets no place in time is cut off.
func TestQueueTCPLate(t *testing.T) {
	cfg := tcpConfig(services(startService(t, greet("a")))...)
	cfg.Pools[0].Members[0].MaxInFlight, cfg.Pools[0].QueueTimeout = 1, 50*ms
	r := start(t, cfg)
	if _, name := greeted(t, r.addr); name != "a" {
		t.Fatalf("got %q", name)
	}
	cutOff(t, r.addr)
	if r.ends(queueLate) != 1 {
		t.Errorf("%v ended late", r.ends(queueLate))
	}
}

// TestWaitKeepsTried: a request that waits for a place does not go back to a member that failed for it.
func TestWaitKeepsTried(t *testing.T) {
	r := start(t, plainConfig([]Member{{Name: "a", Address: "127.0.0.1:1"}, {Name: "b", Address: "127.0.0.1:2", MaxInFlight: 1}}))
	lp := r.live.Load().pools[0]
	if !lp.ups[1].enter(0, 0, time.Second) {
		t.Fatal("no place")
	}
	var q choice.Question
	lp.ask(&q, loopback, nil, r.now())
	q.Loads[0].Tried = true
	for range 2 {
		if i, why := lp.take(&q, r.now(), 1); i >= 0 || why.How != choice.AllFull {
			t.Errorf("picked %d, %s", i, why.How)
		}
		lp.refill(&q, loopback, nil, r.now())
	}
	lp.left(lp.ups[1], r.now(), 0)
	lp.refill(&q, loopback, nil, r.now())
	if i, _ := lp.take(&q, r.now(), 1); i != 1 {
		t.Errorf("picked %d", i)
	}
	lp.left(lp.ups[1], r.now(), 0)
}

// TestQueuesInOrder: of one who waits for any member and one whose session lives at the member that
// has a place, whoever came first gets it.
func TestQueuesInOrder(t *testing.T) {
	r := start(t, plainConfig([]Member{{Name: "a", Address: "127.0.0.1:1", MaxInFlight: 1}}))
	lp := r.live.Load().pools[0]
	u := lp.ups[0]
	ask := func(persisted int, number uint64) choice.How {
		var q choice.Question
		lp.ask(&q, loopback, nil, r.now())
		q.Persisted, q.Bond = persisted, choice.Firm
		i, why := lp.take(&q, r.now(), number)
		if i >= 0 {
			lp.left(u, r.now(), 0)
		}
		return why.How
	}
	wait := func(q *queue, number uint64) func() {
		w := &waiter{kicked: make(chan struct{}, 1), number: number}
		q.enter(w)
		return func() { q.leave(w) }
	}
	bound, free := wait(&u.queue, 1), wait(&lp.queue, 2)
	if how := ask(-1, 2); how != choice.AllFull {
		t.Errorf("who came later: %s", how)
	}
	if how := ask(0, 1); how != choice.Persisted {
		t.Errorf("who came first, and is bound: %s", how)
	}
	free()
	bound()
	free, bound = wait(&lp.queue, 3), wait(&u.queue, 4)
	if how := ask(-1, 3); how != choice.ByMethod {
		t.Errorf("who came first, and is not bound: %s", how)
	}
	for _, persisted := range []int{-1, 0} {
		if how := ask(persisted, newcomer); !how.Full() {
			t.Errorf("who has just come: %s", how)
		}
	}
	bound()
	if how := ask(0, newcomer); how != choice.Persisted {
		t.Errorf("a place at the member that it had: %s", how)
	}
	if how := ask(-1, newcomer); how != choice.AllFull {
		t.Errorf("behind the one who waits: %s", how)
	}
	free()
}

// TestBoundWaiterMoves: who waits for the member that it had goes to another one when an operator
// disables that one, and when a reload removes it.
func TestBoundWaiterMoves(t *testing.T) {
	for what, change := range map[string]func(*running, Config){
		"disabled": func(r *running, _ Config) { r.say(word(Disable, "a")) },
		"removed": func(r *running, cfg Config) {
			cfg.Pools = slices.Clone(cfg.Pools)
			cfg.Pools[0].Members = cfg.Pools[0].Members[1:]
			r.reload(cfg)
		},
	} {
		t.Run(what, func(t *testing.T) {
			g, b := startGated(t), startBackend(t, says("b"))
			cfg := plainConfig([]Member{{Name: "a", Address: g.addr, MaxInFlight: 1, Priority: 1}, {Name: "b", Address: b.addr}})
			cfg.Pools[0].Persistence = PersistSource
			r := start(t, cfg)
			first := askFor(t, r.addr, "/0")
			eventually(t, "the first is there", func() bool { return len(g.paths()) == 1 })
			u := r.live.Load().pools[0].ups[0]
			more := []asked{askFor(t, r.addr, "/1"), askFor(t, r.addr, "/2"), askFor(t, r.addr, "/3")}
			eventually(t, "three wait for their own member", func() bool { return u.queue.depth.Load() == 3 })
			change(r, cfg)
			for i, a := range more {
				if status, _ := a.answer(t); status != 200 {
					t.Errorf("%d: %d", i, status)
				}
			}
			g.gate <- struct{}{}
			if status, _ := first.answer(t); status != 200 || u.queue.depth.Load() != 0 || len(g.paths()) != 1 {
				t.Errorf("%d, %v", status, g.paths())
			}
			eventually(t, "no place is held", func() bool { return u.held.Load() == 0 })
		})
	}
}

// TestQueueUnderLoad: many clients over few places: everybody is served, the limits hold, and
// nothing is left over.
func TestQueueUnderLoad(t *testing.T) {
	g := startGated(t)
	b := startBackend(t, says("b"))
	cfg := plainConfig([]Member{{Name: "a", Address: g.addr, MaxInFlight: 2}, {Name: "b", Address: b.addr, MaxInFlight: 3}})
	cfg.Pools[0].Method = DefaultMethod
	for range 900 {
		g.gate <- struct{}{}
	}
	r := start(t, cfg)
	var clients sync.WaitGroup
	for range 24 {
		clients.Go(func() {
			c := client(t, nil)
			for range 30 {
				resp, err := c.Get("http://" + r.addr + "/")
				if err != nil || resp.StatusCode != 200 {
					t.Errorf("%v %v", resp, err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
	clients.Wait()
	if g.most > 2 {
		t.Errorf("%d requests at once at a member that takes 2", g.most)
	}
	pool := r.live.Load().pools[0]
	for i, u := range pool.ups {
		if u.held.Load() != 0 || u.InFlight() != 0 || u.queue.depth.Load() != 0 {
			t.Errorf("member %d: %d places held, %d in flight", i, u.held.Load(), u.InFlight())
		}
	}
	if pool.waits.Load() != 0 || pool.queue.depth.Load() != 0 || pool.queue.first != nil {
		t.Error("somebody is left in the queue")
	}
	if all := strings.Join(g.paths(), ""); len(all) == 0 {
		t.Error("the member with few places got nothing")
	}
}
