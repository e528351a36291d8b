package lb

import (
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
	"switchpoint/lb/choice"
	"switchpoint/lb/stick"
)

// bound counts the persistence entries.
func bound(r *running) (n int) {
	for _, pool := range r.Status().Pools {
		for _, m := range pool.Members {
			n += m.Bound
		}
	}
	return n
}

// persistent is a proxy of three members with a kind of persistence, round robin, which believes
// its only peer, the test, who the client is.
func persistent(t *testing.T, kind string, edit func(*Config)) *running {
	a, b, c := startBackend(t, says("a")), startBackend(t, says("b")), startBackend(t, says("c"))
	cfg := persistentConfig(kind, members(a, b, c))
	if edit != nil {
		edit(&cfg)
	}
	return start(t, cfg)
}

func persistentConfig(kind string, who []Member) Config {
	cfg := plainConfig(who)
	cfg.Pools[0].Persistence = kind
	cfg.Listeners[0].TrustedProxies = []string{"127.0.0.1"}
	return cfg
}

// ask sends a request from a client with header lines, and gives head and body of the answer.
func (r *running) ask(from string, lines ...string) (head, member string) {
	r.t.Helper()
	return r.askPath("/", from, lines...)
}

func (r *running) askPath(path, from string, lines ...string) (head, member string) {
	r.t.Helper()
	lines = append(lines, "X-Forwarded-For: "+from, "Connection: close", "", "")
	text := raw(r.t.(*testing.T), r.addr, "GET "+path+" HTTP/1.1\r\nHost: x\r\n"+strings.Join(lines, "\r\n"))
	head, member, _ = strings.Cut(text, "\r\n\r\n")
	return head, member
}

// TestSourcePersistence: clients are told apart by as many bits of their address as configured.
func TestSourcePersistence(t *testing.T) {
	covers.Req(t, "LB3")
	r := persistent(t, PersistSource, func(c *Config) { c.Pools[0].PersistenceMask = 24 })
	same := func(what string, from ...string) string {
		t.Helper()
		_, first := r.ask(from[0])
		for range 4 {
			for _, a := range from {
				if _, m := r.ask(a); m != first {
					t.Errorf("%s: %s had %s and got %s", what, a, first, m)
				}
			}
		}
		return first
	}
	got := map[string]bool{
		same("one network", "192.0.2.1", "192.0.2.200"):                      true,
		same("another one", "192.0.3.1"):                                     true,
		same("an IPv6 network of 64 bits", "2001:db8::1", "2001:db8::ff:9"):  true,
		same("the next one", "2001:db8:0:1::1"):                              true,
		same("the other form of IPv4", "::ffff:192.0.2.7", "192.0.2.8"):      true,
		same("a peer that hides behind no proxy", "127.0.0.1", "127.0.0.99"): true,
	}
	if len(got) != 3 || bound(r) != 5 {
		t.Errorf("members %v, %d entries, want all three and 5", got, bound(r))
	}
	if e := r.Explain("front", netip.MustParseAddr("192.0.2.77")); e.PersistedFor < 290*time.Second || !strings.HasPrefix(e.Persistence, "source-address; ") || !strings.HasSuffix(e.Persistence, " left") || e.Reason != "persistence: this client had it before" {
		t.Errorf("%+v", e)
	}
	// Persistence of 300 seconds from the last use is the default.
	if pt := r.live.Load().pools[0].persist; pt.keep != 300*time.Second || pt.mask6 != 64 {
		t.Errorf("%+v", pt)
	}
}

// TestPersistenceSurvivesReload: entries stay, in whatever order the members are; what a member
// that left had goes elsewhere.
func TestPersistenceSurvivesReload(t *testing.T) {
	covers.Req(t, "LB3", "LB7")
	var cfg Config
	r := persistent(t, PersistSource, func(c *Config) { cfg = *c })
	was := map[string]string{}
	for n := range 12 {
		from := fmt.Sprintf("192.0.2.%d", n)
		_, was[from] = r.ask(from)
	}
	ms := cfg.Pools[0].Members
	next := cfg
	next.Pools = []Pool{cfg.Pools[0], {Name: "other", Members: ms}}
	next.Pools[0].Members = []Member{ms[2], ms[0], ms[1]}
	next.Pools[0].Method, next.Pools[0].PersistenceTimeout = DefaultMethod, time.Hour
	for range 5 {
		r.reload(next)
		r.reload(cfg)
	}
	for from, m := range was {
		if _, now := r.ask(from); now != m {
			t.Errorf("%s had %s and has %s after a reload", from, m, now)
		}
	}
	next.Pools[0].Members = []Member{ms[0], ms[1]}
	r.reload(next)
	for from, m := range was {
		_, now := r.ask(from)
		if m != "c" && now != m || now == "c" {
			t.Errorf("%s had %s and has %s after c left", from, m, now)
		}
		if _, again := r.ask(from); again != now {
			t.Errorf("%s is not bound anew: %s, %s", from, now, again)
		}
	}
}

// TestTokenPersistence: a session stays at its member wherever it comes from, and only sessions
// that the broker knows are remembered.
func TestTokenPersistence(t *testing.T) {
	covers.Req(t, "LB3")
	broker := func(name string) *backend {
		return startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.Header.Get("Authorization"), "forged") {
				w.WriteHeader(http.StatusUnauthorized)
			}
			fmt.Fprint(w, name)
		}))
	}
	cfg := persistentConfig(PersistSession, members(broker("a"), broker("b"), broker("c")))
	r := start(t, cfg)
	token := func(n int) string {
		return fmt.Sprintf("sp1.%d.%s", n, strings.Repeat(string(rune('A'+n)), 43))
	}
	_, login := r.ask("192.0.2.1") // without a token yet
	_, first := r.ask("192.0.2.1", "Authorization: Bearer "+token(1))
	if first != login {
		t.Errorf("the session begins at %s, signed in at %s", first, login)
	}
	for n := range 6 { // from elsewhere, in every form
		from := fmt.Sprintf("198.51.100.%d", n)
		for _, line := range []string{
			"Authorization: Bearer " + token(1), "authorization: bearer  " + token(1),
			"Cookie: a=b; __Host-session=" + token(1), "Cookie: a=b\r\nCookie:__Host-session=" + token(1) + "; c=d",
			"Cookie: __Host-session=" + token(5) + "\r\nAuthorization: Bearer " + token(1),
		} {
			if _, m := r.ask(from, line); m != first {
				t.Errorf("%s: the session went from %s to %s", line, first, m)
			}
		}
	}
	if n := bound(r); n != 2 {
		t.Errorf("%d entries, want the source and the session", n)
	}
	used := map[string]bool{}
	for n := range 6 { // tokens of others have members of their own
		from := fmt.Sprintf("203.0.113.%d", n)
		_, m := r.ask(from, "Authorization: Bearer "+token(n+2))
		used[m] = true
		if _, again := r.ask("192.0.2.1", "Authorization: Bearer "+token(n+2)); again != m {
			t.Errorf("session %d went from %s to %s", n, m, again)
		}
	}
	if len(used) != 3 {
		t.Errorf("members %v", used)
	}
	before := bound(r)
	for n := range 10 {
		for _, line := range []string{
			fmt.Sprintf("Authorization: Bearer sp1.%d.forged", n), // refused by the broker
			fmt.Sprintf("Authorization: Bearer sp2.%d.other", n), "Authorization: Basic sp1.1.x", "Authorization: Bearer sp1." + strings.Repeat("x", 99),
			fmt.Sprintf("Cookie: __Host-session=%d; session=sp1.1.%d", n, n),
		} {
			r.ask("192.0.2.1", line)
		}
	}
	if n := bound(r); n != before {
		t.Errorf("%d entries for tokens that nobody knows", n-before)
	}
	for shard := range stick.Shards { // what is kept of a token is no part of it
		for _, e := range r.sticks.Append(nil, shard, 0) {
			if bytes.Contains([]byte(token(1)), e.Key[:4]) || bytes.Contains(e.Key[:], []byte("sp1")) {
				t.Errorf("key %q", e.Key)
			}
		}
	}
}

// TestSpread: an office behind one address is not one client, and only it is spread.
func TestSpread(t *testing.T) {
	covers.Req(t, "LB3")
	r := persistent(t, PersistSession, nil)
	count := func(from string, n int) map[string]int {
		got := map[string]int{}
		for range n {
			_, m := r.ask(from)
			got[m]++
		}
		return got
	}
	for n := range 10 {
		if got := count(fmt.Sprintf("192.0.2.%d", n), 4); len(got) != 1 {
			t.Errorf("client %d had %v", n, got)
		}
	}
	office := count("198.51.100.1", 90)
	if len(office) != 3 || min(office["a"], office["b"], office["c"]) < 15 {
		t.Errorf("the office got %v", office)
	}
	e := r.Explain("front", netip.MustParseAddr("198.51.100.1"))
	if !strings.Contains(e.Persistence, "this source is spread: it brings 90 of the latest 130 requests without a session, more than 2 times its fair share of 1") || e.PersistedFor != 0 {
		t.Errorf("%+v", e)
	}
	if text := strings.Join(e.Lines(), "\n"); !strings.Contains(text, "spread") {
		t.Error(text)
	}
	for n := range 10 {
		if got := count(fmt.Sprintf("192.0.2.%d", n), 2); len(got) != 1 {
			t.Errorf("client %d had %v", n, got)
		}
	}
	// A session from the office stays where it is.
	_, first := r.ask("198.51.100.1", "Authorization: Bearer sp1.1.x")
	for range 6 {
		if _, m := r.ask("198.51.100.1", "Authorization: Bearer sp1.1.x"); m != first {
			t.Errorf("a session went from %s to %s", first, m)
		}
	}
	off := 0
	r = persistent(t, PersistSession, func(c *Config) { c.Pools[0].SpreadAbove = &off })
	if got := count("198.51.100.1", 60); len(got) != 1 {
		t.Errorf("spread_above = 0 and got %v", got)
	}
	r = persistent(t, PersistSource, nil)
	if got := count("198.51.100.1", 60); len(got) != 1 {
		t.Errorf("source-address, which spreads nobody, and got %v", got)
	}
}

// TestPersistenceHonoursDraining: whoever is bound to a member stays while it drains, in every kind;
// nobody new comes. Disabling ends that.
func TestPersistenceHonoursDraining(t *testing.T) {
	covers.Req(t, "LB3")
	for _, kind := range []string{PersistSource, PersistSession, PersistCookie} {
		t.Run(kind, func(t *testing.T) {
			r := persistent(t, kind, nil)
			line := "X-No: 1"
			if kind == PersistSession {
				line = "Authorization: Bearer sp1.1.x"
			}
			head, first := r.ask("192.0.2.1", line)
			if kind == PersistCookie {
				line = "Cookie: " + cookieIn(t, head)
			}
			say := func(do string) {
				t.Helper()
				if err := r.Operate(Word{Pool: "brokers", Member: first, Do: do, Owner: "test", Reason: "test"}); err != nil {
					t.Fatal(err)
				}
			}
			say(Drain)
			for n := range 6 {
				if _, m := r.ask("192.0.2.1", line); m != first {
					t.Errorf("bound to %s, which drains, and got %s", first, m)
				}
				if _, m := r.ask(fmt.Sprintf("198.51.100.%d", n)); m == first {
					t.Errorf("a new client got %s, which drains", m)
				}
			}
			say(Disable)
			head, next := r.ask("192.0.2.1", line)
			if next == first {
				t.Errorf("%s is disabled and gets clients", first)
			}
			if kind == PersistCookie {
				line = "Cookie: " + cookieIn(t, head)
			}
			say(Enable)
			if _, m := r.ask("192.0.2.1", line); m != next {
				t.Errorf("bound to %s meanwhile and got %s", next, m)
			}
		})
	}
}

// TestOverloadedAndPersistence: a session stays at a member that is overloaded; a source address
// of a pool of sessions is none, and new sessions go elsewhere (HK4).
func TestOverloadedAndPersistence(t *testing.T) {
	covers.Req(t, "LB3")
	a, b := startProbed(t, "1", "5", "normal"), startProbed(t, "1", "5", "normal")
	cfg := persistentConfig(PersistSession, members(a.backend, b.backend))
	r, _ := startChecked(t, cfg, healthcheck.Monitor{})
	const token = "Authorization: Bearer sp1.1.x"
	to := func(want string) bool {
		e := r.Explain("front", netip.MustParseAddr("192.0.2.1"))
		return e.Member == want
	}
	inFlight := func(line string) string { // the answers are all alike: ask who got it
		before := r.Status().Pools[0].Members[0].Requests["2xx"]
		r.ask("192.0.2.1", line)
		if r.Status().Pools[0].Members[0].Requests["2xx"] > before {
			return "a"
		}
		return "b"
	}
	eventually(t, "both are up", func() bool {
		ms := r.Status().Pools[0].Members
		return ms[0].State == "up" && ms[1].State == "up"
	})
	inFlight("X: 1")
	first := inFlight(token)
	other := map[string]string{"a": "b", "b": "a"}[first]
	eventually(t, "the client's source is bound", func() bool { return to(first) })
	at := map[string]*probed{"a": a, "b": b}[first]
	at.status.Store(503)
	eventually(t, "a client without a session is sent elsewhere", func() bool { return to(other) })
	lp := r.live.Load().pools[0]
	pick := func(fields string) string {
		var q choice.Question
		v := visitor{addr: netip.MustParseAddr("192.0.2.9"), fields: []byte(fields + "\r\n")}
		lp.ask(&q, v.addr, r.snapshot(), r.now())
		lp.recognise(&v, &q, time.Duration(r.now()))
		i, _ := choice.Pick(&q)
		return lp.members[i].name
	}
	if got := pick(token + "\r\n"); got != first {
		t.Errorf("the session at %s, which is overloaded, is sent to %s", first, got)
	}
	if got := pick(""); got != other {
		t.Errorf("a new client is sent to %s, which is overloaded", got)
	}
}
