package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"switchpoint/broker"
)

// CacheInfo is what a host cache says of itself.
type CacheInfo struct {
	Version     broker.CacheVersion
	Copied      time.Time // when it was made
	Current     time.Time // when it was last known to be of the newest version
	Schema      int64
	Served      bool           // it was opened to serve logins: it may hold more than was copied
	Rows        map[string]int // by table
	Quarantined int            // records that were written down
}

// CacheRecord is a record that a copy could not take, or not whole.
type CacheRecord struct {
	What string `json:"what"` // the table
	Key  string `json:"key"`
	Why  string `json:"why"`
}

// CacheUser is a user that a host cache knows. Grants are those of his session; nil: he has none.
type CacheUser struct {
	broker.Who
	Grants []broker.Grant
}

// SchemaVersion is the schema that Open brings a database to.
func SchemaVersion() (newest int64) {
	entries, _ := fs.ReadDir(migrations, "migrations") // embedded: it cannot fail
	for _, e := range entries {
		number, _, _ := strings.Cut(e.Name(), "_")
		n, _ := strconv.ParseInt(number, 10, 64)
		newest = max(newest, n)
	}
	return newest
}

// InspectCache checks the host cache at path and says what it is; it changes nothing. With full it
// compares every index with its table and looks for rows that refer to nothing, else it only reads
// every page. A file that cannot be used is an error, one that another version of the program has made too.
func InspectCache(ctx context.Context, path string, full bool) (info CacheInfo, err error) {
	if _, err := os.Stat(path); err != nil { // SQLite would make it
		return info, fmt.Errorf("inspect host cache: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path, DefaultBusyTimeout, true, false)+"&mode=rw")
	if err != nil {
		return info, fmt.Errorf("inspect host cache: %w", err)
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	check := "quick_check"
	if full {
		check = "integrity_check"
	}
	if err := wellFormed(ctx, db, check); err != nil {
		return info, fmt.Errorf("inspect host cache: %w", classify(err))
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return info, fmt.Errorf("inspect host cache: %w", classify(err))
	}
	defer tx.Rollback()
	if info, err = readInfo(txn{Tx: tx, ctx: ctx}, full); err != nil {
		return info, fmt.Errorf("inspect host cache: %w", classify(err))
	}
	return info, nil
}

func readInfo(t txn, full bool) (info CacheInfo, err error) {
	if err := t.row(`SELECT MAX(version_id) FROM goose_db_version WHERE is_applied`).Scan(&info.Schema); err != nil {
		return info, err
	}
	if own := SchemaVersion(); info.Schema != own {
		return info, fmt.Errorf("another version of this program made it: it has schema %d instead of %d", info.Schema, own)
	}
	var copied, current int64
	v := &info.Version
	err = t.row(`SELECT setup, inventory, stamp, copied_at, current_at, served FROM cache_origin`).
		Scan(&v.Setup, &v.Inventory, &v.Stamp, &copied, &current, &info.Served)
	if errors.Is(err, sql.ErrNoRows) {
		return info, errors.New("it does not say where it comes from")
	}
	if err != nil {
		return info, err
	}
	info.Copied, info.Current = moment(copied), moment(current)
	var document []byte
	if err := t.row(`SELECT s.document FROM setup s, cluster`).Scan(&document); err != nil {
		return info, fmt.Errorf("setup: %w", err)
	}
	if err := json.Unmarshal(document, new(broker.Setup)); err != nil {
		return info, fmt.Errorf("setup: %w", err)
	}
	if full {
		var broken int
		if err := t.row(`SELECT count(*) FROM pragma_foreign_key_check`).Scan(&broken); err != nil {
			return info, err
		}
		if broken > 0 {
			return info, fmt.Errorf("%d rows refer to nothing", broken)
		}
	}
	info.Rows = make(map[string]int)
	for _, table := range broker.CacheTables() {
		var n int
		if err := t.row(`SELECT count(*) FROM ` + table.Name).Scan(&n); err != nil {
			return info, err
		}
		info.Rows[table.Name] = n
	}
	return info, t.row(`SELECT count(*) FROM quarantine`).Scan(&info.Quarantined)
}

// MarkServed notes in the host cache that it serves logins from now on.
func (s *Store) MarkServed(ctx context.Context) error {
	return s.write(ctx, "mark host cache", func(t txn) error {
		_, err := t.exec(`UPDATE cache_origin SET served = 1`)
		return err
	})
}

// CacheQuarantine lists the records that the host cache could not take, limit at most.
func (s *Store) CacheQuarantine(ctx context.Context, limit int) (out []CacheRecord, err error) {
	err = s.read(ctx, "list quarantine", func(t txn) error {
		return each(t, `SELECT what, key, why FROM quarantine ORDER BY what, key LIMIT ?`, func(r *sql.Rows) error {
			var c CacheRecord
			err := r.Scan(&c.What, &c.Key, &c.Why)
			out = append(out, c)
			return err
		}, limit)
	})
	return out, err
}

// CacheUsers draws users of the host cache: up to n that are signed in, and up to n that have a desktop of
// their own.
func (s *Store) CacheUsers(ctx context.Context, n int) (out []CacheUser, err error) {
	err = s.read(ctx, "draw users", func(t txn) error {
		for _, query := range []string{
			`SELECT directory, user, grants FROM session WHERE ended_at IS NULL AND expires_at > ? ORDER BY random() LIMIT ?`,
			`SELECT directory, user, '' FROM assignment WHERE ? > 0 ORDER BY random() LIMIT ?`,
		} {
			if err := each(t, query, func(r *sql.Rows) error {
				var u CacheUser
				var grants string
				err := r.Scan(&u.Directory, &u.User, &grants)
				if err == nil && grants != "" {
					err = json.Unmarshal([]byte(grants), &u.Grants)
				}
				out = append(out, u)
				return err
			}, t.now, n); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}
