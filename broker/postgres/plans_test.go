package postgres

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// plans looks at how the server goes about the hot statements with 100,000 users, 50,000 desktops, half of
// them assigned and nearly all others claimed: nothing is read from one end to the other.
func plans(t *testing.T, d *databases) {
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	exec(t, s, `INSERT INTO desktop_pool SELECT gen_random_uuid(), name, kind, 'none', 0 FROM (VALUES ('own', 'assigned'), ('pool', 'pooled')) AS v (name, kind)`)
	exec(t, s, `INSERT INTO session SELECT gen_random_uuid(), sha256(n::text::bytea), 'local', 'user' || n, 1, '', '', '[]', now(), now() + interval '1 hour'
		FROM generate_series(1, 100000) n`)
	exec(t, s, `INSERT INTO desktop (id, name, pool_id, host, port, protocol, state, position, claim_directory, claim_user, claim_slot, claim_session, claimed_at, claim_pool)
		SELECT gen_random_uuid(), 'd' || n, p.id, 'h', 1, 'rdp', 'enabled', n, x.directory, x.user_name, x.slot, x.id, x.at, CASE WHEN x.id IS NOT NULL THEN p.id END
		FROM generate_series(1, 50000) n JOIN desktop_pool p ON p.kind = CASE WHEN n <= 25000 THEN 'assigned' ELSE 'pooled' END
		LEFT JOIN (SELECT directory, user_name, 1 AS slot, id, now() AS at, row_number() OVER () + 25050 AS place FROM session) x ON x.place = n`)
	exec(t, s, `INSERT INTO assignment SELECT id, 'local', 'user' || position, position FROM desktop WHERE position <= 25000`)
	exec(t, s, `INSERT INTO log SELECT gen_random_uuid(), now(), n::text, '', '', '', '', '', '', 1, NULL, '', 0, '' FROM generate_series(1, 20000) n`)
	exec(t, s, `INSERT INTO idempotency SELECT '', n::text, '', NULL, '', NULL, now() FROM generate_series(1, 20000) n`)
	exec(t, s, `INSERT INTO lease SELECT gen_random_uuid(), a.directory, a.user_name, k.kind, CASE k.kind WHEN 'launch' THEN d.id::text ELSE '' END, '',
			json_build_array(json_build_object('name', d.name))::text, '[]', now(), now() + d.position * interval '1 minute', NULL, now() - d.position * interval '1 minute'
		FROM assignment a JOIN desktop d ON d.id = a.desktop_id CROSS JOIN (VALUES ('launch'), ('enumeration')) AS k (kind)`)
	exec(t, s, `ANALYZE`)
	out, err := s.Login(t.Context(), record("anna"))
	if err != nil {
		t.Fatal(err)
	}
	login, session := record("user7"), out.Session.ID
	pool, slots := []string{"pool"}, []int32{1}
	who, key := []any{"local", "user7", pool, slots}, []any{"key", []byte("mac"), int64(1)}
	log := logArgs(broker.LogRow{ID: newID()})
	own := []any{"local", "user7", assigned(t, s, "user7")}
	claim := []any{"local", "anna", out.Offers[0].ID.Pool}
	pooled := slices.Concat(claim, []any{session}, log, key, []any{1, nil, 0.5, pool, slots, 3})
	type query struct {
		name, sql string
		args      []any
	}
	queries := []query{
		{"login", loginSQL, slices.Concat(who, log, key, []any{newID(), login.NewSession.TokenHash[:], 1, "", "", "[]", int64(1), "", int64(1), int64(0)})},
		{"redirect", redirectSQL, slices.Concat(who, log, key, []any{""})},
		{"session", sessionSQL + `token_hash = $1`, []any{record("x").NewSession.TokenHash[:]}},
		{"offers", offerQuery, who},
		{"offers, logged", offerLogged, slices.Concat(who, log)},
		{"own", ownSQL, own},
		{"connect, own", connectOwn, slices.Concat(own, []any{session}, log, key)},
	}
	for client, name := range map[string]string{"": "leases stand", "tc": "leases are new"} {
		lease, err := leaseArgs(broker.ConnectRecord{Lease: broker.LeaseTerms{Life: 14 * 24 * time.Hour, Client: client}})
		if err != nil {
			t.Fatal(err)
		}
		queries = append(queries, query{"connect, own, " + name, connectLeased, slices.Concat(own, []any{session}, log, key, lease)})
	}
	mine := broker.LeaseFilter{Directory: "local", User: "user7"}
	list, listArgs := leaseList(mine)
	first, _ := leaseList(broker.LeaseFilter{Most: 100})
	remove, removeArgs := leaseRemove(mine)
	queries = append(queries,
		query{"leases of a user", list, listArgs}, query{"leases, removed", remove, removeArgs}, query{"leases, first", first, nil},
		query{"leases after", leasesAfter, []any{time.Now().Add(-time.Hour), firstKey, 1000}},
		query{"leases, purged", purgeLeases, []any{int64(0), 10}})
	for order, sql := range ordersSQL() {
		queries = append(queries, query{"candidates, " + order, sql.candidates, slices.Concat(claim, []any{1, 0.5, 3, pool, slots})},
			query{"connect, " + order, sql.passing, pooled}, query{"connect, waiting, " + order, sql.waiting, pooled})
	}
	for _, q := range queries {
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			plan := explain(t, s, mode, q.sql, q.args)
			pages := 0
			for _, m := range pagesRead.FindAllStringSubmatch(plan, -1) { // the first line is the sum of all but of what is only written
				here := 0
				for _, n := range m[1:] {
					k, _ := strconv.Atoi(n) // empty: none
					here += k
				}
				pages = max(pages, here)
			}
			t.Logf("%s, %s: %d pages", q.name, mode, pages)
			if pages == 0 || pages > maxPages {
				t.Errorf("%s, %s: %d pages:\n%s", q.name, mode, pages, plan)
			}
		}
	}
}

// maxPages is far below the thousand pages of desktops, of sessions and of assignments.
const maxPages = 150

var pagesRead = regexp.MustCompile(`Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?`)

func assigned(t *testing.T, s *Store, user string) string {
	t.Helper()
	var id string
	if err := s.pool.QueryRow(t.Context(), `SELECT desktop_id FROM assignment WHERE user_name = $1`, user).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func explain(t *testing.T, s *Store, mode, sql string, args []any) string {
	t.Helper()
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), `SET LOCAL plan_cache_mode = `+mode); err != nil {
		t.Fatal(err)
	}
	rows, err := tx.Query(t.Context(), `EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) `+sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
