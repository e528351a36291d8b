package broker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/broker"
	"switchpoint/internal/covers"
)

// line is the peer channel from a second broker to the first, as a test wants it.
type line struct {
	to    *running
	asked atomic.Int32
	cut   atomic.Bool // the other end keeps silent
}

func (l *line) ask(ctx context.Context, name string, q broker.SessionQuestion) (broker.SessionAnswer, error) {
	l.asked.Add(1)
	if l.cut.Load() || name != l.to.Node().Name {
		<-ctx.Done()
		return broker.SessionAnswer{}, ctx.Err()
	}
	return l.to.AnswerSession(ctx, q)
}

// counted stands before a store and counts.
type counted struct {
	broker.Store
	sessions, touches atomic.Int32
	down              atomic.Bool // sessions cannot be read
}

func (c *counted) Session(ctx context.Context, hash [32]byte) (broker.Session, error) {
	c.sessions.Add(1)
	if c.down.Load() {
		return broker.Session{}, broker.ErrUnavailable
	}
	return c.Store.Session(ctx, hash)
}

func (c *counted) TouchSession(ctx context.Context, id string, every time.Duration) error {
	c.touches.Add(1)
	return c.Store.TouchSession(ctx, id, every)
}

// pair is two brokers of one cluster, the second of which can ask the first.
type pair struct {
	a, b           *running
	storeA, storeB *counted
	line           *line
	reg            *prometheus.Registry // of b
}

func newPair(t *testing.T, setup broker.Setup) *pair {
	t.Helper()
	c := newCluster(t)
	p := &pair{storeA: &counted{Store: c.store()}, storeB: &counted{Store: c.store()}, line: &line{}, reg: prometheus.NewRegistry()}
	p.a = c.start(1, func(o *broker.Options) { o.Store = p.storeA })
	p.line.to = p.a
	p.b = c.start(2, func(o *broker.Options) { o.Store, o.AskSession, o.Metrics = p.storeB, p.line.ask, p.reg })
	p.a.fill(t, setup)
	eventually(t, "the second broker knows the first", func() bool {
		before := p.line.asked.Load()
		_, _, err := p.b.Offers(t.Context(), broker.Token{SiteID: 1, Secret: [32]byte{9}}.String(), "192.0.2.7")
		return refusalCode(err) == broker.CodeSessionExpired && p.line.asked.Load() > before
	})
	return p
}

func (p *pair) login(t *testing.T) string {
	t.Helper()
	r := p.a.Login(t.Context(), login("anna", "p"))
	if r.Token == "" {
		t.Fatalf("login: %+v", r)
	}
	return r.Token
}

// by is how many sessions the second broker has found so.
func (p *pair) by(t *testing.T, who string) float64 {
	t.Helper()
	families, err := p.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "switchpoint_broker_session_lookups_total" && m.GetLabel()[0].GetValue() == who {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func annaSetup(t *testing.T) broker.Setup {
	t.Helper()
	hash, err := broker.HashPassword("p")
	if err != nil {
		t.Fatal(err)
	}
	return broker.Setup{
		DesktopPools: []broker.DesktopPool{{Name: "floor", Kind: "pooled", Check: "none"}},
		Desktops:     []broker.Desktop{{Name: "floor-1", Pool: "floor", Host: "10.2.1.1"}},
		Policies:     []broker.Policy{{Name: "all", Pools: []string{"floor"}}},
		Users:        []broker.LocalUser{{Name: "anna", Password: hash}},
	}
}

// refresh asks for the offers and gives the code of the refusal.
func (r *running) refresh(t *testing.T, token string) string {
	t.Helper()
	_, offers, err := r.Offers(t.Context(), token, "192.0.2.7")
	if err == nil && len(offers) != 1 {
		t.Errorf("offers %+v", offers)
	}
	return refusalCode(err)
}

// TestHandOver: a session goes on at another broker, which asks the one that signed the user in, or
// reads the database where that one keeps silent or is gone.
func TestHandOver(t *testing.T) {
	covers.Req(t, "LG2", "DC3")
	t.Parallel()
	p := newPair(t, annaSetup(t))

	// The broker of the session answers out of its memory: the store is not asked for it at all.
	token := p.login(t)
	beforeA, beforeB := p.storeA.sessions.Load(), p.storeB.sessions.Load()
	if got := p.b.refresh(t, token); got != "" || p.by(t, "peer") != 1 {
		t.Fatalf("refresh at the other broker: %q, %g by peer", got, p.by(t, "peer"))
	}
	if a, b := p.storeA.sessions.Load()-beforeA, p.storeB.sessions.Load()-beforeB; a != 0 || b != 0 {
		t.Errorf("the store was asked %d and %d times", a, b)
	}
	asked := p.line.asked.Load()
	if got := p.b.refresh(t, token); got != "" || p.line.asked.Load() != asked {
		t.Errorf("the next refresh: %q, asked %d times again", got, p.line.asked.Load()-asked)
	}

	// It answers even while its own database does not, and then the other one's counts.
	p.storeA.down.Store(true)
	second := p.login(t)
	if got := p.b.refresh(t, second); got != "" {
		t.Errorf("with a memory and no database: %q", got)
	}
	eventually(t, "the memory is too old to be taken at its word", func() bool {
		before := p.by(t, "store")
		return p.b.refresh(t, second) == "" && p.by(t, "store") > before
	})
	// Neither broker's database answers: the word of the first stands, with its age.
	p.storeB.down.Store(true)
	eventually(t, "the old word counts where no database answers", func() bool {
		before := p.by(t, "peer")
		return p.b.refresh(t, second) == "" && p.by(t, "peer") > before
	})
	p.storeA.down.Store(false)
	p.storeB.down.Store(false)

	// It hangs: within the deadline the database has answered, and it is left alone for a while.
	third := p.login(t)
	p.line.cut.Store(true)
	asked = p.line.asked.Load()
	began := time.Now()
	if got := p.b.refresh(t, third); got != "" || p.line.asked.Load() != asked+1 {
		t.Errorf("while the other one hangs: %q", got)
	}
	if took := time.Since(began); took < 250*time.Millisecond || took > 5*time.Second {
		t.Errorf("the answer took %s", took)
	}
	fourth := p.login(t)
	if got := p.b.refresh(t, fourth); got != "" || p.line.asked.Load() != asked+1 {
		t.Errorf("a silent broker is asked again at once: %q", got)
	}

	// It is gone.
	if err := p.a.stop(); err != nil {
		t.Fatal(err)
	}
	for _, old := range []string{token, second, third, fourth} {
		if got := p.b.refresh(t, old); got != "" {
			t.Errorf("after the end of its broker: %q", got)
		}
	}
	if got := p.b.refresh(t, broker.Token{SiteID: 1}.String()); got != broker.CodeSessionExpired {
		t.Errorf("a token of nobody: %q", got)
	}
}

// TestLogoutEverywhere: a session that was ended at one broker is over there at once, nowhere connects
// any more, and no memory of it lasts longer than two seconds.
func TestLogoutEverywhere(t *testing.T) {
	t.Parallel()
	p := newPair(t, annaSetup(t))
	for name, end := range map[string]struct{ at, other *running }{"at home": {p.a, p.b}, "elsewhere": {p.b, p.a}} {
		r := p.a.Login(t.Context(), login("anna", "p"))
		for _, at := range []*running{p.a, p.b} { // both have it in their memory
			if got := at.refresh(t, r.Token); got != "" {
				t.Fatalf("%s: %q", name, got)
			}
		}
		if err := end.at.Logout(t.Context(), r.Token, "192.0.2.7"); err != nil {
			t.Fatal(err)
		}
		ended := time.Now()
		if got := end.at.refresh(t, r.Token); got != broker.CodeSessionExpired {
			t.Errorf("%s: the broker of the logout says %q", name, got)
		}
		_, err := end.other.Connect(t.Context(), broker.ConnectRequest{Token: r.Token, Offer: r.Offers[0].ID.String(), ClientAddr: "192.0.2.7"})
		if refusalCode(err) != broker.CodeSessionExpired {
			t.Errorf("%s: the other broker connects: %v", name, err)
		}
		eventually(t, name+": the other broker knows", func() bool { return end.other.refresh(t, r.Token) == broker.CodeSessionExpired })
		if took := time.Since(ended); took > 8*time.Second { // 2 s, on a busy machine
			t.Errorf("%s: after %s", name, took)
		}
	}
}

// TestSessionQuestions: what is no question is refused.
func TestSessionQuestions(t *testing.T) {
	t.Parallel()
	p := newPair(t, annaSetup(t))
	for _, hash := range [][]byte{nil, make([]byte, 31), make([]byte, 33)} {
		if _, err := p.a.AnswerSession(t.Context(), broker.SessionQuestion{TokenHash: hash}); err == nil {
			t.Errorf("a hash of %d bytes is answered", len(hash))
		}
	}
	p.storeA.down.Store(true)
	unknown := make([]byte, 32)
	if _, err := p.a.AnswerSession(t.Context(), broker.SessionQuestion{TokenHash: unknown}); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("without memory and database: %v", err)
	}
}

// TestSessionExpiryWrites: the use of a session is written down once a minute, however many requests
// and brokers there are.
func TestSessionExpiryWrites(t *testing.T) {
	t.Parallel()
	setup := annaSetup(t)
	setup.Policies[0].SessionExpiry = "30m"
	p := newPair(t, setup)
	token := p.login(t)
	parsed, err := broker.ParseToken(token)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.storeA.Session(t.Context(), parsed.Hash())
	if err != nil || s.Idle != 31*time.Minute || s.Expires.Sub(s.Created) != s.Idle {
		t.Fatalf("session %+v, %v", s, err)
	}
	for range 20 {
		for _, at := range []*running{p.a, p.b} {
			if got := at.refresh(t, token); got != "" {
				t.Fatal(got)
			}
		}
	}
	if a, b := p.storeA.touches.Load(), p.storeB.touches.Load(); a != 0 || b != 1 {
		t.Errorf("%d and %d calls for 20 requests each", a, b)
	}
	if now, err := p.storeA.Session(t.Context(), parsed.Hash()); err != nil || !now.Expires.Equal(s.Expires) {
		t.Errorf("written within a minute: %s, %s (%v)", s.Expires, now.Expires, err)
	}
}
