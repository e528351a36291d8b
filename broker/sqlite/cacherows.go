package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"switchpoint/broker"
)

const (
	// maxQuarantine bounds the records that are written down; all are counted.
	maxQuarantine = 1000
	maxKeyText    = 200
)

// cacheRows writes copied rows into a host cache, in one transaction. A row that breaks a rule of the
// schema, or whose content nobody could read later, goes into the quarantine instead; the others are
// written. Without cluster and setup there is no host cache: those are errors.
type cacheRows struct {
	t           txn
	inserts     map[string]*sql.Stmt
	rows        map[string]int
	quarantined int
}

func newCacheRows(t txn) *cacheRows {
	return &cacheRows{t: t, inserts: make(map[string]*sql.Stmt), rows: make(map[string]int)}
}

func insertSQL(t *broker.CacheTable) string {
	return `INSERT INTO ` + t.Name + ` (` + strings.Join(t.Columns, ", ") + `) VALUES (?` + strings.Repeat(", ?", len(t.Columns)-1) + `)`
}

// add writes one row. Errors are those of the database, not of the row.
func (c *cacheRows) add(table *broker.CacheTable, values []any) error {
	if err := c.t.ctx.Err(); err != nil {
		return err
	}
	if len(values) != len(table.Columns) {
		return fmt.Errorf("a row of %s has %d values instead of %d", table.Name, len(values), len(table.Columns))
	}
	broken := checkRow(table, values)
	if broken == nil {
		broken = c.insert(table, values)
	}
	switch {
	case broken == nil:
		c.rows[table.Name]++
		return nil
	case !badRow(broken):
		return broken
	case table.Name == "cluster" || table.Name == "setup":
		return fmt.Errorf("the row of %s cannot be used: %w", table.Name, broken)
	}
	return c.quarantine(table.Name, keyText(values[:table.Key]), broken.Error())
}

// insert runs without the context, which would cost a goroutine for each row.
func (c *cacheRows) insert(table *broker.CacheTable, values []any) error {
	s := c.inserts[table.Name]
	if s == nil {
		var err error
		if s, err = c.t.PrepareContext(c.t.ctx, insertSQL(table)); err != nil {
			return err
		}
		c.inserts[table.Name] = s
	}
	_, err := s.ExecContext(context.WithoutCancel(c.t.ctx), values...)
	return err
}

func (c *cacheRows) quarantine(what, key, why string) error {
	if c.quarantined++; c.quarantined > maxQuarantine {
		return nil
	}
	_, err := c.t.exec(`INSERT INTO quarantine (what, key, why) VALUES (?, ?, ?)`, what, key, clip(why))
	return err
}

func keyText(values []any) string {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = fmt.Sprint(v)
	}
	return clip(strings.Join(parts, " "))
}

// clip bounds a text and makes it one that can be stored and printed.
func clip(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxKeyText)], "?")
}

// rowError is a fault of a row's content.
type rowError struct{ error }

// badRow says whether the row is at fault, not the database.
func badRow(err error) bool {
	var content rowError
	var e *sqlite.Error
	if errors.As(err, &content) {
		return true
	}
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		return true
	}
	return false
}

// checkRow reads the texts that the store reads with more than SQL.
func checkRow(table *broker.CacheTable, values []any) error {
	switch table.Name {
	case "setup":
		return checkJSON(table, values, "document", "{}", &broker.Setup{})
	case "desktop_pool":
		return checkJSON(table, values, "members", "{}", &members{})
	case "session":
		return checkJSON(table, values, "grants", "[]", &[]broker.Grant{})
	case "agent":
		return checkJSON(table, values, "sessions", "[]", &[]broker.AgentSession{})
	}
	return nil
}

// checkJSON reads the column as what it is for; empty is what most rows have.
func checkJSON(table *broker.CacheTable, values []any, column, empty string, into any) error {
	for i, name := range table.Columns {
		if name != column {
			continue
		}
		text, ok := values[i].(string)
		if !ok {
			return rowError{fmt.Errorf("%s is no text", column)}
		}
		if text == empty {
			return nil
		}
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return rowError{fmt.Errorf("%s: %w", column, err)}
		}
	}
	return nil
}

// reference is a column that names a row which is not there.
type reference struct {
	table, column, parent string
	id                    int64
	optional              bool // the row is of use without it
}

// orphans looks for rows that refer to nothing until there are none: what refers to an orphan is one
// too. Where the column may be empty the row stays without it, as a desktop without its pool.
func (c *cacheRows) orphans() error {
	for {
		refs, err := c.broken()
		if err != nil || len(refs) == 0 {
			return err
		}
		done := 0
		for _, r := range refs {
			n, err := c.drop(r)
			if err != nil {
				return fmt.Errorf("quarantine orphans of %s: %w", r.table, err)
			}
			done += n
		}
		if done == 0 {
			return fmt.Errorf("orphans of %s cannot be found", refs[0].table)
		}
	}
}

func (c *cacheRows) broken() (out []reference, err error) {
	err = each(c.t, `SELECT f."table", l."from", f.parent, f.fkid, NOT i."notnull" FROM (SELECT DISTINCT "table", parent, fkid FROM pragma_foreign_key_check) f
		JOIN pragma_foreign_key_list(f."table") l ON l.id = f.fkid JOIN pragma_table_info(f."table") i ON i.name = l."from"`, func(r *sql.Rows) error {
		var ref reference
		err := r.Scan(&ref.table, &ref.column, &ref.parent, &ref.id, &ref.optional)
		out = append(out, ref)
		return err
	})
	return out, err
}

// drop quarantines the rows of one broken reference, and counts them. A row may have had two.
func (c *cacheRows) drop(r reference) (int, error) {
	key := "rowid"
	for _, t := range broker.CacheTables() {
		if t.Name == r.table {
			key = strings.Join(t.Columns[:t.Key], ` || ' ' || `)
		}
	}
	where := ` FROM ` + r.table + ` WHERE rowid IN (SELECT "rowid" FROM pragma_foreign_key_check(?) WHERE fkid = ?)`
	var keys [][2]string
	if err := each(c.t, `SELECT `+key+`, `+r.column+where, func(rows *sql.Rows) error {
		var k [2]string
		err := rows.Scan(&k[0], &k[1])
		keys = append(keys, k)
		return err
	}, r.table, r.id); err != nil {
		return 0, err
	}
	query, what := `DELETE`+where, "it is left out"
	if r.optional {
		query = `UPDATE ` + r.table + ` SET ` + r.column + ` = NULL WHERE rowid IN (SELECT "rowid" FROM pragma_foreign_key_check(?) WHERE fkid = ?)`
		what = "it is kept without that"
	}
	for _, k := range keys {
		if err := c.quarantine(r.table, clip(k[0]), fmt.Sprintf("%s: there is no %s %s; %s", r.column, r.parent, clip(k[1]), what)); err != nil {
			return 0, err
		}
	}
	n, err := c.t.exec(query, r.table, r.id)
	if !r.optional {
		c.rows[r.table] -= n
	}
	return n, err
}
