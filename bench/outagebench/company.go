package outagebench

import (
	"fmt"

	"github.com/google/uuid"

	"switchpoint/broker"
)

// Pools of the large cluster.
const (
	poolOwn  = "own"
	poolFree = "floor"
)

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// company is a setup with desktops that belong to the first users, and others in a pool for everybody.
func company(own, free int) broker.Setup {
	s := broker.Setup{
		DesktopPools: []broker.DesktopPool{{Name: poolOwn, Kind: broker.KindAssigned, Check: "none"}, {Name: poolFree, Kind: broker.KindPooled, Check: "none"}},
		Policies:     []broker.Policy{{Name: "all", Pools: []string{poolFree}}},
	}
	desktop := func(pool string, i int) string {
		name := fmt.Sprintf("%s-%06d", pool, i)
		s.Desktops = append(s.Desktops, broker.Desktop{Name: name, Pool: pool, Host: name + ".desktops.company.com"})
		return name
	}
	for i := range own {
		s.Assignments = append(s.Assignments, broker.Assignment{User: userName(i), Desktop: desktop(poolOwn, i)})
	}
	for i := range free {
		desktop(poolFree, i)
	}
	return s.WithDefaults()
}

func userName(i int) string { return fmt.Sprintf("user%06d", i) }

// signedIn is the SQL that signs all users in: those without a desktop of their own have used one of the
// pool before, and as many of them as it has desktops hold one now.
func signedIn(users, own int) string {
	return fmt.Sprintf(`
INSERT INTO session (id, token_hash, directory, user_name, site_id, client_addr, client_name, grants, created_at, expires_at, ends_at)
	SELECT gen_random_uuid(), sha256(i::text::bytea), 'local', 'user' || lpad(i::text, 6, '0'), 1, '192.0.2.7', 'thin client ' || i,
		'[{"Pool":"%[3]s","MaxOffers":1}]', now(), now() + interval '10 hours', now() + interval '10 hours'
	FROM generate_series(0, %[1]d - 1) AS i;
INSERT INTO last_use
	SELECT 'local', 'user' || lpad(i::text, 6, '0'), p.id, d.id
	FROM generate_series(%[2]d, %[1]d - 1) AS i, desktop_pool p, LATERAL (SELECT id FROM desktop WHERE pool_id = p.id LIMIT 1) d
	WHERE p.name = '%[3]s';
UPDATE desktop SET claim_directory = 'local', claim_user = held.user_name, claim_slot = 1, claim_session = held.id, claimed_at = now(), claim_pool = pool_id
	FROM (SELECT d.id AS desktop, s.id, s.user_name
		FROM (SELECT id, row_number() OVER (ORDER BY name) AS n FROM desktop WHERE name LIKE '%[3]s-%%') d
		JOIN (SELECT id, user_name, row_number() OVER (ORDER BY user_name DESC) AS n FROM session) s USING (n)) held
	WHERE desktop.id = held.desktop;
VACUUM ANALYZE;`, users, own, poolFree)
}
