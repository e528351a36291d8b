package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// migrateLock is the key of the advisory lock of a migration: the ASCII of "swpoint".
	migrateLock   = 0x7377706f696e74
	migrateWithin = 15 * time.Minute // of large tables
)

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

// isCurrent says whether the schema has all migrations of this version.
func isCurrent(ctx context.Context, config *pgx.ConnConfig) (bool, error) {
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		return false, err
	}
	newest, err := goose.NumericComponent(files[len(files)-1].Name()) // ReadDir sorts, and all have five digits
	if err != nil {
		return false, err
	}
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, &noConnError{err}
	}
	defer closeConn(c)
	var has int64
	err = c.QueryRow(ctx, `SELECT COALESCE(max(version_id), 0) FROM `+goose.DefaultTablename, pgx.QueryExecModeExec).Scan(&has)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42P01" { // an empty database
		return false, nil
	}
	return err == nil && has >= newest, err
}

func closeConn(c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx) // whatever it says, the connection is gone
}
