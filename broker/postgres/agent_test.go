package postgres

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/internal/covers"
)

// tenThousandAgents is what ten thousand agents are in half a minute: a statement a second, and no row
// more than there are agents.
func tenThousandAgents(t *testing.T, d *databases) {
	covers.Req(t, "BR5")
	const agents, seconds = 10_000, 30
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	exec(t, s, `INSERT INTO desktop_pool SELECT gen_random_uuid(), 'pool', 'pooled', 'none', 0`)
	exec(t, s, `INSERT INTO desktop (id, name, pool_id, host, port, protocol, state, position)
		SELECT gen_random_uuid(), 'd' || n, p.id, 'h', 1, 'rdp', 'enabled', n FROM generate_series(1, `+strconv.Itoa(agents)+`) n, desktop_pool p`)
	exec(t, s, `INSERT INTO agent (desktop_id, key_hash, enrolled_at) SELECT id, sha256(id::text::bytea), now() FROM desktop`)
	exec(t, s, `ANALYZE`)
	list := make([]broker.AgentBeat, 0, agents)
	rows, err := s.pool.Query(t.Context(), `SELECT desktop_id::text, key_hash FROM agent`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		b := broker.AgentBeat{AgentReport: broker.AgentReport{Version: "1.0", Address: "10.0.0.1", Load: 0.5,
			Sessions: []broker.AgentSession{{User: `CORP\anna`, State: broker.SessionActive}}}}
		var hash []byte
		if err := rows.Scan(&b.Desktop, &hash); err != nil {
			t.Fatal(err)
		}
		b.KeyHash = [32]byte(hash)
		list = append(list, b)
	}
	if len(list) != agents || rows.Err() != nil {
		t.Fatal(len(list), rows.Err())
	}
	began := time.Now()
	statements := 0
	for batch := range slices.Chunk(list, (agents+seconds-1)/seconds) {
		statements++
		orders, err := s.AgentBeats(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(orders, func(o broker.AgentOrders) bool { return !o.Known }) {
			t.Fatal("an agent is not known")
		}
	}
	took := time.Since(began)
	t.Logf("%d heartbeats in %d statements: %v, %v each; that is %.1f %% of the time in which they come", agents, statements, took, took/seconds, 100*took.Seconds()/seconds)
	var total, fresh int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE `+heardSQL+`) FROM agent g`).Scan(&total, &fresh); err != nil {
		t.Fatal(err)
	}
	if total != agents || fresh != agents || statements > seconds {
		t.Errorf("%d rows, %d of them fresh, %d statements", total, fresh, statements)
	}
}
