package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"time"

	"switchpoint/broker"
)

// RefreshState brings the tables of the host cache that change all the time to what source has now, in
// one transaction, which writes only what differs. The report has the rows of those tables, and of the
// quarantine what it holds of all.
func (s *Store) RefreshState(ctx context.Context, source broker.CacheSource, now time.Time) (CacheReport, error) {
	d := &stateDiff{seed: maphash.MakeSeed(), here: make(map[string]map[string]uint64)}
	if err := s.read(ctx, "read state of the host cache", d.read); err != nil {
		return CacheReport{}, err
	}
	d.reset()
	if err := source.CopyState(ctx, d); err != nil {
		return CacheReport{}, err
	}
	r := CacheReport{Rows: d.rows}
	err := s.write(ctx, "refresh state of the host cache", func(t txn) error {
		if err := d.apply(t, r.Rows); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE cache_origin SET current_at = ?`, now.UnixMilli()); err != nil {
			return err
		}
		if err := t.row(`SELECT setup, inventory, stamp FROM cache_origin`).Scan(&r.Version.Setup, &r.Version.Inventory, &r.Version.Stamp); err != nil {
			return err
		}
		return t.row(`SELECT count(*) FROM quarantine`).Scan(&r.Quarantined)
	})
	return r, err
}

// stateDiff finds out what has to be written: it takes the copy of a source and knows what is here.
type stateDiff struct {
	seed    maphash.Seed
	here    map[string]map[string]uint64 // table, key: hash of the row
	gone    map[string]map[string]uint64 // of those, what did not come yet
	changed []stateRow
	rows    map[string]int
}

type stateRow struct {
	table  *broker.CacheTable
	values []any
}

// read hashes what is here.
func (d *stateDiff) read(t txn) error {
	for _, table := range stateTables() {
		known := make(map[string]uint64)
		values, fields := make([]any, len(table.Columns)), make([]any, len(table.Columns))
		for i := range values {
			fields[i] = &values[i]
		}
		err := each(t, `SELECT `+strings.Join(table.Columns, ", ")+` FROM `+table.Name, func(r *sql.Rows) error {
			err := r.Scan(fields...)
			known[d.key(&table, values)] = d.sum(values)
			return err
		})
		if err != nil {
			return err
		}
		d.here[table.Name] = known
	}
	return nil
}

func stateTables() []broker.CacheTable {
	return slices.DeleteFunc(broker.CacheTables(), func(t broker.CacheTable) bool { return !t.State })
}

func (d *stateDiff) reset() {
	d.changed, d.rows, d.gone = nil, make(map[string]int), make(map[string]map[string]uint64)
	for name, rows := range d.here {
		d.gone[name] = make(map[string]uint64, len(rows))
		for key, sum := range rows {
			d.gone[name][key] = sum
		}
	}
}

// Begin implements broker.CacheSink.
func (d *stateDiff) Begin() error {
	d.reset()
	return nil
}

// Row implements broker.CacheSink.
func (d *stateDiff) Row(t *broker.CacheTable, values []any) error {
	key := d.key(t, values)
	sum, known := d.gone[t.Name][key]
	delete(d.gone[t.Name], key)
	if known && sum == d.sum(values) {
		d.rows[t.Name]++
		return nil
	}
	row := stateRow{t, slices.Clone(values)}
	for i, v := range row.values {
		if b, ok := v.([]byte); ok {
			row.values[i] = slices.Clone(b)
		}
	}
	d.changed = append(d.changed, row)
	return nil
}

func (d *stateDiff) key(t *broker.CacheTable, values []any) string {
	if s, ok := values[0].(string); ok && t.Key == 1 {
		return s
	}
	return string(appendValues(nil, values[:t.Key]))
}

func (d *stateDiff) sum(values []any) uint64 { return maphash.Bytes(d.seed, appendValues(nil, values)) }

// appendValues writes values so that two lists of them are equal when their bytes are.
func appendValues(b []byte, values []any) []byte {
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			b = append(b, 0)
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 1), uint64(v))
		case float64:
			b = binary.BigEndian.AppendUint64(append(b, 2), math.Float64bits(v))
		case string:
			b = append(binary.AppendUvarint(append(b, 3), uint64(len(v))), v...)
		case []byte:
			b = append(binary.AppendUvarint(append(b, 4), uint64(len(v))), v...)
		}
	}
	return b
}

// apply writes the difference. What changed is written as new: a claim may have moved to the desktop of
// another one that has moved, too.
func (d *stateDiff) apply(t txn, rows map[string]int) error {
	if _, err := t.exec(`PRAGMA defer_foreign_keys = ON`); err != nil {
		return err
	}
	c := newCacheRows(t)
	c.rows = rows
	for _, table := range stateTables() {
		if _, err := t.exec(`DELETE FROM quarantine WHERE what = ?`, table.Name); err != nil {
			return err
		}
		if err := d.deleteGone(t, &table); err != nil {
			return err
		}
	}
	for _, row := range d.changed {
		if err := deleteRow(t, row.table, row.values[:row.table.Key]); err != nil {
			return err
		}
	}
	for _, row := range d.changed {
		if err := c.add(row.table, row.values); err != nil {
			return err
		}
	}
	return c.orphans()
}

// deleteGone deletes the rows that did not come. Their keys are read again: a hash has none.
func (d *stateDiff) deleteGone(t txn, table *broker.CacheTable) error {
	gone := d.gone[table.Name]
	if len(gone) == 0 {
		return nil
	}
	var keys [][]any
	values, fields := make([]any, table.Key), make([]any, table.Key)
	for i := range values {
		fields[i] = &values[i]
	}
	err := each(t, `SELECT `+strings.Join(table.Columns[:table.Key], ", ")+` FROM `+table.Name, func(r *sql.Rows) error {
		err := r.Scan(fields...)
		if _, ok := gone[d.key(table, values)]; ok {
			keys = append(keys, slices.Clone(values))
		}
		return err
	})
	for _, key := range keys {
		if err == nil {
			err = deleteRow(t, table, key)
		}
	}
	return err
}

func deleteRow(t txn, table *broker.CacheTable, key []any) error {
	_, err := t.ExecContext(context.WithoutCancel(t.ctx),
		`DELETE FROM `+table.Name+` WHERE (`+strings.Join(table.Columns[:table.Key], ", ")+`) = (?`+strings.Repeat(", ?", table.Key-1)+`)`, key...)
	return err
}
