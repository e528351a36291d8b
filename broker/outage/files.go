package outage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
)

const (
	// openAgain is how soon files that could not be opened are looked at again, and cacheAgain how soon a
	// host cache while leases serve.
	openAgain  = time.Second
	cacheAgain = 30 * time.Second
	// openWithin bounds one attempt: calls wait for it.
	openWithin = 30 * time.Second
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), openWithin) // for all calls, not for this one alone
	defer cancel()
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
	l := &local{cache: store, node: s.node, copied: info.Current}
	l.told = s.toldBy(ctx, info.Current)
	l.file = info.File
	l.end = func() error {
		defer s.cache.Release()
		return store.Close()
	}
	l.leases = s.bookFor(ctx, store, info.Quarantined)
	if err := s.replay(ctx, l); err != nil {
		err = errors.Join(err, l.end())
		s.trouble.Store(&trouble{time.Now(), err})
		return nil, err
	}
	s.trouble.Store(nil)
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
