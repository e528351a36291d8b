package outage

import (
	"errors"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
)

const (
	maxUnwrote = 20 // calls that a success is weighed against
	// unwrittenKeep is for how long a call that wrote in vain counts where none comes after it. Merging is
	// tried again within that.
	unwrittenKeep = mergeWithin + 2*mergeAgain
)

// learn takes the answer to a beat. Whatever the database says but that it cannot, it answers.
func (s *Store) learn(asked, now time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &s.facts
	if !errors.Is(err, broker.ErrUnavailable) && s.unwritable(f, now) {
		// A full disk takes the beat, which changes a row in its place, and no login.
		asked, err, f.answered = f.unwrittenSince, f.unwritten, f.unwrittenSince
	}
	if errors.Is(err, broker.ErrUnavailable) {
		if f.since.IsZero() {
			f.since = asked
		}
		f.good, f.why = time.Time{}, err.Error()
		return
	}
	if f.good.IsZero() {
		f.good = now
	}
	f.answered, f.since, f.why, f.peer, f.fenced = now, time.Time{}, "", "", err
	s.breaker.answered()
}

// unwritable says whether calls that write have failed for too long. One alone may have met a lock; the
// journal, of which nothing can be merged, says more.
func (s *Store) unwritable(f *facts, now time.Time) bool {
	if f.unwritten == nil || now.Sub(f.unwrittenLast) > s.profile.Lost+unwrittenKeep {
		f.unwritten, f.unwrote = nil, 0
		return false
	}
	return now.Sub(f.unwrittenSince) >= s.profile.Lost && (f.unwrote > 1 || s.State().Mode == mode.Recovering)
}

// wrote takes how a call ended that writes. One that began before the mode changed says nothing new, and
// where nobody is served none comes after it that would say more.
func (s *Store) wrote(err error) {
	if err == nil || s.State().Mode == mode.Normal {
		s.noteWrite(err)
	}
}

// noteWrite weighs one more write that the database has taken or not.
func (s *Store) noteWrite(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &s.facts
	if errors.Is(err, broker.ErrUnavailable) {
		if f.unwritten == nil {
			f.unwrittenSince = time.Now()
		}
		f.unwritten, f.unwrote, f.unwrittenLast = err, min(f.unwrote+1, maxUnwrote), time.Now()
		return
	}
	// On a full disk some of them still find a place.
	if f.unwrote = max(f.unwrote-1, 0); f.unwrote == 0 {
		f.unwritten = nil
	}
}

// writeAnew forgets how calls that write went.
func (s *Store) writeAnew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts.unwritten, s.facts.unwrote = nil, 0
}
