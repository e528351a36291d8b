package sqlite

import (
	"context"
	"fmt"
	"strings"

	"switchpoint/broker"
)

// CacheVersion implements broker.CacheSource.
func (s *Store) CacheVersion(ctx context.Context) (v broker.CacheVersion, err error) {
	err = s.read(ctx, "read cache version", func(t txn) (err error) {
		v, err = readCacheVersion(t)
		return err
	})
	return v, err
}

func readCacheVersion(t txn) (v broker.CacheVersion, err error) {
	err = t.row(`SELECT COALESCE((SELECT version FROM setup), 0), inventory, stamp FROM cache_version`).Scan(&v.Setup, &v.Inventory, &v.Stamp)
	return v, err
}

// CopyCache implements broker.CacheSource.
func (s *Store) CopyCache(ctx context.Context, to broker.CacheSink) (broker.CacheVersion, error) {
	return s.copyTables(ctx, to, func(broker.CacheTable) bool { return true })
}

// CopyState implements broker.CacheSource.
func (s *Store) CopyState(ctx context.Context, to broker.CacheSink) error {
	_, err := s.copyTables(ctx, to, func(t broker.CacheTable) bool { return t.State })
	return err
}

func (s *Store) copyTables(ctx context.Context, to broker.CacheSink, which func(broker.CacheTable) bool) (v broker.CacheVersion, err error) {
	var refused error
	err = s.read(ctx, "copy to the host cache", func(t txn) (err error) {
		if v, err = readCacheVersion(t); err != nil {
			return err
		}
		refused = to.Begin()
		if refused != nil {
			return refused
		}
		for _, table := range broker.CacheTables() {
			if !which(table) {
				continue
			}
			if refused, err = copyTable(t, &table, to); err != nil {
				return fmt.Errorf("table %s: %w", table.Name, err)
			}
		}
		return nil
	})
	if refused != nil {
		return v, refused
	}
	return v, err
}

func copyTable(t txn, table *broker.CacheTable, to broker.CacheSink) (refused, err error) {
	// A context that may end costs a goroutine for each row; it is looked at here.
	rows, err := t.QueryContext(context.WithoutCancel(t.ctx), copySQL(table), t.now)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	values, fields := make([]any, len(table.Columns)), make([]any, len(table.Columns))
	for i := range values {
		fields[i] = &values[i]
	}
	for rows.Next() {
		if err := t.ctx.Err(); err != nil {
			return nil, err
		}
		if err := rows.Scan(fields...); err != nil {
			return nil, err
		}
		if err := to.Row(table, values); err != nil {
			return err, err
		}
	}
	return nil, rows.Err()
}

// copySQL selects the rows of a table that host caches keep; ?1 is the moment. A row whose desktop was
// deleted is over; one that has lost its desktop goes with the others, for the copy to say so.
func copySQL(t *broker.CacheTable) string {
	text, where := "t."+strings.Join(t.Columns, ", t."), " WHERE ?1 > 0"
	switch t.Name {
	case "desktop_pool", "desktop":
		where += ` AND t.deleted_at IS NULL`
	case "assignment", "agent", "last_use", "claim":
		where += ` AND NOT EXISTS (SELECT 1 FROM desktop d WHERE d.id = t.desktop_id AND d.deleted_at IS NOT NULL)`
	case "limit_block":
		where += ` AND t.until > ?1`
	case "session":
		where += ` AND (COALESCE(t.ended_at, t.expires_at) > ?1 OR t.id IN (SELECT session_id FROM claim))`
	}
	return `SELECT ` + text + ` FROM ` + t.Name + ` t` + where
}
