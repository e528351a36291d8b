package broker

import (
	"container/list"
	"context"
	"crypto/sha256"
	"time"
)

const (
	// keepOutcome is for how long the outcome of a login that was waited for may be asked for, so that
	// an answer that got lost on its way can be asked for again.
	keepOutcome = 120 * time.Second
	// maxOutcomes bounds the memory that they take (about 2 KB each).
	maxOutcomes = 50_000
	// askAgain bounds after how long a client is told to ask again.
	askAgainSoon = time.Second
	askAgainLate = 10 * time.Second
)

// pending is one login from its arrival until its outcome is forgotten:
//
//	arrived --> waits --> in work --> ended: its outcome is in result
//	   |          |          |
//	   |          v          v
//	   |  after answer_within: it has an id, and its client asks for the outcome with that
//	   v
//	nobody waits for it and it has no id: it is given up
//
// While it has no id its outcome can be had by the requests alone that wait for it: more than one when
// a client repeats its request with the same Idempotency-Key.
type pending struct {
	attempt *attempt
	key     [32]byte // of what may join it; zero: nothing
	done    chan struct{}
	result  LoginResult   // when done is closed
	worked  time.Duration // in its place

	// admission.mu guards these.
	turn     turn
	watchers int
	id       waitingID // zero: nobody has been told to ask again
	cancel   context.CancelFunc
	givenUp  bool
	ended    time.Time
}

// knownLogins finds the logins that can be joined or asked about.
type knownLogins struct {
	byKey map[[32]byte]*pending // under way, with an Idempotency-Key
	byID  map[[32]byte]*pending // by the hash of their ids
	ended list.List             // those of byID that have ended, the earliest first
}

// joinKey is the same for two requests that are one login sent twice.
func joinKey(secret [32]byte, r LoginRequest) [32]byte {
	return keyed(secret, "login-join", r.Key, r.Directory, r.User, r.Password, r.NewPassword, r.Ticket)
}

func newKnownLogins() knownLogins {
	return knownLogins{byKey: make(map[[32]byte]*pending), byID: make(map[[32]byte]*pending)}
}

// join gives the login under way that p repeats, else p, and counts who waits for it.
func (k *knownLogins) join(p *pending) *pending {
	if p.key != [32]byte{} {
		if first := k.byKey[p.key]; first != nil {
			p = first
		} else {
			k.byKey[p.key] = p
		}
	}
	p.watch()
	return p
}

// end takes the outcome of p. Only what may be asked for is kept.
func (k *knownLogins) end(p *pending, now time.Time) {
	if k.byKey[p.key] == p {
		delete(k.byKey, p.key)
	}
	p.ended = now
	if p.id.zero() {
		return
	}
	k.ended.PushBack(p)
	if k.ended.Len() > maxOutcomes {
		k.forget()
	}
}

// sweep forgets what is too old to be asked for.
func (k *knownLogins) sweep(now time.Time) {
	for e := k.ended.Front(); e != nil && now.Sub(e.Value.(*pending).ended) >= keepOutcome; e = k.ended.Front() {
		k.forget()
	}
}

func (k *knownLogins) forget() {
	e := k.ended.Front()
	k.ended.Remove(e)
	delete(k.byID, e.Value.(*pending).id.hash())
}

func (p *pending) watch() {
	p.watchers++
	p.turn.unwatched = time.Time{}
}

func (p *pending) unwatch(now time.Time) {
	if p.watchers--; p.watchers == 0 {
		p.turn.unwatched = now
	}
}

// await waits for the outcome of p until the moment until, and then says that it is to be asked for.
func (a *admission) await(ctx context.Context, p *pending, site int, until time.Time) LoginResult {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-p.done:
		return a.outcome(p, site)
	case <-timer.C:
		return a.outcome(p, site)
	case <-ctx.Done():
		a.leftAlone(p)
		return LoginResult{Refusal: refusal(CodeAbandoned, p.attempt.row.Ref)}
	}
}

// outcome gives the result of p, or where to ask for it, to one who waited.
func (a *admission) outcome(p *pending, site int) LoginResult {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	p.unwatch(now)
	if !p.ended.IsZero() {
		return p.result
	}
	if p.id.zero() {
		p.id = newWaitingID(site)
		a.known.byID[p.id.hash()] = p
	}
	w := a.progress(p, now)
	w.ID = p.id.String()
	return LoginResult{Waiting: &w, Ref: p.attempt.row.Ref}
}

// progress says how far a login is. a.mu is held.
func (a *admission) progress(p *pending, now time.Time) Waiting {
	w := Waiting{Position: a.queue.position(now, &p.turn)}
	// Whoever has long to wait may ask less often: it comes too late by a tenth at most.
	w.RetryAfter = min(max(a.queue.expected(now, w.Position)/10, askAgainSoon), askAgainLate).Round(time.Second)
	return w
}

// leftAlone is told that a client has gone. Without an id nobody else can have the outcome, so that
// the login is given up if it was the last one.
func (a *admission) leftAlone(p *pending) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	p.unwatch(now)
	if p.watchers > 0 || !p.id.zero() || !p.ended.IsZero() {
		return
	}
	p.givenUp = true
	if a.known.byKey[p.key] == p {
		delete(a.known.byKey, p.key)
	}
	a.queue.leave(now, &p.turn)
	a.answerLosses()
	if p.cancel != nil {
		p.cancel()
	}
}

// begin gives the context of the work on p.
func (a *admission) begin(p *pending) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithDeadline(a.base, p.turn.deadline)
	a.mu.Lock()
	defer a.mu.Unlock()
	if p.cancel = cancel; p.givenUp {
		cancel()
	}
	return ctx, cancel
}

// ended says why the work on p was ended.
func (a *admission) ended(p *pending) lossReason {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case p.givenUp:
		return lossAbandoned
	case a.closed:
		return lossStopped
	}
	return lossDeadline
}

// end gives the outcome of p to all who wait for it.
func (a *admission) end(p *pending, r LoginResult) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p.result = r
	p.attempt.Password, p.attempt.NewPassword, p.attempt.Ticket = "", "", "" // of no use any more
	a.known.end(p, time.Now())
	close(p.done)
}

// find gives the login with that id, and counts who waits for it.
func (a *admission) find(hash [sha256.Size]byte) *pending {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.known.byID[hash]
	if p != nil {
		p.watch()
	}
	return p
}
