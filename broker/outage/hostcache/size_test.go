package hostcache

import (
	"context"
	"fmt"
	"testing"
	"time"

	"switchpoint/internal/realserver"
)

// TestSize: the cluster that the original's host cache is too small for (HC8: 40,000 machines): 50,000
// desktops, 100,000 users, of whom 30,000 have a desktop of their own, the others had one of the pool
// before, and 20,000 are signed in and hold one. A process of its own copies it from PostgreSQL within the
// time and the memory that are promised, and what follows while nothing changes is cheap. What counts is
// the time on the processor: on a machine that others use at the same time, the clock says nothing.
func TestSize(t *testing.T) {
	d := realserver.Postgres(t, realserver.PostgresOptions{Settings: map[string]string{"fsync": "off"}})
	s := openPostgres(t, d.DSN)
	own, pooled, users, held := 30_000/share, 20_000/share, 100_000/share, 20_000/share
	fill(t, s, company(own, pooled))
	d.Exec(fmt.Sprintf(`
		INSERT INTO session (id, token_hash, directory, user_name, site_id, client_addr, client_name, grants, created_at, expires_at, ends_at)
			SELECT gen_random_uuid(), sha256(i::text::bytea), 'local', 'guest' || i, 1, '192.0.2.7', 'tc' || i, '[{"Pool":"pool","MaxOffers":1}]', now(), now() + interval '10 hours', now() + interval '10 hours'
			FROM generate_series(1, %[1]d) i;
		INSERT INTO last_use SELECT 'local', 'guest' || i, p.id, d.id FROM generate_series(1, %[2]d) i, desktop_pool p, LATERAL (SELECT id FROM desktop WHERE pool_id = p.id LIMIT 1) d WHERE p.name = 'pool';
		UPDATE desktop SET claim_directory = 'local', claim_user = c.user_name, claim_slot = 1, claim_session = c.id, claimed_at = now(), claim_pool = pool_id
			FROM (SELECT d.id AS desktop, s.id, s.user_name FROM (SELECT id, row_number() OVER () AS n FROM desktop WHERE name LIKE 'pool%%') d
				JOIN (SELECT id, user_name, row_number() OVER () AS n FROM session) s USING (n)) c WHERE desktop.id = c.desktop;
		ANALYZE`, held, users-own))
	dir := t.TempDir()
	got, _ := runChild(t, childTask{Postgres: d.DSN, Dir: dir})
	t.Logf("copied in %s, %s of them on the processor, with %d MB: %v", got.Took, got.CPU, got.PeakKB/1024, got.Rows)
	for table, want := range map[string]int{"desktop": own + pooled, "assignment": own, "last_use": users - own, "session": held, "claim": held} {
		if got.Rows[table] != want {
			t.Errorf("%d rows of %s, want %d", got.Rows[table], table, want)
		}
	}
	if got.CPU > maxTook || got.PeakKB > 300<<10 || got.Quarantined != 0 {
		t.Errorf("%+v; promised are %s and 300 MB", got, maxTook)
	}
	c := newCache(t, s, func(o *Options) { o.Dir = dir })
	again := mustSync(t, c, Current)
	began := time.Now()
	cache, _, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	t.Logf("state refreshed in %s, opened in %s", again.Took, time.Since(began))
	if again.Rows["claim"] != held {
		t.Errorf("%+v", again)
	}
}

// BenchmarkImport copies 1,000 desktops with their owners from an embedded database.
func BenchmarkImport(b *testing.B) {
	s := embedded(b)
	fill(b, s, company(1000, 0))
	c := newCache(b, s, nil)
	for b.Loop() {
		c.now.condemn("once more")
		if _, err := c.Sync(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*2000)/b.Elapsed().Seconds(), "rows/s")
}
