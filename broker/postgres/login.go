package postgres

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// keySQL stores the key of a login ($18, its MAC $19, its life $20) over an expired row. A transaction that
// stores the same key at the same time is waited for; then no row comes back. OFFSET 0 keeps the server from
// looking through all keys that have not expired.
const (
	keyInsert   = `INSERT INTO idempotency (scope, key, mac, session_id, redirect, expires_at) SELECT '', $18::text, $19::bytea, `
	keyLife     = `, now() + $20::bigint` + microSQL + ` `
	keyConflict = ` ON CONFLICT (scope, key) DO UPDATE SET mac = excluded.mac, session_id = excluded.session_id, redirect = excluded.redirect,
		desktop_id = NULL, expires_at = excluded.expires_at WHERE idempotency.expires_at <= now() RETURNING key`
	usedSQL = `used AS MATERIALIZED (SELECT FROM (
	SELECT expires_at FROM idempotency WHERE $18::text <> '' AND scope = '' AND key = $18 OFFSET 0) AS k WHERE expires_at > now())`
)

// loginSQL is a login with a session ($21 id, $22 token hash, $23 site, $24 and $25 client, $26 grants, $27
// life until its first expiry, $28 code of the refusal, $29 life, $30 what it may be idle). It has no effect when the key was used before.
const (
	loginSQL       = loginHead + loginTail
	loginTicketSQL = loginHead + spendSQL + loginTail
)

const loginHead = `WITH ` + usedSQL + `, ` + offersSQL + `, result AS MATERIALIZED (
	SELECT EXISTS (SELECT FROM offer) AS offered
), keyed AS (` + keyInsert + `$21::uuid, ''` + keyLife + `FROM result WHERE offered AND $18 <> '' AND NOT EXISTS (SELECT FROM used)` + keyConflict + `
), verdict AS MATERIALIZED (
	SELECT offered, EXISTS (SELECT FROM used) OR offered AND $18 <> '' AND NOT EXISTS (SELECT FROM keyed) AS replay FROM result
), made AS (
	INSERT INTO session (id, token_hash, directory, user_name, site_id, client_addr, client_name, grants, created_at, expires_at, ends_at, idle_us)
	SELECT $21::uuid, $22::bytea, $1, $2, $23::integer, $24::text, $25::text, $26::text, now(), now() + $27::bigint` + microSQL + `, now() + $29::bigint` + microSQL + `, $30::bigint
	FROM verdict WHERE offered AND NOT replay
	RETURNING created_at, expires_at
), `

const loginTail = `logged AS (` + logInsert + `CASE WHEN offered THEN $7::text ELSE '` + broker.LogRefused + `' END, CASE WHEN offered THEN $8::text ELSE $28::text END` +
	logWho + `CASE WHEN offered THEN ` + logSession + ` END, ` + logDesktop + logDuration + ` FROM verdict WHERE NOT replay
)
SELECT v.replay, m.created_at, m.expires_at, ` + offerColumns + `
FROM verdict v LEFT JOIN made m ON true LEFT JOIN offer o ON NOT v.replay ORDER BY o.ord, o.place`

// redirectSQL is a login that goes to another cluster ($21 its URL); $1 to $4 are of no use to it.
const (
	redirectSQL       = redirectHead + redirectTail
	redirectTicketSQL = redirectHead + spendElsewhereSQL + redirectTail
)

const redirectHead = `WITH ` + usedSQL + `, keyed AS (` + keyInsert + `NULL, $21::text` + keyLife + `WHERE $18 <> '' AND NOT EXISTS (SELECT FROM used)` + keyConflict + `
), verdict AS MATERIALIZED (
	SELECT $18 <> '' AND NOT EXISTS (SELECT FROM keyed) AS replay, $1::text, $2::text, $3::text[], $4::integer[]
), `

const redirectTail = `logged AS (` + logInsert + logKind + logWho + logSession + `, ` + logDesktop + logDuration + ` FROM verdict WHERE NOT replay
)
SELECT replay FROM verdict`

// Login implements broker.Store: one statement, and a second one when the key was used before.
func (s *Store) Login(ctx context.Context, r broker.LoginRecord) (broker.LoginOutcome, error) {
	for attempt := 1; ; attempt++ {
		out, replayed, err := s.login(ctx, r)
		if err == nil && replayed {
			err = s.view(ctx, "repeat login", func(l link) (err error) {
				out, err = replay(l, r)
				return err
			})
		}
		switch {
		case err == nil:
			return out, nil
		case attempt == maxAttempts || !errors.Is(err, errAgain): // the key has expired between the two
			return broker.LoginOutcome{}, err
		}
	}
}

func (s *Store) login(ctx context.Context, r broker.LoginRecord) (out broker.LoginOutcome, replayed bool, err error) {
	err = s.once(ctx, "record login", func(l link) (err error) {
		if r.NewSession == nil {
			out, replayed, err = loginElsewhere(l, r)
		} else {
			out, replayed, err = loginHere(l, r)
		}
		return err
	})
	return out, replayed, err
}

// loginArgs are the parameters that both kinds of login have in common.
func loginArgs(r broker.LoginRecord, grants []broker.Grant) []any {
	pools, slots := grantArgs(grants)
	args := append([]any{r.Directory, r.User, pools, slots}, logArgs(r.Log)...)
	return append(args, r.Key, r.KeyMAC[:], r.KeyLife.Microseconds())
}

func loginElsewhere(l link, r broker.LoginRecord) (out broker.LoginOutcome, replayed bool, err error) {
	out.Redirect = r.Redirect
	query, args := withTicket(r, redirectSQL, redirectTicketSQL, append(loginArgs(r, nil), r.Redirect))
	err = l.row(query, args...).Scan(&replayed)
	return out, replayed, err
}

func loginHere(l link, r broker.LoginRecord) (out broker.LoginOutcome, replayed bool, err error) {
	n := r.NewSession
	grants, err := json.Marshal(n.Grants)
	if err != nil {
		return out, false, err
	}
	r.Who = n.Who
	args := append(loginArgs(r, n.Grants), n.ID, n.TokenHash[:], n.SiteID, n.ClientAddr, n.ClientName, string(grants),
		n.FirstExpiry().Microseconds(), n.EmptyCode, n.Life.Microseconds(), n.Idle.Microseconds())
	query, args := withTicket(r, loginSQL, loginTicketSQL, args)
	var list offerList
	var created, expires *time.Time
	err = l.each(query, func(row pgx.Row) error {
		var o offerRow
		err := row.Scan(slices.Concat([]any{&replayed, &created, &expires}, o.fields())...)
		if err == nil {
			list.add(o)
		}
		return err
	}, args...)
	if err != nil || replayed || created == nil {
		return out, replayed, err
	}
	session := n.Session
	session.Created, session.Expires = created.UTC(), expires.UTC()
	out.Session, out.Offers = &session, list.list()
	return out, false, nil
}

// replay is the outcome of an earlier login with the same key.
func replay(l link, r broker.LoginRecord) (broker.LoginOutcome, error) {
	out := broker.LoginOutcome{Replayed: true}
	var mac []byte
	var sessionID *string
	err := l.row(`SELECT mac, session_id, redirect FROM idempotency WHERE scope = '' AND key = $1 AND expires_at > now()`, r.Key).
		Scan(&mac, &sessionID, &out.Redirect)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return out, errAgain
	case err != nil:
		return out, err
	case !hmac.Equal(mac, r.KeyMAC[:]):
		return out, broker.ErrKeyReused
	case sessionID == nil:
		return out, nil
	}
	session, err := readSession(l, `id = $1::uuid`, *sessionID)
	if errors.Is(err, pgx.ErrNoRows) {
		return out, fmt.Errorf("the session of this idempotency key has ended: %w", broker.ErrNotFound)
	}
	if err != nil {
		return out, err
	}
	out.Session = &session
	out.Offers, err = offers(l, broker.OfferQuery{Who: session.Who, Grants: session.Grants})
	return out, err
}
