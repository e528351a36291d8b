package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"switchpoint/broker"
)

//go:embed migrations/*.sql
var migrations embed.FS

// DefaultBusyTimeout is how long a call waits for another process's write.
const DefaultBusyTimeout = 5 * time.Second

// Options of Open. The zero value is usable.
type Options struct {
	Log *slog.Logger
	// BusyTimeout bounds the wait for another process's transaction; the context of a call may
	// end it sooner.
	BusyTimeout time.Duration
	// Replaceable: the file can be made anew, or what it lacks stands elsewhere. A commit then survives the
	// end of the process, but does not wait for the disk: a power failure may take the newest ones back,
	// in their order, and never damages the file.
	Replaceable bool
}

// Store is the database of one process. Use Open; Close it once.
type Store struct {
	writer  *sql.DB // exactly one connection
	readers *sql.DB
	writes  *Queries
	reads   *Queries
	turn    *turn
	log     *slog.Logger
	busy    time.Duration // how long a write waits for those of other processes
}

var _ broker.Store = (*Store)(nil)

// Open opens or creates the database at path and brings its schema up to date.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.BusyTimeout == 0 {
		o.BusyTimeout = DefaultBusyTimeout
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := private(path); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := migrate(ctx, path, o); err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	s := &Store{busy: o.BusyTimeout, log: o.Log}
	if s.turn, err = newTurn(path + ".turn"); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if s.writer, err = sql.Open("sqlite", dsn(path, beginBusy, false, o.Replaceable)); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), s.turn.file.Close())
	}
	s.writer.SetMaxOpenConns(1)
	if s.readers, err = sql.Open("sqlite", dsn(path, o.BusyTimeout, true, o.Replaceable)); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), s.turn.file.Close(), s.writer.Close())
	}
	s.readers.SetMaxOpenConns(max(4, runtime.GOMAXPROCS(0)))
	s.readers.SetMaxIdleConns(max(4, runtime.GOMAXPROCS(0)))
	s.writes, s.reads = NewQueries(s.writer), NewQueries(s.readers)
	return s, nil
}

// Close closes all connections.
func (s *Store) Close() error {
	err := s.turn.file.Close()
	if errors.Is(err, os.ErrClosed) { // a second call does nothing
		err = nil
	}
	return errors.Join(s.reads.Close(), s.writes.Close(), s.readers.Close(), s.writer.Close(), err)
}

// private makes sure that nobody else can read the file; SQLite gives its mode to -wal and -shm.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// dsn is the connection string. The order of the pragmas matters: busy_timeout must stand
// before journal_mode, which takes a lock.
func dsn(path string, busy time.Duration, readOnly, replaceable bool) string {
	synchronous := "synchronous(FULL)"
	if replaceable {
		synchronous = "synchronous(NORMAL)"
	}
	q := url.Values{"_pragma": {
		"busy_timeout(" + strconv.FormatInt(busy.Milliseconds(), 10) + ")",
		"journal_mode(WAL)", synchronous, "foreign_keys(1)", "trusted_schema(0)",
	}}
	if readOnly {
		q.Add("_pragma", "query_only(1)")
		q.Set("_txlock", "deferred")
	} else {
		q.Set("_txlock", "immediate")
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}
	return u.String()
}

// migrate brings the schema up to date, one process at a time, on a connection that waits for the
// writes of those that run already.
func migrate(ctx context.Context, path string, o Options) (err error) {
	unlock, err := lockFile(ctx, path+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	db, err := sql.Open("sqlite", dsn(path, o.BusyTimeout, false, o.Replaceable))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true), goose.WithSlog(o.Log))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	done, err := p.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", classify(err))
	}
	for _, m := range done {
		o.Log.Info("database migrated", "version", m.Source.Version, "took", m.Duration)
	}
	return nil
}
