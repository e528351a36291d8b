package broker

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// admission is the queue with its clock and its lock, and the owner of the logins' goroutines. A login
// has one while it is worked; while it waits it has none.
type admission struct {
	work func(*pending)             // works a login that has its place
	lost func(*pending, lossReason) // answers one that gets none

	places int
	shared []netip.Prefix     // addresses that many users share
	base   context.Context    // of all work
	cancel context.CancelFunc // ends it
	group  sync.WaitGroup

	mu     sync.Mutex // of all below, and of the fields of pendings that say so
	queue  *queue
	closed bool
	known  knownLogins
}

func newAdmission(places int, deadline time.Duration, shared []netip.Prefix) *admission {
	a := &admission{places: places, shared: shared, queue: newQueue(places, deadline), known: newKnownLogins()}
	a.base, a.cancel = context.WithCancel(context.Background())
	return a
}

// sharedSources are the addresses that a client has whose own is not told: those of the balancers, and
// those behind which many sit.
func (c Config) sharedSources() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range slices.Concat(c.TrustedProxies, c.LimitsExempt) {
		if p, err := ParsePrefix(s); err == nil { // Validate has refused the others
			out = append(out, p)
		}
	}
	return out
}

// isShared says whether an address stands for many users.
func (a *admission) isShared(address netip.Addr) bool {
	for _, p := range a.shared {
		if p.Contains(address) {
			return true
		}
	}
	return false
}

// answerReserve is how long before its deadline a login has to have ended, so that the answer is there in
// time.
func answerReserve(deadline time.Duration) time.Duration {
	return min(deadline/20, 500*time.Millisecond)
}

// arrive lets a login in, lets it wait or refuses it, and waits for nothing itself. It gives back the
// login whose outcome is to be awaited: that of an earlier request with the same key, if there is one
// under way, else p. Nil: the broker has stopped.
func (a *admission) arrive(p *pending) *pending {
	p.turn.login = p
	p.turn.arrived, p.turn.deadline = p.attempt.Arrived, p.attempt.Arrived.Add(a.queue.deadline-answerReserve(a.queue.deadline))
	p.turn.source = sourceOf(p.attempt.ClientAddr, canonicalUser(p.attempt.User), a.isShared)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	if first := a.known.join(p); first != p {
		return first
	}
	p.turn.decision = a.queue.arrive(time.Now(), &p.turn)
	if p.turn.decision.start {
		a.group.Go(func() { a.work(p) })
	}
	a.answerLosses()
	return p
}

// leave gives a login's place to the next one.
func (a *admission) leave(p *pending) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if next := a.queue.done(time.Now(), &p.turn); next != nil {
		a.group.Go(func() { a.work(next.login) })
	}
	a.answerLosses()
}

// answerLosses lets those be answered that the queue has lost. a.mu is held.
func (a *admission) answerLosses() {
	for _, t := range a.queue.takeLosses() {
		a.group.Go(func() { a.lost(t.login, t.why) })
	}
}

// tick does what time alone brings about.
func (a *admission) tick(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue.expire(now)
	a.answerLosses()
	a.known.sweep(now)
}

// run lets time pass until ctx ends; then it refuses the logins that wait, ends those in work and
// returns when all are answered.
func (a *admission) run(ctx context.Context) {
	tick := time.NewTicker(max(time.Millisecond, min(500*time.Millisecond, a.queue.deadline/240)))
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case now := <-tick.C:
			a.tick(now)
		case <-ctx.Done():
		}
	}
	a.mu.Lock()
	a.closed = true
	a.queue.stop(time.Now())
	a.answerLosses()
	a.cancel()
	a.mu.Unlock()
	a.group.Wait()
}

// queueState is the queue at one moment.
type queueState struct {
	working, waiting, limit int
	rate                    float64 // logins a second that get a place
	crowded                 bool
}

func (a *admission) state() queueState {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue.expire(now)
	a.answerLosses()
	return queueState{working: a.queue.working, waiting: a.queue.waiting, limit: a.queue.limit(now), rate: a.queue.rate.at(now), crowded: a.queue.crowded}
}

// active is the number of logins in work, capacity how many there may be.
func (a *admission) active() int   { return a.state().working }
func (a *admission) capacity() int { return a.places }
