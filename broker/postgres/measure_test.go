package postgres

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// plansAtOnce: a login after a setup of many desktops is planned for them, not for the empty inventory
// that there was before. And when most of them were given out since the rows were counted, as in the
// morning, nobody reads all claims to find his own.
func plansAtOnce(t *testing.T, d *databases) {
	const few = 40 // all claims have more pages
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	fill(t, s, 3000)
	exec(t, s, `ALTER TABLE desktop SET (autovacuum_enabled = off)`)
	out, err := s.Login(t.Context(), record("anna"))
	if err != nil {
		t.Fatal(err)
	}
	key, log := []any{"", []byte("mac"), int64(1)}, logArgs(broker.LogRow{ID: newID()})
	pool, slots := []string{"pool"}, []int32{1}
	login := slices.Concat([]any{"local", "anna", pool, slots}, log, key,
		[]any{newID(), record("anna").NewSession.TokenHash[:], 1, "", "", "[]", int64(1), "", int64(1), int64(0)})
	claim := []any{"local", "anna", out.Offers[0].ID.Pool}
	orders := ordersSQL()[broker.OrderPrevious]
	// Planned now, as the connections of a broker do it that runs for days.
	conn, err := s.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	queries := []struct {
		name, sql string
		args      []any
	}{
		{"login", loginSQL, login},
		{"candidates", orders.candidates, slices.Concat(claim, []any{1, 0.5, 3, pool, slots})},
		{"connect", orders.passing, slices.Concat(claim, []any{out.Session.ID}, log, key, []any{1, nil, 0.5, pool, slots, 3})},
	}
	if _, err := conn.Exec(t.Context(), `SET plan_cache_mode = force_generic_plan`); err != nil {
		t.Fatal(err)
	}
	for _, q := range queries {
		if _, err := conn.Exec(t.Context(), `PREPARE `+q.name+` AS `+q.sql); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string) {
		for _, q := range queries {
			rows, err := conn.Query(t.Context(), `EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE `+q.name+`(`+literals(q.args)+`)`, pgx.QueryExecModeSimpleProtocol)
			if err != nil {
				t.Fatal(err)
			}
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatal(q.name, err)
			}
			plan := strings.Join(lines, "\n")
			m := pagesRead.FindStringSubmatch(plan)
			if m == nil {
				t.Fatalf("no pages in\n%s", plan)
			}
			t.Logf("%s %s: %s pages", q.name, when, m[1])
			if hit, _ := strconv.Atoi(m[1]); hit == 0 || hit > few {
				t.Errorf("%s %s: %d pages:\n%s", q.name, when, hit, plan)
			}
			// The next time makes the same rows again.
			exec(t, s, `DELETE FROM log`)
			exec(t, s, `DELETE FROM session WHERE user_name = 'anna' AND NOT EXISTS (SELECT FROM desktop WHERE claim_session = session.id) AND id <> '`+out.Session.ID+`'`)
		}
	}
	check("after a setup")
	exec(t, s, `UPDATE desktop SET claim_directory = 'local', claim_user = 'user' || position, claim_slot = 1, claim_session = '`+out.Session.ID+`',
		claimed_at = now(), claim_pool = pool_id WHERE position < 2000 AND claim_user IS NULL`)
	check("in the morning")
}

// literals writes values as SQL.
func literals(args []any) string {
	out := make([]string, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case nil:
			out[i] = "NULL"
		case []byte:
			out[i] = fmt.Sprintf(`'\x%x'`, a)
		case []string:
			out[i] = "'{" + strings.Join(a, ",") + "}'"
		case []int32:
			out[i] = "'{" + strings.Trim(fmt.Sprint(a), "[]") + "}'"
		default:
			out[i] = "'" + strings.ReplaceAll(fmt.Sprint(a), "'", "''") + "'"
		}
	}
	return strings.Join(out, ", ")
}
