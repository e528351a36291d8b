package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"switchpoint/broker"
)

// asideConns are the connections of the beats: the broker's own and the one of the watch over outages.
const asideConns = 2

// Store is the database of one process. Use Open; Close it at the end.
type Store struct {
	log     *slog.Logger
	timeout time.Duration // of a call without a deadline
	pool    *pgxpool.Pool
	aside   *pgxpool.Pool // of the beats
	guard   *guard
	resets  resets
	orders  map[string]orderSQL

	first     *pgx.ConnConfig // to migrate with: what the guard looks at may not be there yet
	ready     atomic.Bool     // the schema is up to date
	migrating chan struct{}   // held while somebody sees to it
	upgrade   sync.WaitGroup  // of migrations
	life      context.Context // theirs
	end       func()
}

var _ broker.Store = (*Store)(nil)

// Open connects, brings the schema up to date and returns the store. It fails when no server of
// the URL can be written (broker.ErrUnavailable): the caller decides whether to try again. With
// Options.Later it does none of that: the first call does.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	o = o.WithDefaults()
	config, err := o.config()
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{log: o.Log, timeout: o.QueryTimeout, guard: &guard{log: o.Log}, orders: ordersSQL(), first: config.ConnConfig.Copy(), migrating: make(chan struct{}, 1)}
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	config.ConnConfig.ValidateConnect = s.guard.admitServer
	if err := s.openPools(ctx, config); err != nil {
		s.end()
		return nil, fmt.Errorf("open store: %w", err)
	}
	if o.Later {
		return s, nil
	}
	if err := s.prepare(ctx); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("open store: %w", classify(err))
	}
	if _, err := s.SetupVersion(ctx); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

// prepare migrates before the first call of this process; other calls wait for it, each as long as
// its context lets it. A migration goes on when the call that began it does not wait any longer: it may
// take minutes, and calls that have a second would begin it again and again.
func (s *Store) prepare(ctx context.Context) error {
	if s.ready.Load() {
		return nil
	}
	select {
	case s.migrating <- struct{}{}:
	case <-ctx.Done():
		return &noConnError{ctx.Err()}
	}
	if s.ready.Load() {
		<-s.migrating
		return nil
	}
	current, err := isCurrent(ctx, s.first)
	if err != nil || current {
		s.ready.Store(current)
		<-s.migrating
		return err
	}
	done := make(chan error, 1)
	s.upgrade.Go(func() {
		ctx, cancel := context.WithTimeout(s.life, migrateWithin)
		defer cancel()
		err := s.migrate(ctx, s.first)
		s.ready.Store(err == nil)
		<-s.migrating
		done <- err
	})
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		return nil
	case <-ctx.Done():
		return &noConnError{fmt.Errorf("the schema is brought up to date: %w", ctx.Err())}
	}
}

// Close waits for the calls that are under way, ends a migration, and closes all connections. A second call
// does nothing.
func (s *Store) Close() error {
	s.end()
	s.upgrade.Wait()
	s.pool.Close()
	s.aside.Close()
	return nil
}

// openPools shares the connections out; none is made yet.
func (s *Store) openPools(ctx context.Context, config *pgxpool.Config) (err error) {
	beats := config.Copy()
	beats.MaxConns = min(asideConns, config.MaxConns/2)
	config.MaxConns -= beats.MaxConns
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	if s.aside, err = pgxpool.NewWithConfig(ctx, beats); err != nil {
		s.pool.Close()
	}
	return err
}
