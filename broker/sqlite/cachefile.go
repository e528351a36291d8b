package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"switchpoint/broker"
)

// CacheReport is what became of a copy.
type CacheReport struct {
	Version     broker.CacheVersion
	Rows        map[string]int // by table
	Quarantined int            // records that could not be taken, or not whole
}

// BuildCache copies source into a new database file at path: a host cache. The file is whole and
// durable when BuildCache returns nil; its name in the folder is the caller's to make durable, and so is
// the removal of what an error leaves (RemoveCache). step, which may be nil, is told what has been done.
//
//	created -> copied -> indexed -> checked -> closed -> synced
//
// A broken record is left out (quarantine); a setup that cannot be read is an error.
func BuildCache(ctx context.Context, path string, source broker.CacheSource, now time.Time, step func(string)) (report CacheReport, err error) {
	if step == nil {
		step = func(string) {}
	}
	if err := private(path); err != nil {
		return report, fmt.Errorf("create host cache: %w", err)
	}
	if err := migrate(ctx, path, Options{Log: slog.New(slog.DiscardHandler), BusyTimeout: DefaultBusyTimeout}); err != nil {
		return report, fmt.Errorf("create host cache: %w", err)
	}
	step("created")
	// Nothing of the file counts before it is whole, so nothing waits for the disk until then.
	db, err := sql.Open("sqlite", importDSN(path))
	if err != nil {
		return report, fmt.Errorf("create host cache: %w", err)
	}
	db.SetMaxOpenConns(1)
	b := &cacheBuild{db: db, ctx: ctx, now: now}
	err = b.fill(source, step)
	if err = errors.Join(classify(err), db.Close()); err != nil {
		return report, fmt.Errorf("fill host cache: %w", err)
	}
	step("closed")
	if err := syncFile(path); err != nil {
		return report, fmt.Errorf("fill host cache: %w", err)
	}
	step("synced")
	return CacheReport{Version: b.version, Rows: b.rows.rows, Quarantined: b.rows.quarantined}, nil
}

func importDSN(path string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"journal_mode(MEMORY)", "synchronous(OFF)", "foreign_keys(0)", "trusted_schema(0)", "cache_size(-32768)", // KiB
	}}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}
	return u.String()
}

// RemoveCache removes a host cache with the files that stand beside it. It is no error when it is not there.
func RemoveCache(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm", "-journal", ".lock", ".turn"} {
		if _, err := os.Lstat(path + suffix); errors.Is(err, fs.ErrNotExist) { // a read-only file system does not say so of a removal
			continue
		}
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// cacheBuild is one import.
type cacheBuild struct {
	db      *sql.DB
	ctx     context.Context
	now     time.Time
	version broker.CacheVersion
	later   []string // what makes the indexes and triggers that were put off
	rows    *cacheRows
}

func (b *cacheBuild) fill(source broker.CacheSource, step func(string)) error {
	defer func() {
		if b.rows != nil {
			_ = b.rows.t.Rollback() // after Commit it does nothing
		}
	}()
	var err error
	if b.version, err = source.CopyCache(b.ctx, b); err != nil {
		return err
	}
	if b.rows == nil || b.rows.rows["cluster"] == 0 || b.rows.rows["setup"] == 0 {
		return fmt.Errorf("%w: the database has no setup yet", broker.ErrNotFound)
	}
	step("copied")
	if err := b.finish(); err != nil {
		return err
	}
	step("indexed")
	if err := b.check(); err != nil {
		return err
	}
	step("checked")
	return nil
}

// Begin implements broker.CacheSink. Indexes that only make questions fast are made at the end, when all
// rows are there, and no trigger runs for a copied row: what it would have done is copied, too.
func (b *cacheBuild) Begin() error {
	if b.rows != nil {
		if err := b.rows.t.Rollback(); err != nil {
			return err
		}
	}
	tx, err := b.db.BeginTx(b.ctx, nil)
	if err != nil {
		return err
	}
	b.rows, b.later = newCacheRows(txn{Tx: tx, ctx: b.ctx, now: b.now.UnixMilli()}), nil
	var names []string
	err = each(b.rows.t, `SELECT type || ' ' || name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND (type = 'trigger' OR type = 'index' AND sql NOT LIKE 'CREATE UNIQUE%')`,
		func(r *sql.Rows) error {
			var name, text string
			err := r.Scan(&name, &text)
			names, b.later = append(names, name), append(b.later, text)
			return err
		})
	for _, name := range names {
		if err == nil {
			_, err = b.rows.t.exec(`DROP ` + name)
		}
	}
	return err
}

// Row implements broker.CacheSink.
func (b *cacheBuild) Row(t *broker.CacheTable, values []any) error { return b.rows.add(t, values) }

// finish sees to what refers to nothing, marks what is claimed, and makes the indexes.
func (b *cacheBuild) finish() error {
	if err := b.rows.orphans(); err != nil {
		return err
	}
	if _, err := b.rows.t.exec(`UPDATE desktop SET claimed = 1 WHERE id IN (SELECT desktop_id FROM claim)`); err != nil {
		return err
	}
	for _, text := range b.later {
		if _, err := b.rows.t.exec(text); err != nil {
			return err
		}
	}
	v := b.version
	if _, err := b.rows.t.exec(`INSERT INTO cache_origin (id, setup, inventory, stamp, copied_at, current_at) VALUES (1, ?, ?, ?, ?, ?)`,
		v.Setup, v.Inventory, v.Stamp, b.rows.t.now, b.rows.t.now); err != nil {
		return err
	}
	return b.rows.t.Commit()
}

// check makes sure of the file itself, and leaves it as a store opens it.
func (b *cacheBuild) check() error {
	if err := wellFormed(b.ctx, b.db, "integrity_check"); err != nil {
		return err
	}
	var broken int
	if err := b.db.QueryRowContext(b.ctx, `SELECT count(*) FROM pragma_foreign_key_check`).Scan(&broken); err != nil {
		return err
	}
	if broken > 0 {
		return fmt.Errorf("%d rows refer to nothing", broken)
	}
	// What is empty now fills in an outage: without figures it is searched, with that of 0 rows it is read as a whole.
	const forgetEmpty = `DELETE FROM sqlite_stat1 WHERE stat = '0' OR stat LIKE '0 %'`
	// With samples a query is compiled anew for each value that it is given, which was a sixth of the CPU of a login.
	const forgetSamples = `DROP TABLE IF EXISTS sqlite_stat4`
	for _, statement := range []string{`ANALYZE`, forgetEmpty, forgetSamples, `PRAGMA journal_mode = WAL`} {
		if _, err := b.db.ExecContext(b.ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// syncFile makes the content of a file survive a crash of the machine. What SQLite kept beside it is gone
// since it was closed; if it is not, the file is not whole.
func syncFile(path string) error {
	for _, suffix := range []string{"-wal", "-journal"} {
		if info, err := os.Stat(path + suffix); err == nil && info.Size() > 0 {
			return fmt.Errorf("%s was left over", filepath.Base(path)+suffix)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// wellFormed asks SQLite about the file: quick_check reads every page, integrity_check compares the
// indexes with their tables besides.
func wellFormed(ctx context.Context, db *sql.DB, check string) error {
	var says string
	if err := db.QueryRowContext(ctx, `PRAGMA `+check+`(1)`).Scan(&says); err != nil {
		return fmt.Errorf("%s: %w", check, err)
	}
	if says != "ok" {
		return fmt.Errorf("%w: %s: %s", broker.ErrUnavailable, check, clip(says))
	}
	return nil
}
