package postgres

import (
	"io/fs"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"switchpoint/broker"
)

// migrateFilled brings a database with users at work from the first schema to this one: nobody loses his
// desktop. The way back keeps what the old schema can say.
func migrateFilled(t *testing.T, d *databases) {
	u := d.fresh(t, d.DSN)
	config, err := pgx.ParseConfig(u)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*config)
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	const pool, own, session, one, two, mine = "00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002",
		"00000000-0000-7000-8000-000000000003", "00000000-0000-7000-8000-000000000004", "00000000-0000-7000-8000-000000000005", "00000000-0000-7000-8000-000000000006"
	if _, err := db.ExecContext(t.Context(), `
		INSERT INTO cluster VALUES (1, 'uk', sha256(''), 1, now());
		INSERT INTO broker VALUES (1, 'cb1', 'uk', '1', 3, now(), now(), NULL);
		INSERT INTO setup VALUES (1, 1, '{}', now());
		INSERT INTO desktop_pool VALUES ('`+pool+`', 'pool', 'pooled', 'dial', 0, NULL), ('`+own+`', 'own', 'assigned', 'dial', 1, NULL);
		INSERT INTO session VALUES ('`+session+`', sha256('x'), 'local', 'anna', 1, '', '', '[{"Pool":"pool","MaxOffers":1}]', now(), now() + interval '1 hour', NULL);
		INSERT INTO desktop (id, name, pool_id, host, port, protocol, state, position, claim_directory, claim_user, claim_slot, claim_session, claimed_at) VALUES
			('`+one+`', 'one', '`+pool+`', 'h1', 1, 'rdp', 'enabled', 0, 'local', 'anna', 1, '`+session+`', now()),
			('`+two+`', 'two', '`+pool+`', 'h2', 1, 'rdp', 'enabled', 1, NULL, NULL, NULL, NULL, NULL),
			('`+mine+`', 'mine', '`+own+`', 'h3', 1, 'rdp', 'enabled', 2, NULL, NULL, NULL, NULL, NULL);
		INSERT INTO assignment VALUES ('`+mine+`', 'local', 'anna', 0);
		INSERT INTO log SELECT gen_random_uuid(), now(), 'ref', 'login', '', '', '', '', '', 1, NULL, '', 0, '';`); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s := open(t, Options{URL: u})
		setup, version, err := s.Setup(t.Context())
		if err != nil || version != 1 || len(setup.Desktops) != 3 || setup.Desktops[0].Pool != "pool" || len(setup.Assignments) != 1 {
			t.Errorf("setup %d %+v, %v", version, setup, err)
		}
		in, err := s.Session(t.Context(), [32]byte{0x2d, 0x71, 0x16, 0x42, 0xb7, 0x26, 0xb0, 0x44, 0x01, 0x62, 0x7c, 0xa9, 0xfb, 0xac, 0x32, 0xf5,
			0xc8, 0x53, 0x0f, 0xb1, 0x90, 0x3c, 0xc4, 0xdb, 0x02, 0x25, 0x87, 0x17, 0x92, 0x1a, 0x48, 0x81}) // SHA-256 of x
		if err != nil {
			t.Fatal(err)
		}
		offers, err := s.Offers(t.Context(), broker.OfferQuery{Who: in.Who, Grants: in.Grants})
		if err != nil || len(offers) != 2 || offers[0].Name != "mine" || offers[1].Name != "one" || offers[1].State != broker.OfferRunning {
			t.Errorf("offers %+v, %v", offers, err)
		}
		list, err := s.Candidates(t.Context(), broker.Session{Grants: in.Grants}, broker.OfferID{Pool: pool, Slot: 1}, 9)
		if err != nil || len(list) != 1 || list[0].Name != "two" {
			t.Errorf("candidates %+v, %v", list, err)
		}
		if m := join(t, s, 1); m.Epoch < 4 {
			t.Errorf("the epoch went back: %+v", m)
		}
		if _, err := s.LogByRef(t.Context(), "ref"); err != nil {
			t.Error(err)
		}
		s.Close()
		if _, err := p.DownTo(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
}
