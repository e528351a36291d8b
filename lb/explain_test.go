package lb

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"switchpoint/lb/choice"
)

// TestExplain: what is explained is what happens, and explaining changes nothing.
func TestExplain(t *testing.T) {
	a, b := startBackend(t, says("a")), startBackend(t, says("b"))
	cfg := plainConfig(members(a, b))
	cfg.Pools[0].Method, cfg.Pools[0].Persistence = "least-response-time", "source-address"
	r := start(t, cfg)
	c := client(t, nil)
	for range 5 {
		want := r.Explain("front", loopback)
		if again := r.Explain("front", loopback); again.Member != want.Member {
			t.Errorf("explained twice: %s, then %s", want.Member, again.Member)
		}
		if _, got := get(t, c, "http://"+r.addr+"/"); got != want.Member {
			t.Errorf("explained %s, got %s", want.Member, got)
		}
	}
	e := r.Explain("front", loopback)
	if e.Reason != choice.Persisted.String() || e.PersistedFor <= 290*time.Second || e.Pool != "brokers" || e.Method != DefaultMethod {
		t.Errorf("%+v", e)
	}
	// A stranger goes to the cheaper member: the figures say so.
	pool := r.live.Load().pools[0]
	now := r.now()
	for _, u := range pool.ups {
		u.Stats = choice.Stats{}
		u.Use(now)
		u.Answered(now, 10*ms, 0, 200)
	}
	for range 4 {
		pool.ups[0].Begin(now, 0, 0)
	}
	e = r.Explain("front", netip.MustParseAddr("192.0.2.1"))
	if e.Member != "b" || e.PersistedFor != 0 || e.Members[0].InFlight != 4 || e.Members[0].Cost <= e.Members[1].Cost {
		t.Errorf("%+v", e)
	}
	if text := strings.Join(e.Lines(), "\n"); !strings.Contains(text, "member:      b; by the pool's method") {
		t.Errorf("%s", text)
	}
	for range 4 {
		pool.ups[0].End(now, 0)
	}
	if n := bound(r); n != 1 {
		t.Errorf("explaining left %d persistence entries", n)
	}
}
