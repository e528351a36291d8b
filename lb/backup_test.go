package lb

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/healthcheck"
	"switchpoint/healthcheck/isalive"
	"switchpoint/internal/covers"
)

// startChecked is a proxy whose pools are checked by the monitor m, fast, and told of the traffic.
func startChecked(t *testing.T, cfg Config, m healthcheck.Monitor) (*running, *healthcheck.Engine) {
	t.Helper()
	m.Kind = "http"
	for i := range cfg.Pools {
		cfg.Pools[i].Monitor = "m"
	}
	engine := startEngine(t, cfg, m)
	return startWith(t, cfg, Options{Listeners: cfg.Listeners, DrainTimeout: 2 * time.Second, Snapshot: engine.Snapshot, Report: engine.Report}, engine.Ref), engine
}

// TestBackupPool: while no member can serve, the backup pool does, down the chain; is_alive says
// what clients would get, and Explain and log say whose place it takes.
func TestBackupPool(t *testing.T) {
	covers.Req(t, "LB4", "LB11")
	a, b, c := startProbed(t, "1", "5", "normal"), startProbed(t, "2", "6", "leased"), startProbed(t, "", "", "hostcache")
	cfg := plainConfig([]Member{{Name: "a", Address: a.addr}})
	cfg.Pools[0].BackupPool = "spare"
	cfg.Pools = append(cfg.Pools, Pool{Name: "spare", Persistence: "none", BackupPool: "page", Members: []Member{{Name: "b", Address: b.addr}}},
		Pool{Name: "page", Persistence: "none", Members: []Member{{Name: "c", Address: c.addr}}})
	r, _ := startChecked(t, cfg, healthcheck.Monitor{})
	cl := client(t, nil)
	at := func(pool, member string) func() bool {
		return func() bool { e := r.Explain("front", loopback); return e.Pool == pool && e.Member == member }
	}
	probe := func() (int, http.Header) {
		resp, err := cl.Get("http://" + r.addr + "/index.pl?action=is_alive")
		if err != nil {
			return 0, nil
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, resp.Header
	}
	eventually(t, "the pool's own member serves", at("brokers", "a"))

	a.status.Store(503) // overloaded is not down: the pool goes on (HK4)
	eventually(t, "it is overloaded", func() bool { return r.member("a").State == "overloaded" })
	if !at("brokers", "a")() {
		t.Errorf("overloaded: %+v", r.Explain("front", loopback))
	}
	if status, _ := probe(); status != 503 {
		t.Errorf("overloaded: is_alive %d", status)
	}

	a.status.Store(0)
	eventually(t, "the backup pool serves", at("spare", "b"))
	e := r.Explain("front", loopback)
	if text := strings.Join(e.Lines(), "\n"); e.Instead != "brokers" || !strings.Contains(text, "instead of:  brokers") {
		t.Errorf("%s", text)
	}
	if status, head := probe(); status != 200 || head.Get(isalive.HeaderCapacity) != "6" || head.Get(isalive.HeaderMode) != "leased" {
		t.Errorf("is_alive %d %v", status, head)
	}
	if st := r.Status().Pools[0]; st.ServedBy != "spare" || st.Backup != "spare" {
		t.Errorf("%+v", st)
	}
	if status, _ := get(t, cl, "http://"+r.addr+"/"); status != 200 {
		t.Errorf("status %d", status)
	}

	b.status.Store(0)
	eventually(t, "the last one serves", at("page", "c"))
	if status, _ := get(t, cl, "http://"+r.addr+"/"); status != 200 {
		t.Errorf("status %d", status)
	}
	c.status.Store(0)
	eventually(t, "nobody is left", at("page", ""))
	if status, _ := probe(); status != 0 {
		t.Errorf("is_alive %d, want a closed connection", status)
	}
	if status, _ := get(t, cl, "http://"+r.addr+"/"); status != 503 {
		t.Errorf("status %d", status)
	}
	a.status.Store(200)
	eventually(t, "the pool is back", at("brokers", "a"))
}

// TestBackupPoolUnreachable: a pool whose members all refuse, before their monitors know it, is
// helped by its backup pool too; connections of tcp listeners likewise.
func TestBackupPoolUnreachable(t *testing.T) {
	b := startBackend(t, says("b"))
	cfg := plainConfig([]Member{{Name: "a", Address: deadAddress(t)}})
	cfg.Pools[0].BackupPool = "spare"
	cfg.Pools = append(cfg.Pools, Pool{Name: "spare", Persistence: "none", Members: []Member{{Name: "b", Address: b.addr}}})
	r := start(t, cfg)
	for range 3 {
		if status, body := get(t, client(t, nil), "http://"+r.addr+"/"); status != 200 || body != "b" {
			t.Errorf("%d %q", status, body)
		}
	}
	s := startService(t, greet("s"))
	cfg = tcpConfig(Member{Name: "a", Address: deadAddress(t)})
	cfg.Pools[0].BackupPool = "spare"
	cfg.Pools = append(cfg.Pools, Pool{Name: "spare", Members: []Member{{Name: "s", Address: s.addr}}})
	r = start(t, cfg)
	for range 3 {
		if _, name := greeted(t, r.addr); name != "s" {
			t.Errorf("got %q", name)
		}
	}
}

// TestEjection: a member whose probes pass and whose requests fail is put out by its traffic, and
// no passing probe brings it back while the trials fail as well (LB4).
func TestEjection(t *testing.T) {
	covers.Req(t, "LB4")
	var broken atomic.Bool
	var probes atomic.Int64
	half := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == isalive.Path:
			probes.Add(1)
			_, _ = io.WriteString(w, isalive.BodyOK)
		case broken.Load():
			w.WriteHeader(500)
		default:
			_, _ = io.WriteString(w, "half")
		}
	}))
	good, third := startProbed(t, "1", "5", "normal"), startProbed(t, "1", "5", "normal")
	cfg := plainConfig(members(half, good.backend, third.backend))
	r, _ := startChecked(t, cfg, healthcheck.Monitor{Judging: healthcheck.Judging{PassiveHold: 300 * ms}})
	c := client(t, nil)
	var failed, all int
	ask := func() {
		all++
		if status, _ := get(t, c, "http://"+r.addr+"/"); status != 200 {
			failed++
		}
	}
	eventually(t, "it serves", func() bool { ask(); return r.member("a").Requests["2xx"] > 3 })
	broken.Store(true)
	eventually(t, "its traffic puts it out", func() bool { ask(); return r.member("a").State == "down" })
	if why := r.member("a").Why; !strings.Contains(why, "traffic fails") {
		t.Errorf("why: %s", why)
	}
	seen, out, looks := probes.Load(), 0, 0
	failed, all = 0, 0
	until := time.Now().Add(2 * time.Second)
	for time.Now().Before(until) {
		ask()
		looks++
		if r.member("a").State == "down" {
			out++
		}
	}
	if n := probes.Load() - seen; n < 10 {
		t.Errorf("only %d probes passed meanwhile", n)
	}
	// What fails are the trials, one at the end of each hold, which doubles.
	if failed > 20 || failed*20 > all || out*10 < looks*9 {
		t.Errorf("%d of %d requests failed, it was out at %d of %d looks", failed, all, out, looks)
	}
	broken.Store(false)
	before := r.member("a").Requests["2xx"]
	eventually(t, "it is mended and serves again", func() bool { ask(); return r.member("a").Requests["2xx"] > before+3 })
}

// TestSlowStart: whoever comes back, or is added, gets a growing share; nobody does at the start.
func TestSlowStart(t *testing.T) {
	covers.Req(t, "LB4")
	a, b := startProbed(t, "1", "5", "normal"), startProbed(t, "1", "5", "normal")
	cfg := plainConfig(members(a.backend, b.backend))
	cfg.Pools[0].SlowStart = time.Hour
	r, engine := startChecked(t, cfg, steadyMonitor())
	share := func(name string) int {
		before := r.member(name).Requests["2xx"]
		c := client(t, nil)
		for range 110 {
			get(t, c, "http://"+r.addr+"/")
		}
		return int(r.member(name).Requests["2xx"] - before)
	}
	if n := share("a"); n < 50 || n > 60 || r.member("a").Back != 0 {
		t.Errorf("at the start a gets %d of 110: %+v", n, r.member("a"))
	}
	for _, away := range []healthcheck.State{healthcheck.Down, healthcheck.Overloaded} {
		if err := engine.Force(healthcheck.Override{Pattern: a.addr, State: away, Owner: "test"}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it cannot serve", func() bool { return r.member("a").State == away.String() })
		if err := engine.Force(healthcheck.Override{Pattern: a.addr, State: healthcheck.Up, Owner: "test"}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is back", func() bool { return r.member("a").State == "up" })
		if n := share("a"); n < 5 || n > 20 || r.member("a").Back == 0 {
			t.Errorf("back from %s it gets %d of 110, want about 10", away, n)
		}
	}
	extra := startProbed(t, "1", "5", "normal")
	more := cfg
	more.Pools = []Pool{cfg.Pools[0]}
	more.Pools[0].Members = members(a.backend, b.backend, extra.backend)
	checks, err := healthcheck.Compile(healthcheck.Config{Monitors: []healthcheck.Monitor{steadyMonitor()}, Checks: more.Checks()})
	if err != nil {
		t.Fatal(err)
	}
	engine.SetTable(checks)
	table, err := Compile(more, engine.Ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetTable(table); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new one is up", func() bool { return r.member("c").State == "up" })
	if n := share("c"); n < 3 || n > 20 {
		t.Errorf("the new one gets %d of 110, want about 9", n)
	}
}

// steadyMonitor is one that no pause of a busy machine upsets.
func steadyMonitor() healthcheck.Monitor {
	return healthcheck.Monitor{Name: "m", Kind: "http", Interval: 10 * time.Second, Timeout: 5 * time.Second}
}
