package hostcache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker/sqlite"
)

// ErrNone says that there is no host cache that can be used.
var ErrNone = errors.New("no usable host cache")

// Info is what a host cache says of itself.
type Info struct {
	sqlite.CacheInfo
	File string
	Age  time.Duration // since it was last known to be current
}

// Open opens the newest host cache that can be used, to serve logins from: it was made by this version of
// the program, every page of it can be read, and it is not older than MaxAge. An import that runs is
// ended; until Release nothing is changed in the files but by the caller. The store is the caller's to
// close, before Release. Without a usable file it is ErrNone with the reasons, and nothing to release.
func (c *Cache) Open(ctx context.Context) (*sqlite.Store, Info, error) {
	done, err := c.turn.serve(ctx)
	if err != nil {
		return nil, Info{}, fmt.Errorf("open host cache: %w", err)
	}
	defer done()
	s, info, err := c.open(ctx)
	if err != nil {
		c.turn.release()
		return nil, Info{}, err
	}
	c.log.Info("the host cache is open", "file", info.File, "age", info.Age.Round(time.Second), "setup", info.Version.Setup, "inventory", info.Version.Inventory)
	return s, info, nil
}

// Release ends what Open began. The file that has served is made anew as soon as the database answers.
func (c *Cache) Release() {
	c.now.condemn("it has served an outage")
	c.turn.release()
}

func (c *Cache) open(ctx context.Context) (*sqlite.Store, Info, error) {
	files, err := wholeFiles(c.o.Dir)
	if err != nil {
		return nil, Info{}, fmt.Errorf("%w: %w", ErrNone, err)
	}
	var why []error
	for _, f := range files {
		info, err := c.inspect(ctx, f)
		if err == nil {
			var s *sqlite.Store
			if s, err = c.openToServe(ctx, f); err == nil {
				return s, info, nil
			}
		}
		c.log.Error("a host cache cannot be used", "file", f.path, "error", err)
		why = append(why, fmt.Errorf("%s: %w", f.path, err))
	}
	if len(files) == 0 {
		why = append(why, errors.New("none was copied yet"))
	}
	return nil, Info{}, fmt.Errorf("%w: %w", ErrNone, errors.Join(why...))
}

func (c *Cache) openToServe(ctx context.Context, f file) (*sqlite.Store, error) {
	s, err := c.openFile(ctx, f)
	if err != nil {
		return nil, err
	}
	if err := s.MarkServed(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// inspect checks one file.
func (c *Cache) inspect(ctx context.Context, f file) (Info, error) {
	found, err := sqlite.InspectCache(ctx, f.path, false)
	if err != nil {
		return Info{}, err
	}
	info := Info{CacheInfo: found, File: f.path, Age: max(0, time.Since(found.Current))}
	if info.Age > c.o.MaxAge {
		return info, fmt.Errorf("it is %s old, %s is the most", info.Age.Round(time.Second), c.o.MaxAge)
	}
	return info, nil
}

// newest finds the newest file whose content can be used, whatever its age.
func (c *Cache) newest(ctx context.Context) (file, sqlite.CacheInfo, error) {
	files, err := wholeFiles(c.o.Dir)
	if err != nil {
		return file{}, sqlite.CacheInfo{}, err
	}
	if len(files) == 0 {
		return file{}, sqlite.CacheInfo{}, errors.New("there is no copy yet")
	}
	info, err := sqlite.InspectCache(ctx, files[0].path, false)
	if err != nil {
		return file{}, sqlite.CacheInfo{}, fmt.Errorf("the newest copy cannot be used: %w", err)
	}
	return files[0], info, nil
}
