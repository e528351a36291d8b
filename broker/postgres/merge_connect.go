package postgres

import (
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

const (
	mergeLogoutSQL = `UPDATE session SET ended_at = LEAST($2::timestamptz, now()) WHERE id = $1::uuid AND ended_at IS NULL`
	// mergeUsedKeySQL stores the key of a connect; no row comes back when it was used before.
	mergeUsedKeySQL = `INSERT INTO idempotency (scope, key, mac, session_id, desktop_id, expires_at)
	VALUES ($1::uuid::text, $2, $3, $1::uuid, $4::uuid, LEAST($5::timestamptz, now()) + $6::bigint` + microSQL + `) ON CONFLICT DO NOTHING`
	// claimFoundSQL locks the session against a sign-out and the desktop against everybody else, in the
	// order of a connect.
	claimFoundSQL = `WITH s AS MATERIALIZED (SELECT ended_at IS NOT NULL AS ended FROM session WHERE id = $1::uuid FOR SHARE)
	SELECT s.ended, d.name, d.deleted_at IS NOT NULL, d.reset_state <> '', COALESCE(d.claim_directory, ''), COALESCE(d.claim_user, ''), COALESCE(d.claim_session::text, ''),
		COALESCE((SELECT h.created_at FROM session h WHERE h.id = d.claim_session), now()),
		COALESCE((SELECT o.name FROM desktop o WHERE o.claim_directory = $3 AND o.claim_user = $4 AND o.claim_pool = $5::uuid AND o.claim_slot = $6::integer AND o.id <> d.id), '')
	FROM s, desktop d WHERE d.id = $2::uuid FOR NO KEY UPDATE OF d`
	claimTakeSQL = `UPDATE desktop SET claim_directory = $3, claim_user = $4, claim_session = $1::uuid,
		claim_pool = COALESCE(claim_pool, $5::uuid), claim_slot = COALESCE(claim_slot, $6::integer), claimed_at = COALESCE(claimed_at, LEAST($7::timestamptz, now())),
		release_at = NULL, claim_used_at = NULL, unseen_since = NULL
	WHERE id = $2::uuid`
)

// mergeLogout ends a session, with its claims.
func mergeLogout(l link, a *broker.Act) error {
	n, err := l.exec(mergeLogoutSQL, a.SessionID, a.At)
	if err == nil && n > 0 {
		_, err = release(l, a.SessionID)
	}
	return err
}

// mergeConnect brings in that a session was given a desktop; fresh says that its log row was not there.
func mergeConnect(l link, a *broker.Act, fresh bool) error {
	if a.Key != "" {
		n, err := l.exec(mergeUsedKeySQL, a.Session.ID, a.Key, []byte(a.Offer.String()), a.Desktop, a.At, a.KeyLife.Microseconds())
		if err != nil {
			return err
		}
		fresh = fresh || a.Log == nil && n > 0
	}
	if !fresh || a.Offer.Desktop != "" { // his own desktop has no claim
		return nil
	}
	found, err := claimFound(l, a)
	if err != nil {
		return err
	}
	step, err := found.Merge(a)
	if err != nil || step == broker.ClaimLeave {
		return err
	}
	if _, err := l.exec(claimTakeSQL, a.Session.ID, a.Desktop, a.Session.Directory, a.Session.User, a.Offer.Pool, a.Offer.Slot, a.At); err != nil {
		return err
	}
	if step == broker.ClaimRelease {
		_, err = release(l, a.Session.ID)
	}
	return err
}

func claimFound(l link, a *broker.Act) (broker.ClaimFound, error) {
	var f broker.ClaimFound
	var since time.Time
	err := l.row(claimFoundSQL, a.Session.ID, a.Desktop, a.Session.Directory, a.Session.User, a.Offer.Pool, a.Offer.Slot).
		Scan(&f.Ended, &f.Desktop, &f.Gone, &f.Resetting, &f.Holder.Directory, &f.Holder.User, &f.Session, &since, &f.Instead)
	if errors.Is(err, pgx.ErrNoRows) { // rows of desktops are kept: it is one of another database
		return broker.ClaimFound{Desktop: a.Desktop, Gone: true}, nil
	}
	f.Since = since.UTC()
	return f, err
}
