package directory

import (
	"context"
	"maps"
	"sync"
)

// flights joins equal searches that are under way at the same time, so that a user who clicks
// three times costs one. The first comer asks, on his own context; should that end, the next one
// of those who wait asks again.
type flights struct {
	mu  sync.Mutex
	all map[string]*flight
}

type flight struct {
	done   chan struct{}
	entry  Entry
	err    error
	ended  bool // by the end of the first comer's context: no answer for the others
	joined bool // somebody waits
}

// search gives what ask finds, or what another who asked the same has just found.
func (f *flights) search(ctx context.Context, key string, ask func() (Entry, error)) (Entry, error) {
	for {
		f.mu.Lock()
		there := f.all[key]
		if there == nil {
			mine := &flight{done: make(chan struct{})}
			if f.all == nil {
				f.all = make(map[string]*flight)
			}
			f.all[key] = mine
			f.mu.Unlock()
			return f.fly(ctx, key, mine, ask)
		}
		there.joined = true
		f.mu.Unlock()
		select {
		case <-there.done:
		case <-ctx.Done():
			return Entry{}, classify(ctx, ctx.Err())
		}
		if there.ended {
			continue
		}
		e := there.entry
		e.Attributes = maps.Clone(e.Attributes)
		return e, there.err
	}
}

// fly asks; what happens to the asker, those who wait do not wait for ever.
func (f *flights) fly(ctx context.Context, key string, mine *flight, ask func() (Entry, error)) (entry Entry, err error) {
	mine.ended = true
	defer func() {
		f.mu.Lock()
		delete(f.all, key)
		f.mu.Unlock()
		if mine.joined { // the asker may go on to change his own
			mine.entry.Attributes = maps.Clone(entry.Attributes)
		}
		close(mine.done)
	}()
	entry, err = ask()
	mine.entry, mine.err, mine.ended = entry, err, err != nil && ctx.Err() != nil
	return entry, err
}
