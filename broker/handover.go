package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
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
//
// One that has lost the database answers out of its files, and hands over the acts that the database does
// not have yet (DC7). A broker that has the database brings them in, and goes by what the database says
// then: the session may have been ended there meanwhile.
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
	// Files says that this is not the word of the database.
	Files bool `json:"files,omitempty"`
	// Acts began and used it, as far as the database may not have that yet.
	Acts []Act `json:"acts,omitempty"`
}

// fresh says whether it can be gone by without asking the store.
func (a SessionAnswer) fresh(b *Broker) bool {
	return a.Session != nil && a.Age < sessionFresh && !(a.Files && b.fromDatabase())
}

// fromDatabase says whether the store's word is that of the database.
func (b *Broker) fromDatabase() bool {
	mode, _ := b.mode()
	return mode == modeNormal
}

// AnswerSession answers the question of another broker of the cluster.
func (b *Broker) AnswerSession(ctx context.Context, q SessionQuestion) (SessionAnswer, error) {
	if len(q.TokenHash) != 32 {
		return SessionAnswer{}, fmt.Errorf("a token hash of %d bytes", len(q.TokenHash))
	}
	hash := [32]byte(q.TokenHash)
	if b.sessions.over(hash) {
		return SessionAnswer{}, nil
	}
	own, acts, err := b.unmerged(ctx, hash)
	if err != nil {
		return SessionAnswer{}, err
	}
	kept, age, known := b.sessions.get(hash, time.Now())
	files := len(acts) > 0 || !b.fromDatabase()
	if known && age < sessionFresh && !files {
		return SessionAnswer{Session: &kept, Age: age}, nil
	}
	_, within, _ := b.patience()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	asked := time.Now()
	s, err := b.storedSession(ctx, hash)
	switch {
	case err == nil:
		if files {
			b.touch(ctx, hash, s) // who asks cannot write it down: its journal knows no such session
		}
		return SessionAnswer{Session: &s, Age: time.Since(asked), Files: files, Acts: acts}, nil
	case errors.Is(err, ErrNotFound):
		return SessionAnswer{}, nil
	case errors.Is(err, ErrUnavailable) && own != nil: // it has stepped aside
		return SessionAnswer{Session: own, Files: true, Acts: acts}, nil
	case errors.Is(err, ErrUnavailable) && known:
		return SessionAnswer{Session: &kept, Age: age + time.Since(asked), Files: files}, nil
	}
	return SessionAnswer{}, err
}

// unmerged gives what this broker knows of a session that the database may not have yet.
func (b *Broker) unmerged(ctx context.Context, hash [32]byte) (*Session, []Act, error) {
	if b.o.Unmerged == nil {
		return nil, nil, nil
	}
	return b.o.Unmerged(ctx, hash)
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
	theirs := b.askOriginal(ctx, site, hash)
	if theirs.fresh(b) || theirs.Session != nil && !b.bringIn(ctx, hash, theirs.Acts) {
		b.metrics.lookups.WithLabelValues("peer").Inc()
		return *theirs.Session, nil
	}
	s, err := b.storedSession(ctx, hash)
	switch {
	case err == nil:
		b.metrics.lookups.WithLabelValues("store").Inc()
	case theirs.Session != nil && errors.Is(err, ErrUnavailable):
		b.metrics.lookups.WithLabelValues("peer").Inc()
		return *theirs.Session, nil
	default:
		b.metrics.lookups.WithLabelValues("none").Inc()
	}
	return s, err
}

// bringIn merges what another broker has done for a session and could not write down; false: the store
// does not take it, so it cannot be asked about the session either.
func (b *Broker) bringIn(ctx context.Context, hash [32]byte, acts []Act) bool {
	if len(acts) == 0 || !b.fromDatabase() {
		return true
	}
	begun := acts[0]
	if begun.Kind != ActSession || begun.Session == nil || !bytes.Equal(begun.TokenHash, hash[:]) ||
		slices.ContainsFunc(acts[1:], func(a Act) bool { return a.Kind != ActUse || a.SessionID != begun.Session.ID }) {
		b.log.Warn("another broker hands over what is no part of a session")
		return true
	}
	if err := b.o.Store.MergeActs(ctx, acts); err != nil {
		b.log.Warn("the session of a broker without its database could not be merged", "error", err)
		return false
	}
	return true
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

// askOriginal asks the broker with that site id, if it is another one that lives. An answer without a
// session: it said nothing, or knows of none. Its age is from before the question.
func (b *Broker) askOriginal(ctx context.Context, site int, hash [32]byte) SessionAnswer {
	name := b.originals.name(site, time.Now())
	if site == b.cfg.SiteID || b.o.AskSession == nil || name == "" {
		return SessionAnswer{}
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
		return SessionAnswer{}
	case a.Session == nil || a.Session.SiteID != site || a.Age < 0:
		return SessionAnswer{}
	}
	if !(a.Files && b.fromDatabase()) {
		// Its clock may show anything; what counts is this broker's, from before the question.
		b.sessions.put(hash, *a.Session, asked.Add(-a.Age))
	}
	a.Age += time.Since(asked)
	return a
}
