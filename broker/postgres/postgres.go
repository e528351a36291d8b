package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"switchpoint/broker"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrateLock is the key of the advisory lock of a migration: the ASCII of "swpoint".
const migrateLock = 0x7377706f696e74

// Store is the database of one process. Use Open; Close it at the end.
type Store struct {
	log     *slog.Logger
	timeout time.Duration // of a call without a deadline
	pool    *pgxpool.Pool
	guard   *guard
	resets  resets
	orders  map[string]orderSQL

	first     *pgx.ConnConfig // to migrate with: what the guard looks at may not be there yet
	ready     atomic.Bool     // the schema is up to date
	migrating chan struct{}   // held by the call that sees to it
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
	config.ConnConfig.ValidateConnect = s.guard.admitServer
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if o.Later {
		return s, nil
	}
	if err := s.prepare(ctx); err != nil {
		s.pool.Close()
		return nil, fmt.Errorf("open store: %w", classify(err))
	}
	if _, err := s.SetupVersion(ctx); err != nil {
		s.pool.Close()
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

// prepare migrates before the first call of this process; other calls wait for it, each as long as
// its context lets it.
func (s *Store) prepare(ctx context.Context) error {
	if s.ready.Load() {
		return nil
	}
	select {
	case s.migrating <- struct{}{}:
	case <-ctx.Done():
		return &noConnError{ctx.Err()}
	}
	defer func() { <-s.migrating }()
	if s.ready.Load() {
		return nil
	}
	if err := s.migrate(ctx, s.first); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	s.ready.Store(true)
	return nil
}

// Close waits for the calls that are under way and closes all connections. A second call does nothing.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// migrate brings the schema up to date. One transaction holds the lock that keeps other brokers
// out, a second connection migrates: a lock of a session would not survive a pooler.
func (s *Store) migrate(ctx context.Context, config *pgx.ConnConfig) error {
	config = config.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	lock, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer closeConn(lock)
	tx, err := lock.Begin(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrateLock)); err != nil {
		return fmt.Errorf("wait for the migration of another broker: %w", err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*config)
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true), goose.WithSlog(s.log))
	if err != nil {
		return err
	}
	done, err := p.Up(ctx)
	if err != nil {
		return err
	}
	for _, m := range done {
		s.log.Info("database migrated", "version", m.Source.Version, "took", m.Duration)
	}
	return tx.Commit(ctx)
}

func closeConn(c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx) // whatever it says, the connection is gone
}
