package hostcache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
)

// Event ids of the original, as the log has them (HC6).
const (
	eventReceived = 503
	eventUpdated  = 504
	eventFailed   = 505
)

// What a synchronisation did.
const (
	Updated     = "updated"     // imported anew
	Current     = "current"     // nothing has changed but the state, which was refreshed
	Empty       = "empty"       // the database has no setup yet: there is nothing to copy
	Unavailable = "unavailable" // the database did not answer
	Failed      = "failed"
)

const (
	askTimeout  = 5 * time.Second // of the question for the version
	syncTimeout = 5 * time.Minute
)

// Synced says what one synchronisation did.
type Synced struct {
	Result      string              `json:"result"`
	Version     broker.CacheVersion `json:"version"`
	Rows        map[string]int      `json:"rows,omitempty"`
	Quarantined int                 `json:"quarantined"`
	Took        time.Duration       `json:"took"`
}

// current is the newest file that can be used, as far as this process knows.
type current struct {
	mu    sync.Mutex
	known bool // the folder was looked at
	file  file
	info  sqlite.CacheInfo // without a path: none
	stale string           // why it has to be made anew, whatever its version
}

func (c *current) get() (f file, info sqlite.CacheInfo, stale string, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.file, c.info, c.stale, c.known
}

func (c *current) set(f file, info sqlite.CacheInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.file, c.info, c.stale, c.known = f, info, "", true
	if info.Served {
		c.stale = "it has served an outage"
	}
}

// condemn makes the next synchronisation import, and forgets a file that is not there or is damaged.
func (c *current) condemn(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stale = why
}

// Sync looks for changes now and copies them. A result other than Failed and Unavailable has no error.
func (c *Cache) Sync(ctx context.Context) (Synced, error) {
	ctx, done, err := c.turn.take(ctx)
	if err != nil {
		return Synced{}, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	began := time.Now()
	out, err := c.sync(ctx)
	if err != nil && c.turn.isServing() { // that has ended it
		return Synced{}, ErrServing
	}
	out.Took = time.Since(began)
	c.report(ctx, out, err)
	return out, err
}

func (c *Cache) sync(ctx context.Context) (Synced, error) {
	ask, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	version, err := c.o.Source.CacheVersion(ask)
	if err != nil {
		return Synced{Result: Unavailable}, fmt.Errorf("ask for changes: %w", err)
	}
	if version.Setup == 0 {
		return Synced{Result: Empty, Version: version}, nil
	}
	f, info, stale, known := c.now.get()
	if !known {
		f, info, err = c.newest(ctx)
		c.now.set(f, info)
		_, _, stale, _ = c.now.get()
	}
	why := reason(version, info, stale, err)
	if why == "" {
		return c.refresh(ctx, f, info)
	}
	c.log.Info("the host cache is to be updated", "event_id", eventReceived, "why", why, "setup", version.Setup, "inventory", version.Inventory)
	return c.replace(ctx)
}

// reason says why the file has to be made anew, or "".
func reason(version broker.CacheVersion, info sqlite.CacheInfo, stale string, none error) string {
	switch {
	case none != nil:
		return none.Error()
	case stale != "":
		return stale
	case info.Version.Setup != version.Setup:
		return fmt.Sprintf("the setup is at version %d, the copy is of version %d", version.Setup, info.Version.Setup)
	case info.Version != version:
		return fmt.Sprintf("the inventory is at version %d, the copy is of version %d", version.Inventory, info.Version.Inventory)
	}
	return ""
}

// refresh brings sessions and claims of the file up to date. A file that does not take them is made anew.
func (c *Cache) refresh(ctx context.Context, f file, info sqlite.CacheInfo) (Synced, error) {
	s, err := c.openFile(ctx, f)
	if err != nil {
		c.now.condemn("it cannot be opened")
		return Synced{Result: Failed}, err
	}
	now, source := time.Now(), &asked{CacheSource: c.o.Source}
	r, err := s.RefreshState(ctx, source, now)
	err = errors.Join(err, s.Close())
	switch {
	case errors.Is(source.err, broker.ErrUnavailable):
		return Synced{Result: Unavailable}, fmt.Errorf("ask for the state: %w", source.err)
	case err != nil:
		if !errors.Is(err, broker.ErrUnavailable) {
			c.now.condemn("it does not take the state")
		}
		return Synced{Result: Failed}, err
	}
	info.Current, info.Quarantined, info.Rows = now, r.Quarantined, maps.Clone(info.Rows)
	maps.Copy(info.Rows, r.Rows)
	c.now.set(f, info)
	return Synced{Result: Current, Version: info.Version, Rows: info.Rows, Quarantined: info.Quarantined}, nil
}

// asked keeps the error of the database apart from those of the file.
type asked struct {
	broker.CacheSource
	err error
}

// CopyState implements broker.CacheSource.
func (a *asked) CopyState(ctx context.Context, to broker.CacheSink) error {
	a.err = a.CacheSource.CopyState(ctx, to)
	return a.err
}

// openFile opens a store on a file that must be there.
func (c *Cache) openFile(ctx context.Context, f file) (*sqlite.Store, error) {
	if _, err := os.Stat(f.path); err != nil {
		return nil, fmt.Errorf("open host cache: %w", err)
	}
	return sqlite.Open(ctx, f.path, sqlite.Options{Log: c.log, Replaceable: true})
}

// replace imports into a new file, which counts from its renaming on.
func (c *Cache) replace(ctx context.Context) (out Synced, err error) {
	out.Result = Failed
	if err := clean(c.o.Dir); err != nil {
		return out, err
	}
	n, err := nextNumber(c.o.Dir)
	if err != nil {
		return out, err
	}
	path := filepath.Join(c.o.Dir, importPrefix+strconv.FormatInt(n, 10)+suffix)
	c.o.step("begun")
	now := time.Now()
	r, err := sqlite.BuildCache(ctx, path, c.o.Source, now, c.o.step)
	if err == nil {
		err = c.usable(ctx, path)
	}
	if err != nil {
		return out, errors.Join(err, sqlite.RemoveCache(path))
	}
	f, err := publish(c.o.Dir, path, n)
	if err != nil {
		return out, errors.Join(err, sqlite.RemoveCache(path))
	}
	c.o.step("renamed")
	c.now.set(f, sqlite.CacheInfo{Version: r.Version, Copied: now, Current: now, Schema: sqlite.SchemaVersion(), Rows: r.Rows, Quarantined: r.Quarantined})
	if err := errors.Join(sqlite.RemoveCache(path), clean(c.o.Dir)); err != nil { // what stood beside the import, and older files
		c.log.Warn("old host caches could not be removed", "error", err)
	}
	c.o.step("cleaned")
	return Synced{Result: Updated, Version: r.Version, Rows: r.Rows, Quarantined: r.Quarantined}, nil
}

// usable opens the import as a broker would and looks at its setup.
func (c *Cache) usable(ctx context.Context, path string) error {
	if c.o.Check == nil {
		return nil
	}
	s, err := sqlite.Open(ctx, path, sqlite.Options{Log: c.log})
	if err != nil {
		return err
	}
	setup, _, err := s.Setup(ctx)
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	if err := c.o.Check(setup); err != nil {
		return fmt.Errorf("no broker can serve with its setup: %w", err)
	}
	return nil
}
