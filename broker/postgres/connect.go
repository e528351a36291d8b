package postgres

import (
	"bytes"
	"context"
	"math/rand/v2"

	"switchpoint/broker"
)

// A connect is one statement. It locks the session ($4), so that no logout runs beside it; picks the
// desktop; stores the key ($18, what it stands for $19, its life $20), which stops it when another
// transaction has done so; and only then takes the desktop and writes the log row ($5 to $17).
const (
	connectHead = `WITH live AS MATERIALIZED (
	SELECT id FROM session WHERE id = $4::uuid AND ` + runningSQL + ` FOR SHARE
), used AS MATERIALIZED (
	SELECT mac, desktop_id FROM (SELECT * FROM idempotency WHERE $18::text <> '' AND scope = $4::uuid::text AND key = $18 OFFSET 0) AS k
	WHERE expires_at > now()
), may AS MATERIALIZED (
	SELECT EXISTS (SELECT FROM live) AND NOT EXISTS (SELECT FROM used WHERE mac <> $19::bytea) AS pick
), `
	// connectStep comes after pick, which has at most one desktop.
	connectStep = `, keyed AS (
	INSERT INTO idempotency (scope, key, mac, session_id, desktop_id, expires_at)
	SELECT $4::uuid::text, $18, $19::bytea, $4::uuid, pick.id, now() + $20::bigint` + microSQL + ` FROM pick
	WHERE $18 <> '' AND pick.state <> 'maintenance' AND pick.id IS DISTINCT FROM (SELECT desktop_id FROM used)
	ON CONFLICT (scope, key) DO UPDATE SET mac = excluded.mac, session_id = excluded.session_id, redirect = '',
		desktop_id = excluded.desktop_id, expires_at = excluded.expires_at
	WHERE idempotency.expires_at <= now() OR idempotency.mac = excluded.mac AND idempotency.desktop_id <> excluded.desktop_id
	RETURNING key
), step AS MATERIALIZED (
	SELECT pick.*, pick.id IS NOT DISTINCT FROM (SELECT desktop_id FROM used) AS replay,
		pick.state <> 'maintenance' AND pick.id IS DISTINCT FROM (SELECT desktop_id FROM used) AND ($18 = '' OR EXISTS (SELECT FROM keyed)) AS act
	FROM pick
), logged AS (` + logInsert + logKind + logWho + logSession + `, COALESCE(step.name, ` + logDesktop + `)` + logDuration + ` FROM step WHERE act
)`
	connectAnswer = `EXISTS (SELECT FROM live), (SELECT mac FROM used), step.replay, step.act,
	step.id, step.name, step.host, step.port, step.protocol, step.state, `
)

// connectOwn is a connect to a desktop of the user's own, connectLeased one that leaves leases behind.
const (
	connectOwn = connectHead + `pick AS MATERIALIZED (SELECT own.* FROM may, (` + ownSQL + `) AS own WHERE may.pick)` + connectStep + ownAnswer

	connectLeased = connectHead + connectKnown + `pick AS MATERIALIZED (SELECT own.* FROM may, own WHERE may.pick AND own.id = $3::uuid)` +
		connectStep + connectLeases + ownAnswer

	ownAnswer = ` SELECT false, ` + connectAnswer + `step.pool, step.kind, step.check_kind FROM (SELECT) AS one LEFT JOIN step ON true`
)

// connectRow is what a connect found and did.
type connectRow struct {
	over        *bool // the user holds as many desktops as he may
	live        bool
	mac         []byte // of the key, when it was used before
	replay, act *bool
	candidateRow
}

func (r *connectRow) fields() []any {
	return append([]any{&r.over, &r.live, &r.mac, &r.replay, &r.act}, r.candidateRow.fields()...)
}

// answer is what the statement means for a connect to the offer.
func (r *connectRow) answer(c broker.ConnectRecord) (broker.Candidate, error) {
	inPool := c.Offer.Desktop == ""
	switch {
	case !r.live:
		return broker.Candidate{}, broker.ErrNotFound
	case r.mac != nil && !bytes.Equal(r.mac, []byte(c.Offer.String())):
		return broker.Candidate{}, broker.ErrKeyReused
	case inPool && r.pool == nil, !inPool && r.id == nil:
		return broker.Candidate{}, broker.ErrNotFound
	case r.id == nil && *r.over:
		return broker.Candidate{}, broker.ErrSessionLimit
	case r.id == nil && c.Desktop != "":
		return broker.Candidate{}, broker.ErrConflict
	case r.id == nil:
		return broker.Candidate{}, broker.ErrNoDesktop
	}
	out, err := r.candidate(inPool)
	if err == nil && !*r.act && !*r.replay {
		err = errAgain // the key was used by a transaction that this one did not see
	}
	return out, err
}

// Connect implements broker.Store: one statement, and a second one when there seems to be no free desktop.
func (s *Store) Connect(ctx context.Context, r broker.ConnectRecord) (broker.Candidate, error) {
	args := append([]any{r.Session.Directory, r.Session.User, r.Offer.Desktop + r.Offer.Pool, r.Session.ID}, logArgs(r.Log)...)
	args = append(args, r.Key, []byte(r.Offer.String()), r.KeyLife.Microseconds())
	query, waiting := connectOwn, ""
	run := s.once
	limit := r.Session.MaxSessions()
	switch {
	case r.Offer.Desktop != "" && r.Lease.Life > 0:
		lease, err := leaseArgs(r)
		if err != nil {
			return broker.Candidate{}, err
		}
		query, args = connectLeased, append(args, lease...)
	case r.Offer.Desktop == "":
		query, waiting = s.sqlFor(r.Session).passing, s.sqlFor(r.Session).waiting
		pools, slots := grantArgs(r.Session.Grants)
		args = append(args, r.Offer.Slot, orNull(r.Desktop), rand.Float64(), pools, slots, limit)
		if limit > 0 {
			run = s.write
		}
	}
	var out broker.Candidate
	err := run(ctx, "connect", func(l link) error {
		if waiting != "" && limit > 0 {
			if err := oneConnect(l, r.Session.Who); err != nil {
				return err
			}
		}
		var row connectRow
		err := l.row(query, args...).Scan(row.fields()...)
		if err == nil && row.none() && waiting != "" {
			row = connectRow{} // those that are locked may not all be taken in the end
			err = l.row(waiting, args...).Scan(row.fields()...)
		}
		if err == nil {
			out, err = row.answer(r)
		}
		return err
	})
	if err != nil {
		return broker.Candidate{}, err
	}
	return out, nil
}

// none says whether the pool seems to have no free desktop.
func (r *connectRow) none() bool { return r.live && r.pool != nil && r.id == nil && !*r.over }

// oneConnect makes the connects of a user follow each other, for as long as the transaction lasts: each
// counts what he holds.
func oneConnect(l link, who broker.Who) error {
	_, err := l.exec(`SELECT pg_advisory_xact_lock(hashtextextended('connect of ' || $1::text || chr(10) || $2::text, 0))`, who.Directory, who.User)
	return err
}
