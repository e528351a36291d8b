package outage

import (
	"context"
	"errors"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
	"switchpoint/broker/sqlite"
)

// releaseAfter is how long the database has answered before the files are left to the synchroniser.
const releaseAfter = 5 * time.Second

// tend keeps the files as the mode needs them, until ctx ends.
func (s *Store) tend(ctx context.Context) {
	every(ctx, judgeEvery, func(time.Time) {
		switch l := s.files.Load(); {
		case l == nil:
			s.prepare(ctx)
		case l.leases.alone():
			s.backToCache(ctx, l)
		case l.doubted.Load():
			s.lookAt(ctx, l)
		}
	})
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
	bounded, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	s.opening.Lock()
	to, err := s.openCache(bounded)
	s.opening.Unlock() // who waits for it may hold the gate
	if err == nil {    // else it is among the facts
		s.exchange(from, to)
	}
}

// exchange puts to, which may be nil, in the place of from, while no call is served. What operators have said
// while it was opened is done in it first.
func (s *Store) exchange(from, to *local) {
	s.gate.Lock()
	defer s.gate.Unlock()
	if to != nil && !s.caughtUp(to) || !s.files.CompareAndSwap(from, to) { // its time was over meanwhile
		from = to
	}
	if from == nil {
		return
	}
	if err := from.end(); err != nil {
		s.log.Warn("the files of an outage could not be closed", "error", err)
	}
}

// caughtUp says whether a file that was opened while another one served has all that was said meanwhile.
func (s *Store) caughtUp(l *local) bool {
	ctx, cancel := context.WithTimeout(context.Background(), filesWait)
	defer cancel()
	err := s.replay(ctx, l)
	if err != nil {
		s.log.Warn("outage: files do not take what operators have said", "error", err)
	}
	return err == nil
}

// doubt has a host cache looked at that did not take a call as a file does that is whole.
func (l *local) doubt(err error) {
	whole := !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, context.Canceled)
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
	if s.files.Load() == nil || !s.filesDone(now) { // who waits for the gate makes others wait
		return
	}
	s.gate.Lock()
	defer s.gate.Unlock()
	if !s.filesDone(now) {
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

// filesDone says whether the time of the files is over.
func (s *Store) filesDone(now time.Time) bool {
	s.mu.Lock()
	good := s.facts.good
	s.mu.Unlock()
	return s.State().Mode == mode.Normal && s.node.unmerged() == 0 && !good.IsZero() && now.Sub(good) >= releaseAfter
}
