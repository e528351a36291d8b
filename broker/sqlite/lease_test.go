package sqlite

import (
	"bytes"
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/storetest"
)

func openTemp(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "broker.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestLeasesPurged: what was removed or has expired stays for seven days, for brokers that come back, and
// goes then, a bounded number at a time.
func TestLeasesPurged(t *testing.T) {
	s := openTemp(t)
	for _, query := range []string{
		`INSERT INTO lease SELECT 'i' || v.column1, 'local', v.column1, 'enumeration', '', '', '[]', '[]', 0, ` + nowSQL + ` + v.column2 * 8640000,
			` + nowSQL + ` + v.column3 * 8640000, 0 FROM (VALUES ('stands', 10, NULL), ('expired', -69, NULL), ('removed', 10, -69),
			('removed since', -80, -69), ('expired long ago', -71, NULL), ('removed long ago', 10, -71)) AS v`, // tenths of a day
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
			INSERT INTO lease SELECT i, 'local', i, 'enumeration', '', '', '[]', '[]', 0, 0, NULL, 0 FROM n`,
	} {
		if _, err := s.writer.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	keep := broker.Retention{Log: time.Hour, Sessions: time.Hour}
	for _, want := range []broker.Purged{{Leases: purgeBatch, More: true}, {Leases: 2}, {}} {
		if got, err := s.Purge(t.Context(), keep); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	list, err := s.Leases(t.Context(), broker.LeaseFilter{Removed: true})
	if err != nil || len(list) != 4 || list[0].User != "expired" || list[1].User != "removed" || list[2].User != "removed since" || list[3].User != "stands" {
		t.Errorf("left: %+v, %v", list, err)
	}
}

// TestLeasesUnreadable: a lease that nobody can read is left out and said in the log, and keeps no other one
// from being listed or copied. Of one that was removed it is told that it was.
func TestLeasesUnreadable(t *testing.T) {
	var said bytes.Buffer
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "broker.db"), Options{Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.writer.ExecContext(t.Context(), `INSERT INTO lease SELECT v.column1, 'local', v.column1, 'launch', v.column1, '', v.column2, v.column3, 0, 9000000000000, v.column4, 1
		FROM (VALUES ('a', '[]', '[]', NULL), ('b', '{', '[]', NULL), ('c', '[]', '"no"', NULL), ('d', '[]', '[]', NULL), ('e', '', '', 5), ('f', 'x', '[]', NULL)) AS v`); err != nil {
		t.Fatal(err)
	}
	said.Reset()
	storetest.UnreadableLeases(t, s, &said, "f", "lease b: ")
}

// TestLeasePlans asks SQLite how it goes about the statements on leases: each has an index, and none sorts.
func TestLeasePlans(t *testing.T) {
	s := openTemp(t)
	user, userArgs := leaseList(broker.LeaseFilter{Directory: "local", User: "user7"})
	all, allArgs := leaseList(broker.LeaseFilter{Most: 100})
	for name, q := range map[string]struct {
		sql  string
		args []any
		want string
	}{
		"stands":     {leaseStands, make([]any, 9), "SEARCH lease USING INDEX sqlite_autoindex_lease_1 (directory=? AND user=? AND kind=? AND desktop=? AND client_name=?)"},
		"own":        {leaseDesktopSQL, make([]any, 2), "SEARCH a USING INDEX assignment_user (directory=? AND user=?)"},
		"after":      {leasesAfter, make([]any, 3), "SEARCH lease USING INDEX lease_changed ((changed_at,id)>(?,?))"},
		"of a user":  {user, userArgs, "SEARCH lease USING INDEX sqlite_autoindex_lease_1 (directory=? AND user=?)"},
		"from first": {all, allArgs, "SCAN lease USING INDEX sqlite_autoindex_lease_1"},
		"purge":      {purgeLeases, make([]any, 2), "SEARCH lease USING COVERING INDEX lease_over (<expr><?)"},
	} {
		var plan []string
		err := s.read(t.Context(), "explain", func(x txn) error {
			return each(x, `EXPLAIN QUERY PLAN `+q.sql, func(r *sql.Rows) error {
				var id, parent, unused int
				var line string
				err := r.Scan(&id, &parent, &unused, &line)
				plan = append(plan, line)
				return err
			}, q.args...)
		})
		if err != nil {
			t.Fatal(name, err)
		}
		text := strings.Join(plan, "\n")
		if !strings.Contains(text, q.want) || strings.Contains(text, "B-TREE") && name != "own" || strings.Contains(text, "SCAN") && name != "from first" {
			t.Errorf("%s:\n%s\nwant %s", name, text, q.want)
		}
	}
}
