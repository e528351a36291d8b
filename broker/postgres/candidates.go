package postgres

import (
	"context"
	"math/rand/v2"
	"slices"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// Candidates and connects ask alike: $1 and $2 are the user, $3 is the desktop or the pool of the offer.
const (
	desktopColumns = `d.id, d.name, d.host, d.port, d.protocol, d.state`

	// ownSQL is the user's own desktop, which may stand in no pool; ownFrom are all of his.
	ownSQL  = `SELECT ` + desktopColumns + `, ` + ownPool + `, ` + aliveSQL + ` AS alive` + ownFrom + ` AND a.desktop_id = $3::uuid`
	ownPool = `COALESCE(p.name, '') AS pool, COALESCE(p.kind, 'assigned') AS kind, COALESCE(p.check_kind, 'dial') AS check_kind`
	ownFrom = ` FROM assignment a JOIN desktop d ON d.id = a.desktop_id AND ` + live + ` LEFT JOIN desktop_pool p ON p.id = d.pool_id AND p.deleted_at IS NULL
		WHERE a.directory = $1::text AND a.user_name = $2::text`
	// poolSQL is the pool, grantSQL the condition that the grants below allow slot so-and-so of it.
	poolSQL = `SELECT id, name, kind, check_kind, ` + backupSQL + ` AS backup FROM desktop_pool p WHERE id = $3::uuid AND kind = 'pooled' AND deleted_at IS NULL
		AND EXISTS (SELECT FROM `
	grantSQL = ` AS g (pool, max_offers) WHERE g.pool = p.name AND g.max_offers >= `
	// mineSQL is the condition of the desktop that the user holds in the slot below.
	mineSQL = `d.claim_directory = $1::text AND d.claim_user = $2::text AND d.claim_pool = $3::uuid AND d.claim_slot = `
)

// candidateRow is a desktop that a statement may not have found.
type candidateRow struct {
	id, name, host, protocol, state *string
	port                            *int
	pool, kind, check               *string
}

func (r *candidateRow) fields() []any {
	return []any{&r.id, &r.name, &r.host, &r.port, &r.protocol, &r.state, &r.pool, &r.kind, &r.check}
}

// candidate is r as the broker sees it; a desktop in maintenance is ErrMaintenance.
func (r *candidateRow) candidate(claimed bool) (broker.Candidate, error) {
	if *r.state == "maintenance" {
		return broker.Candidate{}, broker.ErrMaintenance
	}
	return broker.Candidate{ID: *r.id, Name: *r.name, Pool: *r.pool, Kind: *r.kind, Host: *r.host, Port: *r.port, Protocol: *r.protocol,
		Check: *r.check, Claimed: claimed}, nil
}

// Candidates implements broker.Store.
func (s *Store) Candidates(ctx context.Context, session broker.Session, offer broker.OfferID, limit int) ([]broker.Candidate, error) {
	var out []broker.Candidate
	err := s.ask(ctx, "find desktops", func(l link) (err error) {
		if offer.Desktop == "" {
			out, err = pooled(l, s.sqlFor(session).candidates, session, offer, limit)
			return err
		}
		var r candidateRow
		var alive bool
		if err := l.row(ownSQL, session.Directory, session.User, offer.Desktop).Scan(append(r.fields(), &alive)...); err != nil {
			return err
		}
		own, err := r.candidate(false)
		own.Alive = alive
		out = []broker.Candidate{own}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func pooled(l link, query string, s broker.Session, offer broker.OfferID, limit int) (out []broker.Candidate, err error) {
	pools, slots := grantArgs(s.Grants)
	granted := false
	err = l.each(query, func(row pgx.Row) error {
		granted = true
		var r candidateRow
		var claimed, alive *bool
		if err := row.Scan(append(r.fields(), &claimed, &alive)...); err != nil || r.id == nil {
			return err
		}
		c, err := r.candidate(*claimed)
		c.Alive = *alive
		// Two stages may find the same one.
		if len(out) < limit && !slices.ContainsFunc(out, func(o broker.Candidate) bool { return o.ID == c.ID }) {
			out = append(out, c)
		}
		return err
	}, s.Directory, s.User, offer.Pool, offer.Slot, rand.Float64(), limit, pools, slots)
	switch {
	case err != nil:
		return nil, err
	case !granted:
		return nil, broker.ErrNotFound
	case len(out) == 0:
		return nil, broker.ErrNoDesktop
	}
	return out, nil
}
