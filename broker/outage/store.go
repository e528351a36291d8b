package outage

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
)

const (
	// databaseWait is how long a call of the login path waits for the database. Who gets no answer is to be
	// served within a second of having asked (DC4): the rest is for giving the question up.
	databaseWait = 650 * time.Millisecond
	// filesWait is how long one is served from the files, however much of the caller's own time the database
	// has taken: on a machine with too much to do a late answer is better than none.
	filesWait = 10 * time.Second
	// asideGrace is how long a broker that has stepped aside still serves those who come: balancers learn of it
	// with their next probes. What it does then is handed over like what it did before.
	asideGrace = 5 * time.Second
)

// none is the answer of a call that has no other.
type none = struct{}

// kind says what a call does to the database: one that cannot be written is lost, however well it reads.
type kind bool

const (
	reading kind = false
	writing kind = true
)

// call asks the database for up to databaseWait, or serves from the files: at once while the mode says
// so or the breaker is open, else when the database has not answered.
func call[T any](ctx context.Context, s *Store, k kind, there func(context.Context) (T, error), here func(context.Context, *local) (T, error)) (T, error) {
	state := s.State()
	if !state.Serves() {
		if state.Mode == mode.Draining && time.Since(state.Since) < asideGrace {
			if v, done, err := serve(ctx, s, here, false); done && !unknownHere(err) {
				return v, err
			}
		}
		var no T
		return no, fmt.Errorf("%w: %s", broker.ErrUnavailable, state.WhyNot())
	}
	if state.Mode.Local() {
		if v, done, err := serve(ctx, s, here, true); done {
			return v, err
		}
	}
	v, err := ask(ctx, s, k, there)
	if !errors.Is(err, broker.ErrUnavailable) || ctx.Err() != nil {
		return v, err
	}
	if s.forcedOff(time.Now()) {
		return v, err
	}
	own, done, oerr := serve(ctx, s, here, false)
	if !done || unknownHere(oerr) {
		return v, err // what the files do not know or may not give, the database may: it is asked again soon
	}
	return own, oerr
}

// known is call for what the others ask this broker about, because only its files may have it: its sessions.
// One that is not elected answers, too.
func known[T any](ctx context.Context, s *Store, k kind, there func(context.Context) (T, error), here func(context.Context, *local) (T, error)) (T, error) {
	if s.State().Refuses != "" {
		if v, done, err := serve(ctx, s, here, true); done {
			return v, err
		}
	}
	return call(ctx, s, k, there, here)
}

// unknownHere says whether the files do not know or may not give what a call asked for.
func unknownHere(err error) bool {
	return errors.Is(err, broker.ErrNotFound) || errors.Is(err, errPooled) || errors.Is(err, errNoLease)
}

// ask asks the database, unless it has not answered lately.
func ask[T any](ctx context.Context, s *Store, k kind, there func(context.Context) (T, error)) (T, error) {
	if s.breaker.open() {
		var no T
		return no, errBreaker
	}
	bounded, cancel := context.WithTimeout(ctx, databaseWait)
	defer cancel()
	v, err := there(bounded)
	if ctx.Err() != nil && err != nil {
		return v, err // the caller has gone: that says nothing about the database
	}
	if errors.Is(err, broker.ErrUnavailable) {
		s.breaker.failed(time.Now(), bounded.Err() != nil)
		s.wakeUp()
	}
	if k == writing {
		s.wrote(err)
	}
	return v, err
}

// serve answers from the files; done is false when there is nothing to serve from, or, with only, when
// the mode has gone back to normal meanwhile. The mode does not go back while it runs.
func serve[T any](ctx context.Context, s *Store, here func(context.Context, *local) (T, error), only bool) (v T, done bool, err error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if only && !s.State().Mode.Local() {
		return v, false, nil
	}
	l, err := s.filesFor(ctx)
	if err != nil {
		return v, false, nil // it is among the facts
	}
	s.metrics.calls.WithLabelValues(strconv.FormatBool(!only)).Inc()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), filesWait)
	defer cancel()
	if v, err = here(bounded, l); err != nil {
		l.doubt(err)
	}
	return v, true, err
}

var errBreaker = fmt.Errorf("%w: the last questions got no answer in time", broker.ErrUnavailable)

// Login implements broker.Store. The session is copied, for a time without the database.
func (s *Store) Login(ctx context.Context, r broker.LoginRecord) (broker.LoginOutcome, error) {
	return call(ctx, s, writing, func(ctx context.Context) (broker.LoginOutcome, error) {
		out, err := s.Primary.Login(ctx, r)
		if err == nil && out.Session != nil && !out.Replayed {
			s.node.copySession(sessionAct(r, *out.Session))
		}
		return out, err
	}, func(ctx context.Context, l *local) (broker.LoginOutcome, error) { return l.login(ctx, r) })
}

// Session implements broker.Store.
func (s *Store) Session(ctx context.Context, tokenHash [32]byte) (broker.Session, error) {
	return known(ctx, s, reading,
		func(ctx context.Context) (broker.Session, error) { return s.Primary.Session(ctx, tokenHash) },
		func(ctx context.Context, l *local) (broker.Session, error) { return l.session(ctx, tokenHash) })
}

// TouchSession implements broker.Store.
func (s *Store) TouchSession(ctx context.Context, id string, every time.Duration) error {
	_, err := known(ctx, s, writing,
		func(ctx context.Context) (none, error) {
			err := s.Primary.TouchSession(ctx, id, every)
			if err == nil {
				s.node.copyUse(id, time.Now())
			}
			return none{}, err
		},
		func(ctx context.Context, l *local) (none, error) { return none{}, l.touch(ctx, id, every) })
	return err
}

// Offers implements broker.Store.
func (s *Store) Offers(ctx context.Context, q broker.OfferQuery) ([]broker.Offer, error) {
	return call(ctx, s, writing,
		func(ctx context.Context) ([]broker.Offer, error) { return s.Primary.Offers(ctx, q) },
		func(ctx context.Context, l *local) ([]broker.Offer, error) { return l.offers(ctx, q) })
}

// Candidates implements broker.Store.
func (s *Store) Candidates(ctx context.Context, session broker.Session, offer broker.OfferID, limit int) ([]broker.Candidate, error) {
	return call(ctx, s, reading,
		func(ctx context.Context) ([]broker.Candidate, error) {
			return s.Primary.Candidates(ctx, session, offer, limit)
		},
		func(ctx context.Context, l *local) ([]broker.Candidate, error) {
			return l.candidates(ctx, session, offer, limit)
		})
}

// Connect implements broker.Store.
func (s *Store) Connect(ctx context.Context, r broker.ConnectRecord) (broker.Candidate, error) {
	return call(ctx, s, writing,
		func(ctx context.Context) (broker.Candidate, error) { return s.Primary.Connect(ctx, r) },
		func(ctx context.Context, l *local) (broker.Candidate, error) { return l.connect(ctx, r) })
}

// Logout implements broker.Store.
func (s *Store) Logout(ctx context.Context, id string, log broker.LogRow) (int, error) {
	return call(ctx, s, writing,
		func(ctx context.Context) (int, error) {
			n, err := s.Primary.Logout(ctx, id, log)
			if err == nil {
				s.node.copyLogout(id)
			}
			return n, err
		},
		func(ctx context.Context, l *local) (int, error) { return l.logout(ctx, id, log) })
}

// StartTargets implements broker.Store: a connect that finds its desktop switched off does not wait for
// a database that is away.
func (s *Store) StartTargets(ctx context.Context, desktops []string) ([]broker.StartTarget, error) {
	return call(ctx, s, reading,
		func(ctx context.Context) ([]broker.StartTarget, error) { return s.Primary.StartTargets(ctx, desktops) },
		func(context.Context, *local) ([]broker.StartTarget, error) { return nil, broker.ErrNoStarts })
}

// Assigned implements broker.Store.
func (s *Store) Assigned(ctx context.Context, directory, user string) (bool, error) {
	return call(ctx, s, reading,
		func(ctx context.Context) (bool, error) { return s.Primary.Assigned(ctx, directory, user) },
		func(ctx context.Context, l *local) (bool, error) { return l.assigned(ctx, directory, user) })
}

// AppendLog implements broker.Store.
func (s *Store) AppendLog(ctx context.Context, row broker.LogRow) error {
	_, err := call(ctx, s, writing,
		func(ctx context.Context) (none, error) { return none{}, s.Primary.AppendLog(ctx, row) },
		func(ctx context.Context, l *local) (none, error) { return none{}, l.appendLog(ctx, row) })
	return err
}

// AgentBeats implements broker.Store. In an outage heartbeats keep the state of desktops fresh in the
// cache; they are not journalled, the next one says the same again.
func (s *Store) AgentBeats(ctx context.Context, beats []broker.AgentBeat) ([]broker.AgentOrders, error) {
	return call(ctx, s, writing,
		func(ctx context.Context) ([]broker.AgentOrders, error) { return s.Primary.AgentBeats(ctx, beats) },
		func(ctx context.Context, l *local) ([]broker.AgentOrders, error) {
			return l.agentBeats(ctx, beats)
		})
}
