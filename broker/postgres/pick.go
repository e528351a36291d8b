package postgres

import (
	"fmt"
	"strings"

	"switchpoint/broker"
)

// stage is one place to look for free desktops. Each reads an index from one place on: no order needs to
// look at all that are free.
// key is what the index is sorted by, "" where there is at most one.
type stage struct{ from, where, key string }

func (s stage) order() string {
	if s.key == "" {
		return ""
	}
	return ` ORDER BY ` + s.key
}

// stages are where a user's desktop out of the pool $3 is looked for, one after the other: in the order of his
// policy, in the pool and then in its backup. random is the parameter that says where in the order of an
// index to begin.
func stages(order, random string) []stage {
	var out []stage
	if order == broker.OrderPrevious {
		out = append(out, stage{
			from: `last_use l JOIN desktop d ON d.id = l.desktop_id`,
			where: `l.directory = $1::text AND l.user_name = $2::text AND l.pool_id = $3::uuid
				AND d.pool_id IN ($3::uuid, (SELECT backup FROM pool)) AND ` + claimable,
		})
	}
	for _, pool := range []string{`$3::uuid`, `(SELECT backup FROM pool)`} {
		free := `d.pool_id = ` + pool + ` AND ` + claimable
		round := func(where string) {
			for _, side := range []string{` >= `, ` < `} {
				out = append(out, stage{`desktop d`, where + ` AND d.shuffle` + side + random, `d.shuffle`})
			}
		}
		switch order {
		case broker.OrderLRU:
			// The parameter has to have a type in every statement.
			out = append(out, stage{`desktop d`, free + ` AND ` + random + ` IS NOT NULL`, `d.released_at`})
		case broker.OrderRunning:
			round(free + ` AND d.running`)
			round(free)
		default:
			round(free)
		}
	}
	return out
}

// orderSQL are the statements for one order.
type orderSQL struct{ candidates, passing, waiting string }

// ordersSQL are those of all orders.
func ordersSQL() map[string]orderSQL {
	out := make(map[string]orderSQL)
	for _, order := range []string{broker.OrderPrevious, broker.OrderRandom, broker.OrderLRU, broker.OrderRunning} {
		out[order] = orderSQL{candidates: candidatesSQL(order), passing: connectSQL(order, ` SKIP LOCKED`), waiting: connectSQL(order, ``)}
	}
	return out
}

// sqlFor are those for a session.
func (s *Store) sqlFor(session broker.Session) orderSQL { return s.orders[session.OfferOrder()] }

// candidatesSQL are the desktop that the user holds in the slot ($4) of the pool, or else free ones, at most
// $6 of each stage, one stage after the other; $5 is where their orders begin, $7 and $8 are the grants.
// One row without a desktop says that there is none, no row that the pool is not granted.
func candidatesSQL(order string) string {
	var free []string
	for i, s := range stages(order, `$5::float8`) {
		free = append(free, fmt.Sprintf(`(SELECT `+desktopColumns+`, d.pool_id, %d AS stage, row_number() OVER (%s) AS place FROM %s
		WHERE EXISTS (SELECT FROM pool) AND NOT EXISTS (SELECT FROM mine) AND %s%s LIMIT $6::integer)`, i, strings.TrimSpace(s.order()), s.from, s.where, s.order()))
	}
	return `WITH pool AS MATERIALIZED (` + poolSQL + `unnest($7::text[], $8::integer[])` + grantSQL + `$4::integer)
), mine AS MATERIALIZED (
	SELECT ` + desktopColumns + `, d.pool_id FROM desktop d WHERE EXISTS (SELECT FROM pool) AND ` + mineSQL + `$4::integer
), free AS (
	` + strings.Join(free, ` UNION ALL `) + `
)
SELECT ` + desktopColumns + `, p.name AS pool, p.kind, COALESCE(o.check_kind, 'dial'), d.claimed, ` + aliveSQL + ` FROM pool p
LEFT JOIN (SELECT *, 0 AS stage, 1 AS place, true AS claimed FROM mine UNION ALL SELECT *, false FROM free) d ON true
LEFT JOIN desktop_pool o ON o.id = d.pool_id ORDER BY d.stage, d.place`
}

// connectSQL is a connect to a pooled desktop. It takes the one that the user holds in the slot ($21), or else
// the one that he asks for ($22), or else the first that a stage finds, whose orders begin at $23; $24 and
// $25 are the grants, $26 is how many desktops he may hold; those that wait for their release do not count,
// and he comes back to one only within that number. lock says what to do about a free desktop that
// somebody else is about to take: pass over it or, with nothing, wait for it.
func connectSQL(order, lock string) string {
	const lockDesktop = ` FOR NO KEY UPDATE OF d`
	sql := connectHead + `pool AS MATERIALIZED (` + poolSQL + `unnest($24::text[], $25::integer[])` + grantSQL + `$21::integer)
), held AS MATERIALIZED (
	SELECT ` + desktopColumns + `, d.release_at IS NULL AS counts FROM desktop d WHERE (SELECT pick FROM may) AND EXISTS (SELECT FROM pool) AND ` + mineSQL + `$21::integer` + lockDesktop + `
), seek AS MATERIALIZED (
	SELECT (SELECT pick FROM may) AND EXISTS (SELECT FROM pool) AND NOT EXISTS (SELECT FROM held) AS free,
		$26::integer > 0 AND NOT EXISTS (SELECT FROM held WHERE counts) AND (SELECT count(*)
			FROM desktop h WHERE h.claim_directory = $1::text AND h.claim_user = $2::text AND h.release_at IS NULL) >= $26 AS over
), mine AS MATERIALIZED (
	SELECT ` + desktopColumns + ` FROM held d WHERE NOT (SELECT over FROM seek)
), named AS MATERIALIZED (
	SELECT ` + desktopColumns + ` FROM desktop d WHERE (SELECT free AND NOT over FROM seek) AND d.id = $22::uuid
		AND d.pool_id IN ($3::uuid, (SELECT backup FROM pool)) AND ` + claimable + lockDesktop
	earlier, all := ``, `SELECT * FROM mine UNION ALL SELECT * FROM named`
	for i, s := range stages(order, `$23::float8`) {
		sql += fmt.Sprintf(`
), stage%d AS MATERIALIZED (
	SELECT `+desktopColumns+` FROM %s WHERE (SELECT free AND NOT over FROM seek) AND $22::uuid IS NULL%s AND %s%s LIMIT 1`+lockDesktop+lock,
			i, s.from, earlier, s.where, s.order())
		earlier += fmt.Sprintf(` AND NOT EXISTS (SELECT FROM stage%d)`, i)
		all += fmt.Sprintf(` UNION ALL SELECT * FROM stage%d`, i)
	}
	return sql + `
), pick AS MATERIALIZED (` + all + `)` + connectStep + `, taken AS (
	UPDATE desktop d SET claim_directory = $1::text, claim_user = $2::text, claim_pool = $3::uuid, claim_slot = $21::integer, claim_session = $4::uuid,
		claimed_at = COALESCE(d.claimed_at, now()), release_at = NULL, claim_used_at = NULL, unseen_since = NULL
	FROM step WHERE step.act AND d.id = step.id
), remembered AS (
	INSERT INTO last_use (directory, user_name, pool_id, desktop_id) SELECT $1::text, $2::text, $3::uuid, step.id FROM step WHERE step.act
	ON CONFLICT (directory, user_name, pool_id) DO UPDATE SET desktop_id = excluded.desktop_id WHERE last_use.desktop_id <> excluded.desktop_id
) SELECT (SELECT over FROM seek), ` + connectAnswer + `pool.name, pool.kind, pool.check_kind FROM (SELECT) AS one LEFT JOIN pool ON true LEFT JOIN step ON true`
}
