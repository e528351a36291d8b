package outage

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
)

// drill has a broker serve from its files while the database goes on, with what is in it by then.
func (w *world) drill(t *testing.T) {
	t.Helper()
	if _, err := w.cache.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.SetForce(t.Context(), &mode.Force{On: true, By: "a test"}); err != nil {
		t.Fatal(err)
	}
	w.until(mode.HostCache, 10*time.Second)
}

func (w *world) endDrill(t *testing.T) {
	t.Helper()
	if err := w.SetForce(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	w.until(mode.Normal, 30*time.Second)
	if n := w.node.unmerged(); n > 0 {
		t.Errorf("%d acts are left", n)
	}
}

// TestConnectsOfAnOutage: who comes back to his desktop in an outage with a new session holds it with that
// one afterwards, so that the end of the old one takes it from nobody.
func TestConnectsOfAnOutage(t *testing.T) {
	w := newWorld(t)
	before, offers, _, _ := w.login("carl")
	held, err := w.connect(before, offers[0])
	if err != nil {
		t.Fatal(err)
	}
	w.drill(t)
	during, offers, hash, _ := w.login("carl")
	log := row(broker.LogConnect, "carl")
	log.Session = during.ID
	r := broker.ConnectRecord{Session: during, Offer: offers[0].ID, Key: "k", KeyLife: time.Hour, Log: log}
	if c, err := w.Connect(t.Context(), r); err != nil || c.ID != held.ID {
		t.Fatalf("%+v, %v", c, err)
	}
	again := r
	again.Log = row(broker.LogConnect, "carl")
	if c, err := w.Connect(t.Context(), again); err != nil || c.ID != held.ID {
		t.Errorf("its key repeated: %+v, %v", c, err)
	}
	w.endDrill(t)
	if got, err := w.primary.LogByRef(t.Context(), log.Ref); err != nil || got.Kind != broker.LogConnect || got.Desktop != held.Name || got.Session != during.ID {
		t.Errorf("log row %+v, %v", got, err)
	}
	if _, err := w.primary.LogByRef(t.Context(), again.Log.Ref); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("its key repeated has a row: %v", err)
	}
	if n, err := w.primary.Logout(t.Context(), before.ID, row(broker.LogLogout, "carl")); err != nil || n != 0 {
		t.Errorf("the end of his session from before released %d, %v", n, err)
	}
	after := r
	after.Log = row(broker.LogConnect, "carl")
	if c, err := w.Connect(t.Context(), after); err != nil || c.ID != held.ID {
		t.Errorf("its key repeated afterwards: %+v, %v", c, err)
	}
	if s, err := w.primary.Session(t.Context(), hash); err != nil || s.ID != during.ID {
		t.Fatal(s, err)
	}
	if n, err := w.primary.Logout(t.Context(), during.ID, row(broker.LogLogout, "carl")); err != nil || n != 1 {
		t.Errorf("the end of his new session released %d, %v", n, err)
	}
}

// TestConnectConflict: a desktop that a broker with the database gave to somebody else meanwhile stays his;
// what was done here is set aside, and told.
func TestConnectConflict(t *testing.T) {
	w := newWorld(t)
	before, offers, _, _ := w.login("carl")
	held, err := w.connect(before, offers[0])
	if err != nil {
		t.Fatal(err)
	}
	w.drill(t)
	if n, err := w.primary.Logout(t.Context(), before.ID, row(broker.LogLogout, "carl")); err != nil || n != 1 { // by another broker
		t.Fatal(n, err)
	}
	dora, _ := record("dora")
	out, err := w.primary.Login(t.Context(), dora)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.primary.Connect(t.Context(), broker.ConnectRecord{Session: *out.Session, Offer: out.Offers[0].ID, Desktop: held.ID, Log: row(broker.LogConnect, "dora")}); err != nil {
		t.Fatal(err)
	}
	during, offers, _, _ := w.login("carl")
	log := row(broker.LogConnect, "carl")
	log.Session = during.ID
	if c, err := w.Connect(t.Context(), broker.ConnectRecord{Session: during, Offer: offers[0].ID, Log: log}); err != nil || c.ID != held.ID {
		t.Fatalf("%+v, %v", c, err)
	}
	w.endDrill(t)
	if st, err := w.Status(t.Context()); err != nil || st.Refused != 1 || len(st.Aside) != 1 || !strings.Contains(st.Aside[0].Why, "desktop "+held.Name+" was given to dora") {
		t.Errorf("status %+v, %v", st, err)
	}
	if got, err := w.primary.LogByRef(t.Context(), log.Ref); err != nil || len(got.Reason) == 0 || !strings.Contains(got.Reason[len(got.Reason)-1], "not merged") {
		t.Errorf("log row %+v, %v", got, err)
	}
	if n, err := w.primary.Logout(t.Context(), out.Session.ID, row(broker.LogLogout, "dora")); err != nil || n != 1 {
		t.Errorf("her sign-out released %d, %v", n, err)
	}
}

// TestNoReleaseBeforeTheMerge: no desktop of an expired session is given back while the database may not
// know that the session was used.
func TestNoReleaseBeforeTheMerge(t *testing.T) {
	var other atomic.Pointer[Peer]
	other.Store(&Peer{Name: "c", Mode: mode.Normal})
	server := startServer(t)
	w := newWorldWith(t, &world{server: server, dsn: server.DSN, change: func(o *Options) {
		o.AskPeers = func(context.Context) []Peer { return []Peer{*other.Load()} }
	}})
	r, hash := record("carl")
	r.NewSession.Idle = 2 * time.Second
	out, err := w.Login(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.connect(*out.Session, out.Offers[0]); err != nil {
		t.Fatal(err)
	}
	w.drill(t)
	for began := time.Now(); time.Since(began) < 2500*time.Millisecond; time.Sleep(100 * time.Millisecond) { // he goes on to use it
		if err := w.TouchSession(t.Context(), out.Session.ID, 0); err != nil {
			t.Fatal(err)
		}
	}
	released := func(want int, while string) {
		t.Helper()
		if n, more, err := w.ReleaseExpired(t.Context()); err != nil || n != want || more {
			t.Errorf("%s: released %d, %v", while, n, err)
		}
		if want == 0 {
			if p, err := w.Purge(t.Context(), broker.Retention{Log: time.Hour, Sessions: time.Hour}); err != nil || p.Released != 0 {
				t.Errorf("%s: purged %+v, %v", while, p, err)
			}
		}
	}
	released(0, "in the outage")
	if err := w.SetForce(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	w.until(mode.Normal, 30*time.Second)
	released(0, "right after it")
	if _, err := w.primary.Session(t.Context(), hash); err != nil && time.Now().Before(out.Session.Expires) {
		t.Errorf("the session that was used: %v", err)
	}
	eventually(t, "it has expired in the end", 10*time.Second, func() bool {
		_, err := w.primary.Session(t.Context(), hash)
		return errors.Is(err, broker.ErrNotFound)
	})
	longAgo := w.State()
	longAgo.Since = longAgo.Since.Add(-settleFor)
	w.turn.Lock()
	w.state.Store(&longAgo)
	w.turn.Unlock()
	other.Store(&Peer{Name: "c", Mode: mode.Recovering})
	released(0, "while another broker merges")
	other.Store(&Peer{Name: "c", Mode: mode.Draining, Unmerged: 1})
	released(0, "while another broker has acts to hand over")
	other.Store(&Peer{Name: "c", Mode: mode.Draining})
	released(1, "when all is merged")
}
