package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// How a session of another broker is found (LG2, DC3). The token names the site id of the broker that
// signed the user in:
//
//	this broker's memory, 2 s --> that broker, over peer, 300 ms --> the store --> session-expired
//
// That broker answers out of its memory or the store. One that lives no more, or kept silent within
// the last 5 s, is not asked. Whichever way, it is the same session; how old the store's word is
// travels with it, so that a logout counts everywhere after 2 s at most.
const (
	askOriginalFor  = 300 * time.Millisecond
	answerWithin    = 200 * time.Millisecond // what that leaves for the store of the broker that is asked
	silentOriginals = 5 * time.Second

	// In an outage the broker that signed the user in is the only one that can know his session: it is
	// worth more patience.
	askOriginalLong  = 1500 * time.Millisecond
	answerWithinLong = time.Second
	silentShort      = 500 * time.Millisecond
)

// SessionQuestion asks the broker that signed a user in about his session. A token's hash finds a
// session and opens none.
type SessionQuestion struct {
	TokenHash []byte `json:"token_hash"`
}

// SessionAnswer is its answer; Session is nil when it knows of no running one.
type SessionAnswer struct {
	Session *Session `json:"session,omitempty"`
	// Age is how long ago the store said that it runs.
	Age time.Duration `json:"age,omitempty"`
}

// AnswerSession answers the question of another broker of the cluster.
func (b *Broker) AnswerSession(ctx context.Context, q SessionQuestion) (SessionAnswer, error) {
	if len(q.TokenHash) != 32 {
		return SessionAnswer{}, fmt.Errorf("a token hash of %d bytes", len(q.TokenHash))
	}
	hash := [32]byte(q.TokenHash)
	kept, age, known := b.sessions.get(hash, time.Now())
	if known && age < sessionFresh {
		return SessionAnswer{Session: &kept, Age: age}, nil
	}
	_, within, _ := b.patience()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	asked := time.Now()
	s, err := b.storedSession(ctx, hash)
	switch {
	case err == nil:
		return SessionAnswer{Session: &s, Age: time.Since(asked)}, nil
	case errors.Is(err, ErrNotFound):
		return SessionAnswer{}, nil
	case known && errors.Is(err, ErrUnavailable):
		return SessionAnswer{Session: &kept, Age: age + time.Since(asked)}, nil
	}
	return SessionAnswer{}, err
}

// findSession finds the running session of a token that names the site id.
func (b *Broker) findSession(ctx context.Context, site int, hash [32]byte) (Session, error) {
	if s, age, ok := b.sessions.get(hash, time.Now()); ok && age < sessionFresh {
		b.metrics.lookups.WithLabelValues("memory").Inc()
		return s, nil
	}
	if b.sessions.over(hash) {
		b.metrics.lookups.WithLabelValues("none").Inc()
		return Session{}, ErrNotFound
	}
	theirs, age := b.askOriginal(ctx, site, hash)
	if theirs != nil && age < sessionFresh {
		b.metrics.lookups.WithLabelValues("peer").Inc()
		return *theirs, nil
	}
	s, err := b.storedSession(ctx, hash)
	switch {
	case err == nil:
		b.metrics.lookups.WithLabelValues("store").Inc()
	case theirs != nil && errors.Is(err, ErrUnavailable):
		b.metrics.lookups.WithLabelValues("peer").Inc()
		return *theirs, nil
	default:
		b.metrics.lookups.WithLabelValues("none").Inc()
	}
	return s, err
}

// storedSession asks the store, and keeps its answer.
func (b *Broker) storedSession(ctx context.Context, hash [32]byte) (Session, error) {
	asked := time.Now()
	s, err := b.o.Store.Session(ctx, hash)
	switch {
	case err == nil:
		b.sessions.put(hash, s, asked)
	case errors.Is(err, ErrNotFound):
		b.sessions.drop(hash)
	}
	return s, err
}

// patience is how long the original broker is asked for, how long it may take itself, and how long one
// that kept silent is left alone.
func (b *Broker) patience() (ask, answer, silent time.Duration) {
	if mode, _ := b.mode(); mode != modeNormal {
		return askOriginalLong, answerWithinLong, silentShort
	}
	return askOriginalFor, answerWithin, silentOriginals
}

// askOriginal asks the broker with that site id, if it is another one that lives. Nil: it said
// nothing, or knows of no session.
func (b *Broker) askOriginal(ctx context.Context, site int, hash [32]byte) (*Session, time.Duration) {
	name := b.originals.name(site, time.Now())
	if site == b.cfg.SiteID || b.o.AskSession == nil || name == "" {
		return nil, 0
	}
	asked := time.Now()
	wait, _, silent := b.patience()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	a, err := b.o.AskSession(ctx, name, SessionQuestion{TokenHash: hash[:]})
	switch {
	case err != nil:
		b.originals.silence(site, time.Now().Add(silent))
		b.log.Info("the broker of a session does not answer; the database does for it", "broker", name, "site_id", site, "error", err)
		return nil, 0
	case a.Session == nil || a.Session.SiteID != site || a.Age < 0:
		return nil, 0
	}
	// Its clock may show anything; what counts is this broker's, from before the question.
	b.sessions.put(hash, *a.Session, asked.Add(-a.Age))
	return a.Session, time.Since(asked) + a.Age
}

// originals knows who has which site id, and who does not answer.
type originals struct {
	mu     sync.Mutex
	names  map[int]string    // of the brokers that live
	silent map[int]time.Time // until when a broker is not asked again
	since  map[int]unheard   // brokers that give no answer on logins that wait
}

// unheard are the first and the last question without an answer.
type unheard struct{ first, last time.Time }

// learn takes a new list of the cluster's brokers.
func (o *originals) learn(list []NodeStatus) {
	names := make(map[int]string, len(list))
	for _, n := range list {
		if n.Live {
			names[n.SiteID] = n.Name
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.names = names
}

// name is that of a broker worth asking, or "".
func (o *originals) name(site int, now time.Time) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Before(o.silent[site]) {
		return ""
	}
	return o.names[site]
}

// unheard says for how long the broker with that site id has given no answer on logins that wait. What
// was asked so long ago that nobody can have waited for it since says nothing about now.
func (o *originals) unheard(site int, now time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since == nil {
		o.since = make(map[int]unheard)
	}
	s := o.since[site]
	if now.Sub(s.last) > abandonedAfter {
		s.first = now
	}
	s.last = now
	o.since[site] = s
	return now.Sub(s.first)
}

func (o *originals) heard(site int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.since, site)
}

// living is the name of the broker with that site id, silent or not; "": none lives.
func (o *originals) living(site int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.names[site]
}

func (o *originals) silence(site int, until time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.silent == nil {
		o.silent = make(map[int]time.Time)
	}
	o.silent[site] = until
}

// learnOriginals brings the list of brokers up to date; one that cannot be read stays as it was.
func (b *Broker) learnOriginals(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pollBound)
	defer cancel()
	if list, err := b.o.Store.Brokers(ctx); err == nil {
		b.originals.learn(list)
	}
	b.sessions.sweep(time.Now())
}
