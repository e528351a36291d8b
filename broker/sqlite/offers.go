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
	run := s.read
	if q.Log != nil {
		run = s.write
	}
	err := run(ctx, "list offers", func(t txn) (err error) {
		if out, err = offers(t, q); err != nil || q.Log == nil {
			return err
		}
		return appendLog(t, *q.Log)
	})
	return out, err
}

// offers lists the user's own desktops, then what the grants allow, in their order.
func offers(t txn, q broker.OfferQuery) ([]broker.Offer, error) {
	var out []broker.Offer
	err := each(t, `SELECT d.id, d.name, COALESCE(p.name, ''), d.protocol, d.state FROM assignment a
		JOIN desktop d ON d.id = a.desktop_id AND `+live+` LEFT JOIN desktop_pool p ON p.id = d.pool_id
		WHERE a.directory = ? AND a.user = ? ORDER BY a.position, d.name`, func(r *sql.Rows) error {
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
// the others as there are free desktops are available. A pool with no desktop, whose backup has none
// either, offers nothing. No pool is counted: it looks at no more desktops than there are slots.
func poolOffers(t txn, who broker.Who, g broker.Grant) ([]broker.Offer, error) {
	p, err := findPool(t, `name = ?`, g.Pool)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	total, protocol, err := p.liveDesktops(t, g.MaxOffers)
	if err != nil {
		return nil, err
	}
	var held []broker.Offer
	err = each(t, `SELECT c.slot, d.name, d.protocol, d.state FROM claim c JOIN desktop d ON d.id = c.desktop_id
		WHERE c.directory = ? AND c.user = ? AND c.pool_id = ? AND c.slot <= ?`, func(r *sql.Rows) error {
		o := broker.Offer{ID: broker.OfferID{Pool: p.id}, Pool: g.Pool, Kind: broker.KindPooled, State: broker.OfferRunning}
		var state string
		err := r.Scan(&o.ID.Slot, &o.Name, &o.Protocol, &state)
		if state == "maintenance" {
			o.State = broker.OfferMaintenance
		}
		held = append(held, o)
		total = max(total, o.ID.Slot) // his desktop may have vanished since: he still works on it
		return err
	}, who.Directory, who.User, p.id, g.MaxOffers)
	if err != nil {
		return nil, err
	}
	out := make([]broker.Offer, total)
	for i := range out {
		out[i] = broker.Offer{ID: broker.OfferID{Pool: p.id, Slot: i + 1}, Name: g.Pool, Pool: g.Pool, Kind: broker.KindPooled, Protocol: protocol}
	}
	for _, o := range held {
		out[o.ID.Slot-1] = o
	}
	free, err := p.freeDesktops(t, total)
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
