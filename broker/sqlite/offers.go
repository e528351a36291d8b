package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"switchpoint/broker"
)

// Offers implements broker.Store.
func (s *Store) Offers(ctx context.Context, q broker.OfferQuery) ([]broker.Offer, error) {
	var out []broker.Offer
	err := s.read(ctx, "list offers", func(t txn) (err error) {
		out, err = offers(t, q)
		return err
	})
	return out, err
}

// offers lists the user's own desktops, then what the grants allow, in their order.
func offers(t txn, q broker.OfferQuery) ([]broker.Offer, error) {
	var out []broker.Offer
	err := each(t, `SELECT d.id, d.name, p.name, d.protocol, d.state FROM assignment a
		JOIN desktop d ON d.id = a.desktop_id AND d.deleted_at IS NULL JOIN desktop_pool p ON p.id = d.pool_id
		WHERE a.directory = ? AND a.user = ? ORDER BY a.position`, func(r *sql.Rows) error {
		o := broker.Offer{Kind: broker.KindAssigned}
		var state string
		err := r.Scan(&o.ID.Desktop, &o.Name, &o.Pool, &o.Protocol, &state)
		o.State = offerState(state)
		out = append(out, o)
		return err
	}, q.Directory, q.User)
	if err != nil {
		return nil, err
	}
	for _, g := range q.Grants {
		pooled, err := poolOffers(t, q.Who, g)
		if err != nil {
			return nil, err
		}
		out = append(out, pooled...)
	}
	return out, nil
}

func offerState(desktop string) string {
	if desktop == "enabled" {
		return broker.OfferAvailable
	}
	return broker.OfferMaintenance
}

// poolOffers makes one offer per slot: those that the user holds show their desktop, as many of
// the others as there are free desktops are available. A pool with no desktop offers nothing.
func poolOffers(t txn, who broker.Who, g broker.Grant) ([]broker.Offer, error) {
	var pool, protocol string
	var total, free int
	err := t.row(`SELECT p.id, COUNT(*), COUNT(*) FILTER (WHERE d.state = 'enabled' AND c.desktop_id IS NULL), MIN(d.protocol)
		FROM desktop_pool p JOIN desktop d ON d.pool_id = p.id AND d.deleted_at IS NULL LEFT JOIN claim c ON c.desktop_id = d.id
		WHERE p.name = ? AND p.kind = 'pooled' AND p.deleted_at IS NULL GROUP BY p.id`, g.Pool).Scan(&pool, &total, &free, &protocol)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := make([]broker.Offer, min(g.MaxOffers, total))
	for i := range out {
		out[i] = broker.Offer{ID: broker.OfferID{Pool: pool, Slot: i + 1}, Name: g.Pool, Pool: g.Pool, Kind: broker.KindPooled, Protocol: protocol}
	}
	err = each(t, `SELECT c.slot, d.name, d.protocol, d.state FROM claim c JOIN desktop d ON d.id = c.desktop_id
		WHERE c.directory = ? AND c.user = ? AND c.pool_id = ?`, func(r *sql.Rows) error {
		var slot int
		var o broker.Offer
		var state string
		if err := r.Scan(&slot, &o.Name, &o.Protocol, &state); err != nil || slot > len(out) {
			return err
		}
		mine := &out[slot-1]
		mine.Name, mine.Protocol, mine.State = o.Name, o.Protocol, broker.OfferRunning
		if state != "enabled" {
			mine.State = broker.OfferMaintenance
		}
		return nil
	}, who.Directory, who.User, pool)
	if err != nil {
		return nil, err
	}
	for i := range out {
		switch {
		case out[i].State != "":
		case free > 0:
			out[i].State, free = broker.OfferAvailable, free-1
		default:
			out[i].State = broker.OfferUnavailable
		}
	}
	// Running desktops are offered first (BR6); the rest keeps its order.
	slices.SortStableFunc(out, func(a, b broker.Offer) int { return running(b) - running(a) })
	return out, nil
}

func running(o broker.Offer) int {
	if o.State == broker.OfferRunning {
		return 1
	}
	return 0
}

// Assigned implements broker.Store.
func (s *Store) Assigned(ctx context.Context, directory, user string) (bool, error) {
	var yes bool
	err := s.read(ctx, "look up assignment", func(t txn) error {
		return t.row(`SELECT EXISTS (SELECT 1 FROM assignment a JOIN desktop d ON d.id = a.desktop_id AND d.deleted_at IS NULL
			WHERE a.directory = ? AND a.user = ?)`, directory, user).Scan(&yes)
	})
	return yes, err
}
