package hostcache

import (
	"context"
	"errors"
	"sync"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
)

// toldRecords bounds the quarantined records that one log line each is written for.
const toldRecords = 10

// Status is what the host cache is and how its last synchronisations went, for the CLI and the console.
type Status struct {
	Usable      bool                `json:"usable"` // it would be opened now
	Why         string              `json:"why,omitempty"`
	Serving     bool                `json:"serving"`
	File        string              `json:"file,omitempty"`
	Version     broker.CacheVersion `json:"version"`
	Copied      time.Time           `json:"copied,omitzero"`
	Current     time.Time           `json:"current,omitzero"` // when it was last known to be current
	Rows        map[string]int      `json:"rows,omitempty"`   // by table
	Quarantined int                 `json:"quarantined"`
	Checked     time.Time           `json:"checked,omitzero"` // when the database was last asked for changes
	Result      string              `json:"result,omitempty"` // of that
	Error       string              `json:"error,omitempty"`
	Took        time.Duration       `json:"took"` // the last import
	Rehearsal   Rehearsal           `json:"rehearsal"`
}

// status is what changes of a Status.
type status struct {
	mu sync.Mutex
	Status
}

func (s *status) found(f file, info sqlite.CacheInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(f, info)
}

func (s *status) take(f file, info sqlite.CacheInfo) {
	s.File, s.Version, s.Copied, s.Current = f.path, info.Version, info.Copied, info.Current
	s.Rows, s.Quarantined = info.Rows, info.Quarantined
}

// Status says how things stand.
func (c *Cache) Status() Status {
	c.status.mu.Lock()
	defer c.status.mu.Unlock()
	out := c.status.Status
	out.Serving = c.turn.isServing()
	out.Usable, out.Why = usable(out, time.Now(), c.o.MaxAge)
	return out
}

// usable says whether the cache would be opened now, as far as is known, or why not.
func usable(s Status, now time.Time, maxAge time.Duration) (bool, string) {
	switch age := now.Sub(s.Current); {
	case s.File == "":
		return false, "there is no copy yet"
	case age > maxAge:
		return false, "it is " + age.Round(time.Second).String() + " old, " + maxAge.String() + " is the most"
	}
	return true, ""
}

// report puts what a synchronisation did into status, metrics and log.
func (c *Cache) report(ctx context.Context, out Synced, err error) {
	f, info, _, _ := c.now.get()
	c.status.mu.Lock()
	before := c.status.Result
	c.status.Checked, c.status.Result, c.status.Error = time.Now(), out.Result, ""
	if err != nil {
		c.status.Error = err.Error()
	}
	if out.Result == Updated {
		c.status.Took = out.Took
	}
	c.status.take(f, info)
	c.status.mu.Unlock()
	c.metrics.synced(out)
	switch out.Result {
	case Updated:
		c.log.Info("the host cache is updated", "event_id", eventUpdated, "file", f.path, "took", out.Took, "setup", out.Version.Setup,
			"inventory", out.Version.Inventory, "desktops", out.Rows["desktop"], "assignments", out.Rows["assignment"], "quarantined", out.Quarantined)
		if out.Quarantined > 0 {
			c.tellQuarantine(ctx, f)
		}
	case Failed:
		c.log.Error("the host cache could not be updated; what was there before goes on counting", "event_id", eventFailed, "file", f.path, "error", err)
	case Unavailable:
		if before != Unavailable {
			c.log.Warn("the database does not say whether the host cache is current", "error", err)
		}
	}
}

// tellQuarantine writes down what was left out: nobody looks for it on the day of an outage.
func (c *Cache) tellQuarantine(ctx context.Context, f file) {
	list, err := c.quarantine(ctx, f, toldRecords)
	if err != nil {
		c.log.Warn("the quarantine of the host cache cannot be read", "error", err)
	}
	for _, r := range list {
		c.log.Warn("a record is not, or not whole, in the host cache", "what", r.What, "key", r.Key, "why", r.Why)
	}
}

// Quarantine lists records that the newest host cache could not take, limit at most.
func (c *Cache) Quarantine(ctx context.Context, limit int) ([]sqlite.CacheRecord, error) {
	ctx, done, err := c.turn.take(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	f, _, _, _ := c.now.get()
	if f.path == "" {
		return nil, ErrNone
	}
	return c.quarantine(ctx, f, limit)
}

func (c *Cache) quarantine(ctx context.Context, f file, limit int) ([]sqlite.CacheRecord, error) {
	s, err := c.openFile(ctx, f)
	if err != nil {
		return nil, err
	}
	list, err := s.CacheQuarantine(ctx, limit)
	return list, errors.Join(err, s.Close())
}
