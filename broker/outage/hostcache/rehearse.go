package hostcache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
)

const (
	rehearseTimeout = 2 * time.Minute
	toldDifferences = 10 // are kept and logged of one rehearsal
)

// Rehearsal is what a comparison of the host cache with the database found.
type Rehearsal struct {
	At    time.Time `json:"at,omitzero"`
	Users int       `json:"users"` // shadow logins
	// Behind: the database has changed since the last copy, so there was nothing to compare.
	Behind      bool          `json:"behind,omitempty"`
	Different   int           `json:"different"`
	Differences []string      `json:"differences,omitempty"` // the first of them
	Took        time.Duration `json:"took"`
}

// Rehearse checks the newest file from end to end and performs shadow logins of sample signed-in users
// and sample owners of desktops: what they are offered, and where that leads, by the file and by the
// database. Nothing is written. A file that is damaged or answers differently is made anew by the next
// synchronisation; damage is an error, too.
func (c *Cache) Rehearse(ctx context.Context, sample int) (Rehearsal, error) {
	ctx, done, err := c.turn.take(ctx)
	if err != nil {
		return Rehearsal{}, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, rehearseTimeout)
	defer cancel()
	began := time.Now()
	f, _, _, _ := c.now.get()
	if f.path == "" {
		return Rehearsal{}, ErrNone
	}
	info, err := sqlite.InspectCache(ctx, f.path, true)
	if err != nil {
		if ctx.Err() == nil {
			c.now.condemn("it is damaged")
		}
		return Rehearsal{}, err
	}
	r, err := c.rehearse(ctx, f, info.Version, sample)
	if err != nil {
		return r, fmt.Errorf("rehearse: %w", err)
	}
	r.At, r.Took = began, time.Since(began)
	c.tellRehearsal(f, r)
	return r, nil
}

func (c *Cache) rehearse(ctx context.Context, f file, copied broker.CacheVersion, sample int) (r Rehearsal, err error) {
	s, err := c.openFile(ctx, f)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	setup, _, err := s.Setup(ctx)
	if err != nil {
		return r, err
	}
	users, err := s.CacheUsers(ctx, sample)
	if err != nil {
		return r, err
	}
	for _, u := range shadows(users, setup) {
		different, err := c.shadowLogin(ctx, s, u)
		if err != nil {
			return r, err
		}
		r.Users++
		for _, d := range different {
			if r.Different++; r.Different <= toldDifferences {
				r.Differences = append(r.Differences, fmt.Sprintf("%s of %s: %s", u.User, u.Directory, d))
			}
		}
	}
	// Whatever was different is right if the database has changed since.
	version, err := c.o.Source.CacheVersion(ctx)
	if err == nil && version != copied {
		r = Rehearsal{Behind: true}
	}
	return r, err
}

// shadowLogin asks both for the offers of a user, and where his own desktops are.
func (c *Cache) shadowLogin(ctx context.Context, cache *sqlite.Store, u shadow) (different []string, err error) {
	q := broker.OfferQuery{Who: u.Who, Grants: u.Grants}
	here, err := cache.Offers(ctx, q)
	if err != nil {
		return []string{"the cache does not answer: " + err.Error()}, ctx.Err()
	}
	there, err := c.o.Source.Offers(ctx, q)
	if err != nil {
		return nil, err
	}
	different = compareOffers(here, there)
	session := broker.Session{Who: u.Who, Grants: u.Grants}
	for _, o := range there {
		if o.Kind != broker.KindAssigned || o.State == broker.OfferMaintenance || len(different) > 0 {
			continue
		}
		own, err := cache.Candidates(ctx, session, o.ID, 1)
		if err != nil {
			different = append(different, fmt.Sprintf("the cache does not lead to %q: %v", o.Name, err))
			continue
		}
		known, err := c.o.Source.Candidates(ctx, session, o.ID, 1)
		if errors.Is(err, broker.ErrUnavailable) {
			return nil, err
		}
		different = append(different, compareDesktops(own, known)...)
	}
	return different, nil
}

func (c *Cache) tellRehearsal(f file, r Rehearsal) {
	c.status.mu.Lock()
	c.status.Rehearsal = r
	c.status.mu.Unlock()
	c.metrics.rehearsed.SetToCurrentTime()
	c.metrics.differences.Set(float64(r.Different))
	if r.Different == 0 {
		c.log.Info("the host cache is rehearsed", "users", r.Users, "behind", r.Behind, "took", r.Took)
		return
	}
	c.now.condemn("it has answered otherwise than the database")
	c.log.Error("the host cache answers otherwise than the database; it is made anew", "file", f.path, "users", r.Users, "different", r.Different, "first", r.Differences)
}
