package outage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
	"switchpoint/broker/sqlite"
)

const (
	// openAgain is how soon files that could not be opened are looked at again, and cacheAgain how soon a
	// host cache while leases serve.
	openAgain  = time.Second
	cacheAgain = 30 * time.Second
	// releaseAfter is how long the database has answered before the files are left to the synchroniser.
	releaseAfter = 5 * time.Second
)

var (
	errOff     = errors.New(`outage mode is "off"`)
	errNoCache = errors.New(`outage mode is "leases"`)
)

// trouble is why the host cache could not be opened, or is not served from any more.
type trouble struct {
	at  time.Time
	err error
}

// filesFor gives what calls are served from: the host cache, else leases; nil with the reason when there is
// neither. The files are opened by the first call that needs them.
func (s *Store) filesFor(ctx context.Context) (*local, error) {
	if l := s.files.Load(); l != nil {
		return l, nil
	}
	s.opening.Lock()
	defer s.opening.Unlock()
	switch l := s.files.Load(); {
	case l != nil:
		return l, nil
	case s.node.closed():
		return nil, errNodeClosed
	case s.o.Config.Mode == broker.OutageOff:
		return nil, errOff
	case s.failed != nil && time.Since(s.tried) < openAgain:
		return nil, s.failed
	}
	ctx = context.WithoutCancel(ctx) // for all calls, not for this one alone
	l, err := s.openCache(ctx)
	if err != nil {
		var none error
		if l, none = s.openLeases(ctx); none != nil {
			err = fmt.Errorf("host cache: %w; leases: %w", err, none)
		}
		s.leases.opened(none)
	}
	if s.tried, s.failed = time.Now(), err; l == nil {
		return nil, err
	}
	s.files.Store(l)
	return l, nil
}

// openCache opens the host cache; a caller of it is the only one.
func (s *Store) openCache(ctx context.Context) (*local, error) {
	if s.o.Config.Mode == broker.OutageLeases {
		return nil, errNoCache
	}
	store, info, err := s.cache.Open(ctx)
	if err != nil {
		s.trouble.Store(&trouble{time.Now(), err})
		return nil, err
	}
	s.trouble.Store(nil)
	l := &local{cache: store, node: s.node, copied: info.Current}
	l.told = s.toldBy(ctx, info.Current)
	l.file = info.File
	l.end = func() error {
		defer s.cache.Release()
		return store.Close()
	}
	l.leases = s.bookFor(ctx, store, info.Quarantined)
	s.log.Warn("outage: logins can be served from the host cache", "file", info.File, "age", info.Age.Round(time.Second), "event_id", eventServing)
	return l, nil
}

// toldBy is from when on a session that a host cache of that moment lacks is known here all the same: what
// waits to be merged was not in the database that it was copied from.
func (s *Store) toldBy(ctx context.Context, current time.Time) time.Time {
	first, err := s.node.oldest(ctx, 1)
	switch {
	case err != nil || len(first) > 0 && first[0].err != nil:
		return time.Time{}
	case len(first) > 0 && first[0].act.At.Before(current):
		return first[0].act.At
	}
	return current
}

// bookFor is the leases beside a host cache: they count for desktops that it could not take (DC8). Nil where
// it has all.
func (s *Store) bookFor(ctx context.Context, cache *sqlite.Store, quarantined int) *leaseBook {
	if ok, _ := s.leases.usable(); !ok || quarantined == 0 || s.o.Config.Leasing() != "" {
		return nil
	}
	list, err := cache.LackedDesktops(ctx)
	if err != nil {
		s.log.Warn("what the host cache lacks cannot be read", "error", err)
		return nil
	}
	b := &leaseBook{node: s.node, cache: cache, lacks: make(map[string]bool), broken: s.isBroken}
	b.synced, b.life = s.leases.terms()
	for _, id := range list {
		b.lacks[id] = true
	}
	return b
}

// cacheUsable says whether calls can be served from the host cache.
func (s *Store) cacheUsable() (bool, string) {
	switch s.o.Config.Mode {
	case broker.OutageOff:
		return false, errOff.Error()
	case broker.OutageLeases:
		return false, errNoCache.Error()
	}
	l := s.files.Load()
	if l != nil && !l.leases.alone() {
		return true, ""
	}
	c := s.cache.Status()
	if t := s.trouble.Load(); t != nil && !c.Current.After(t.at) { // else it was made anew
		return false, t.err.Error()
	}
	if c.Usable && l != nil {
		return false, "it is not open yet" // mode says what is served from
	}
	return c.Usable, c.Why
}

// cacheTells says whether the host cache keeps this broker informed of the sessions that have ended.
func (s *Store) cacheTells() bool {
	return s.o.Config.Mode != broker.OutageLeases && s.cache.Status().Usable
}

// tend keeps the files as the mode needs them, until ctx ends.
func (s *Store) tend(ctx context.Context) {
	t := time.NewTicker(judgeEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		switch l := s.files.Load(); {
		case l == nil:
			s.prepare(ctx)
		case l.leases.alone():
			s.backToCache(ctx, l)
		case l.doubted.Load():
			s.lookAt(ctx, l)
		}
	}
}

// prepare has leases ready when the first call needs them, for to make their file takes a moment, and looks
// again for what could not be opened.
func (s *Store) prepare(ctx context.Context) {
	s.mu.Lock()
	wanted := !s.facts.since.IsZero() || s.State().Mode.Local()
	s.mu.Unlock()
	if ok, _ := s.cacheUsable(); ok || !wanted {
		return
	}
	t := s.trouble.Load()
	again := t != nil && time.Since(t.at) > cacheAgain || s.leases.failedFor(cacheAgain)
	if ok, _ := s.leasesUsable(); ok || again {
		s.gate.RLock()
		defer s.gate.RUnlock()
		_, _ = s.filesFor(ctx) // it is among the facts
	}
}

// backToCache serves from the host cache again, where there is one that can be opened. What was done in the
// other file is in node.db.
func (s *Store) backToCache(ctx context.Context, from *local) {
	c := s.cache.Status()
	if s.o.Config.Mode == broker.OutageLeases || !c.Usable {
		return
	}
	if t := s.trouble.Load(); t != nil && !c.Current.After(t.at) && time.Since(t.at) < cacheAgain {
		return
	}
	s.opening.Lock()
	to, err := s.openCache(context.WithoutCancel(ctx))
	s.opening.Unlock() // who waits for it may hold the gate
	if err == nil {    // else it is among the facts
		s.exchange(from, to)
	}
}

// exchange puts to, which may be nil, in the place of from, while no call is served.
func (s *Store) exchange(from, to *local) {
	s.gate.Lock()
	defer s.gate.Unlock()
	if !s.files.CompareAndSwap(from, to) { // its time was over meanwhile
		from = to
	}
	if from == nil {
		return
	}
	if err := from.end(); err != nil {
		s.log.Warn("the files of an outage could not be closed", "error", err)
	}
}

// doubt has a host cache looked at that did not take a call as a file does that is whole.
func (l *local) doubt(err error) {
	whole := !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, errNoStart) || errors.Is(err, context.Canceled)
	if !whole && !l.leases.alone() && time.Since(l.looked()) > cacheAgain {
		l.doubted.Store(true)
	}
}

// lookAt reads every page of the host cache, and gives it up when that is not possible: an older one, or
// leases, take its place.
func (s *Store) lookAt(ctx context.Context, l *local) {
	now := time.Now()
	l.lookedAt.Store(&now)
	l.doubted.Store(false)
	_, err := sqlite.InspectCache(ctx, l.file, false)
	if err == nil || ctx.Err() != nil {
		return
	}
	s.log.Error("outage: the host cache is damaged and serves no longer", "file", l.file, "error", err)
	s.trouble.Store(&trouble{now, err})
	s.exchange(l, nil)
}

func (l *local) looked() time.Time {
	if t := l.lookedAt.Load(); t != nil {
		return *t
	}
	return time.Time{}
}

// releaseFiles ends the time of the files when the database has answered for a while and has all that
// was done in them.
func (s *Store) releaseFiles(now time.Time) {
	if s.files.Load() == nil {
		return
	}
	s.gate.Lock()
	defer s.gate.Unlock()
	s.mu.Lock()
	good := s.facts.good
	s.mu.Unlock()
	if s.State().Mode != mode.Normal || s.node.unmerged() > 0 || good.IsZero() || now.Sub(good) < releaseAfter {
		return
	}
	if l := s.files.Swap(nil); l != nil {
		if err := l.end(); err != nil {
			s.log.Warn("the files of an outage could not be closed", "error", err)
		}
		s.log.Info("outage: the files of this broker serve no longer", "event_id", eventFilesDone)
		if s.o.Config.Mode != broker.OutageLeases {
			s.log.Info("the host cache is kept up to date again", "event_id", eventSyncAgain)
		}
	}
}
