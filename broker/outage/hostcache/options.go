package hostcache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/broker"
)

// Defaults. Every is that of the original (HC4).
const (
	DefaultEvery         = 2 * time.Minute
	DefaultMaxAge        = 24 * time.Hour
	DefaultRehearseEvery = time.Hour
	DefaultSample        = 25
)

// Source is what the host cache needs of the cluster's store.
type Source interface {
	broker.CacheSource
	Offers(ctx context.Context, q broker.OfferQuery) ([]broker.Offer, error)
	Candidates(ctx context.Context, s broker.Session, offer broker.OfferID, limit int) ([]broker.Candidate, error)
}

// Options is what a Cache consumes. Source and Dir are required.
type Options struct {
	Source Source
	Dir    string // the state directory; only files named cache-N.db and import-N.db are touched
	// Check says why no broker could serve with a setup; nil: any that can be read is good.
	Check func(broker.Setup) error

	Every         time.Duration // between two questions for changes; default DefaultEvery
	MaxAge        time.Duration // since the cache was last known to be current; default DefaultMaxAge
	RehearseEvery time.Duration // default DefaultRehearseEvery
	Sample        int           // users of a rehearsal, twice: signed in, and with a desktop of their own; default DefaultSample

	Log     *slog.Logger
	Metrics prometheus.Registerer

	step func(string) // told what an import has done, for tests
}

// Cache is the host cache of one process. Its methods are safe for concurrent use.
type Cache struct {
	o       Options
	log     *slog.Logger
	metrics *metrics
	status  *status
	turn    *turn
	now     *current
}

// New checks the options. It does not look at the files yet.
func New(o Options) (*Cache, error) {
	if o.Source == nil || o.Dir == "" {
		return nil, errors.New("hostcache: Options.Source and Options.Dir are required")
	}
	if o.Every < 0 || o.MaxAge < 0 || o.RehearseEvery < 0 || o.Sample < 0 {
		return nil, errors.New("hostcache: durations and the sample cannot be negative")
	}
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, fmt.Errorf("hostcache: %w", err)
	}
	if info, err := os.Stat(o.Dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("hostcache: %s is no directory: %w", o.Dir, cmp.Or(err, os.ErrNotExist))
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Every, o.MaxAge = cmp.Or(o.Every, DefaultEvery), cmp.Or(o.MaxAge, DefaultMaxAge)
	o.RehearseEvery, o.Sample = cmp.Or(o.RehearseEvery, DefaultRehearseEvery), cmp.Or(o.Sample, DefaultSample)
	if o.step == nil {
		o.step = func(string) {}
	}
	c := &Cache{o: o, log: o.Log, status: &status{}, turn: newTurn(), now: &current{}}
	if c.metrics, err = newMetrics(c, o.Metrics); err != nil {
		return nil, fmt.Errorf("hostcache: %w", err)
	}
	return c, nil
}
