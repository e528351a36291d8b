package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// live is the condition of the index desktop_live: a desktop that can be offered, once it is free and out
// of maintenance. claimable is that of the indexes of free ones.
const (
	live      = `d.deleted_at IS NULL AND d.missing_since IS NULL AND d.state <> 'disabled'`
	claimable = `d.deleted_at IS NULL AND d.missing_since IS NULL AND d.state = 'enabled' AND d.claim_user IS NULL AND d.reset_state = ''`
)

// backupSQL is the pool that stands in for p: one that is not pooled any more does not.
const backupSQL = `(SELECT b.id FROM desktop_pool b WHERE b.id = p.backup_id AND b.kind = 'pooled' AND b.deleted_at IS NULL)`

// offersSQL is a list of common table expressions; the last, offer, has a row for each desktop of the user
// ($1, $2) and for each slot that the grants ($3 pools, $4 numbers) allow. No pool is counted: of its
// desktops and of its free ones, and of those of its backup, it looks at no more than there are slots; the
// orders name the indexes, for the server cannot know that the free desktops of a pool are few and far
// between. A desktop that the user holds has its slot even if it has vanished since: he still works on it.
const offersSQL = `granted AS (
	SELECT g.ord, g.max_offers, p.id, p.name, ` + backupSQL + ` AS backup FROM unnest($3::text[], $4::integer[]) WITH ORDINALITY AS g (pool, max_offers, ord)
	JOIN desktop_pool p ON p.name = g.pool AND p.kind = 'pooled' AND p.deleted_at IS NULL
), offer AS MATERIALIZED (
	SELECT 0::bigint AS ord, a.position AS place, d.id AS desktop_id, NULL::uuid AS pool_id, d.name, COALESCE(p.name, '') AS pool, d.protocol,
		d.state, false AS claimed, 0::bigint AS free
	FROM assignment a JOIN desktop d ON d.id = a.desktop_id AND ` + live + ` LEFT JOIN desktop_pool p ON p.id = d.pool_id
	WHERE a.directory = $1::text AND a.user_name = $2::text
	UNION ALL
	SELECT g.ord, slot, NULL, g.id, COALESCE(c.name, g.name), g.name, COALESCE(c.protocol, desks.protocol),
		COALESCE(c.state, ''), c.id IS NOT NULL, unclaimed.n
	FROM granted g
	CROSS JOIN LATERAL (SELECT count(*) AS n, (array_agg(protocol ORDER BY place, protocol))[1] AS protocol FROM (
		(SELECT 1 AS place, d.protocol FROM desktop d WHERE d.pool_id = g.id AND ` + live + ` ORDER BY d.protocol LIMIT g.max_offers) UNION ALL
		(SELECT 2, d.protocol FROM desktop d WHERE d.pool_id = g.backup AND ` + live + ` ORDER BY d.protocol LIMIT g.max_offers)) AS a) AS desks
	CROSS JOIN LATERAL (SELECT count(*) AS n FROM (
		(SELECT FROM desktop d WHERE d.pool_id = g.id AND ` + claimable + ` ORDER BY d.shuffle LIMIT g.max_offers) UNION ALL
		(SELECT FROM desktop d WHERE d.pool_id = g.backup AND ` + claimable + ` ORDER BY d.shuffle LIMIT g.max_offers)) AS a) AS unclaimed
	CROSS JOIN LATERAL (SELECT COALESCE(max(h.claim_slot), 0) AS top FROM desktop h WHERE h.claim_directory = $1::text AND h.claim_user = $2::text
		AND h.claim_pool = g.id AND h.claim_slot <= g.max_offers) AS held
	CROSS JOIN LATERAL generate_series(1, GREATEST(LEAST(desks.n::integer, g.max_offers), held.top)) AS slot
	LEFT JOIN desktop c ON c.claim_directory = $1::text AND c.claim_user = $2::text AND c.claim_pool = g.id AND c.claim_slot = slot
)`

// offerColumns are those of an offer that scanOffer reads.
const offerColumns = `o.ord, o.place, o.desktop_id, o.pool_id, o.name, o.pool, o.protocol, o.state, o.claimed, o.free`

// offerRow is a row of offer; its pointers are nil where a login has none.
type offerRow struct {
	ord, free            *int64
	place                *int
	desktop, poolID      *string
	name, pool, protocol *string
	state                *string
	claimed              *bool
}

func (r *offerRow) fields() []any {
	return []any{&r.ord, &r.place, &r.desktop, &r.poolID, &r.name, &r.pool, &r.protocol, &r.state, &r.claimed, &r.free}
}

// offerList makes offers of rows that come in the order of (ord, place).
type offerList struct {
	out  []broker.Offer
	pool int64 // the grant that the last row was of
	left int64 // free desktops of it that are not offered yet
	from int   // where its offers begin
}

// add makes an offer of a row: slots that the user holds show their desktop, as many of the others
// as there are free desktops are available.
func (l *offerList) add(r offerRow) {
	if r.name == nil {
		return
	}
	o := broker.Offer{Name: *r.name, Pool: *r.pool, Kind: broker.KindAssigned, Protocol: *r.protocol, State: broker.OfferAvailable}
	if r.desktop != nil {
		o.ID.Desktop = *r.desktop
	} else {
		o.Kind, o.ID.Pool, o.ID.Slot = broker.KindPooled, *r.poolID, *r.place
		if *r.ord != l.pool {
			l.sort()
			l.pool, l.left = *r.ord, *r.free
		}
	}
	switch {
	case *r.state == "maintenance":
		o.State = broker.OfferMaintenance
	case *r.claimed:
		o.State = broker.OfferRunning
	case r.poolID != nil && l.left == 0:
		o.State = broker.OfferUnavailable
	case r.poolID != nil:
		l.left--
	}
	l.out = append(l.out, o)
}

// sort puts the running desktops of the last pool first (BR6); the rest keeps its order.
func (l *offerList) sort() {
	slices.SortStableFunc(l.out[l.from:], func(a, b broker.Offer) int { return running(b) - running(a) })
	l.from = len(l.out)
}

func (l *offerList) list() []broker.Offer {
	l.sort()
	return l.out
}

func running(o broker.Offer) int {
	if o.State == broker.OfferRunning {
		return 1
	}
	return 0
}

// offerLogged writes a log row ($5 to $17) with it.
const (
	offerQuery  = `WITH ` + offersSQL + offerSelect
	offerLogged = `WITH ` + offersSQL + `, logged AS (` + logInsert + logKind + logWho + logSession + `, ` + logDesktop + logDuration + `)` + offerSelect
	offerSelect = ` SELECT ` + offerColumns + ` FROM offer o ORDER BY o.ord, o.place, o.name`
)

// Offers implements broker.Store.
func (s *Store) Offers(ctx context.Context, q broker.OfferQuery) ([]broker.Offer, error) {
	var out []broker.Offer
	run := s.ask
	if q.Log != nil {
		run = s.once
	}
	err := run(ctx, "list offers", func(l link) (err error) {
		out, err = offers(l, q)
		return err
	})
	return out, err
}

func offers(l link, q broker.OfferQuery) ([]broker.Offer, error) {
	var list offerList
	pools, slots := grantArgs(q.Grants)
	query, args := offerQuery, []any{q.Directory, q.User, pools, slots}
	if q.Log != nil {
		query, args = offerLogged, append(args, logArgs(*q.Log)...)
	}
	err := l.each(query, func(r pgx.Row) error {
		var o offerRow
		err := r.Scan(o.fields()...)
		if err == nil {
			list.add(o)
		}
		return err
	}, args...)
	return list.list(), err
}

// grantArgs are the grants as two lists.
func grantArgs(grants []broker.Grant) (pools []string, slots []int32) {
	pools, slots = make([]string, len(grants)), make([]int32, len(grants))
	for i, g := range grants {
		pools[i], slots[i] = g.Pool, int32(g.MaxOffers)
	}
	return pools, slots
}

// Assigned implements broker.Store.
func (s *Store) Assigned(ctx context.Context, directory, user string) (bool, error) {
	var yes bool
	err := s.ask(ctx, "look up assignment", func(l link) error {
		return l.row(`SELECT EXISTS (SELECT FROM assignment a JOIN desktop d ON d.id = a.desktop_id AND d.deleted_at IS NULL
			WHERE a.directory = $1 AND a.user_name = $2)`, directory, user).Scan(&yes)
	})
	return yes, err
}
