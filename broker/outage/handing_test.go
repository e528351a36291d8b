package outage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
	"switchpoint/broker/sqlite"
)

// handing is a broker that alone loses its database, beside one that does not.
type handing struct {
	*world
	other  *world
	closed atomic.Bool // the other one cannot be handed anything
	lost   atomic.Int32
}

func newHanding(t *testing.T) *handing {
	server, p := startServer(t), &peers{}
	h := &handing{other: newWorldWith(t, &world{server: server, dsn: server.DSN, site: 2, change: p.of("c", nil)})}
	h.world = newWorldWith(t, &world{server: server, dsn: server.DSN, cable: newCable(t, server.Addr), change: func(o *Options) {
		p.of("b", nil)(o)
		o.HandOver = func(ctx context.Context, name string, a Handed) (Taken, error) {
			if h.closed.Load() || name != "c" {
				return Taken{}, errors.New("it does not answer")
			}
			out, err := h.other.TakeActs(ctx, a)
			if h.lost.Add(-1) >= 0 {
				return Taken{}, errors.New("the answer is lost")
			}
			return out, err
		}
	}})
	p.add("c", h.other.Store)
	p.add("b", h.world.Store)
	for _, w := range []*world{h.world, h.other} {
		w.until(mode.Normal, 10*time.Second)
		if _, err := w.cache.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// TestHandOver: what a broker has done in the moment before it stepped aside is in the database soon, though
// it never gets it back itself; merged once, although answers were lost.
func TestHandOver(t *testing.T) {
	h := newHanding(t)
	before, offers, _, _ := h.login("carl")
	held, err := h.connect(before, offers[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.cache.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.lost.Store(2)
	bad, _ := record("dora")
	bad.NewSession.ID = "no id at all"
	h.cable.sever()
	during, offers, hash, _ := h.login("carl")
	if h.node.unmerged() == 0 {
		t.Fatal("the database was there")
	}
	// While the mode still says normal, calls are served from the files.
	if c, err := h.connect(during, offers[0]); err == nil && c.ID != held.ID {
		t.Errorf("connected to %+v", c)
	}
	if err := h.node.journal(t.Context(), sessionAct(bad, bad.NewSession.Session)); err != nil {
		t.Fatal(err)
	}
	h.until(mode.Draining, 10*time.Second)
	eventually(t, "all is handed over", 30*time.Second, func() bool { return h.node.unmerged() == 0 })
	if s, err := h.other.primary.Session(t.Context(), hash); err != nil || s.ID != during.ID {
		t.Errorf("the session of the moment: %+v, %v", s, err)
	}
	st, err := h.Status(t.Context())
	if err != nil || st.Refused != 1 || len(st.Aside) != 1 || st.Aside[0].Kind != broker.ActSession || !strings.Contains(st.Aside[0].Why, "uuid") || st.Handed < 1 {
		t.Errorf("status %+v, %v", st, err)
	}
	if theirs, err := h.other.Status(t.Context()); err != nil || theirs.Taken < st.Handed {
		t.Errorf("the other one has taken %d acts, %v", theirs.Taken, err)
	}
	h.stop() // it dies as it is, and the user goes on
	if n, err := h.other.Logout(t.Context(), during.ID, row(broker.LogLogout, "carl")); err != nil {
		t.Errorf("his sign-out: %d, %v", n, err)
	}
}

// TestHandOverWaits: as long as nobody takes it, the journal keeps it, and says so to whoever asks for the
// session.
func TestHandOverWaits(t *testing.T) {
	h := newHanding(t)
	h.closed.Store(true)
	_, _, known, _ := h.login("anna")
	h.cable.sever()
	r, hash := record("carl")
	r.NewSession.Idle = time.Minute
	out, err := h.Login(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	h.until(mode.Draining, 10*time.Second)
	s, acts, err := h.Unmerged(t.Context(), hash)
	if err != nil || s == nil || s.ID != out.Session.ID || len(acts) != 1 {
		t.Fatalf("%+v, %d acts, %v", s, len(acts), err)
	}
	if s, acts, err := h.Unmerged(t.Context(), known); s != nil || acts != nil || err != nil {
		t.Errorf("a session of the database: %+v, %d acts, %v", s, len(acts), err)
	}
	if err := h.other.MergeActs(t.Context(), acts); err != nil {
		t.Fatal(err)
	}
	if s, err := h.other.Session(t.Context(), hash); err != nil || s.ID != out.Session.ID {
		t.Errorf("at the other broker: %+v, %v", s, err)
	}
	if h.node.unmerged() == 0 {
		t.Error("the journal is empty, though nobody took it")
	}
	h.NoteEnd(out.Session.ID)
	if s, acts, err := h.Unmerged(t.Context(), hash); s != nil || acts != nil || err != nil {
		t.Errorf("signed out elsewhere: %+v, %d acts, %v", s, len(acts), err)
	}
	h.cable.heal()
	h.until(mode.Normal, 30*time.Second)
	if s, acts, err := h.Unmerged(t.Context(), hash); s != nil || acts != nil || err != nil || h.node.unmerged() > 0 {
		t.Errorf("merged: %+v, %d acts, %v", s, len(acts), err)
	}
}

// TestTakeActs: a broker that has not got the database takes nothing, and nobody has it merge without a bound.
func TestTakeActs(t *testing.T) {
	w := newWorld(t)
	w.until(mode.Normal, 10*time.Second)
	if out, err := w.TakeActs(t.Context(), Handed{}); err != nil || out.Merged != 0 {
		t.Errorf("nothing: %+v, %v", out, err)
	}
	if _, err := w.TakeActs(t.Context(), Handed{Acts: make([]broker.Act, handMost+1)}); err == nil || errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("too many: %v", err)
	}
	if _, err := w.cache.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.SetForce(t.Context(), &mode.Force{On: true, By: "a test"}); err != nil {
		t.Fatal(err)
	}
	w.until(mode.HostCache, 10*time.Second)
	if _, err := w.TakeActs(t.Context(), Handed{Acts: make([]broker.Act, 1)}); !errors.Is(err, ErrNotNormal) {
		t.Errorf("in an outage: %v", err)
	}
}

func TestBatchable(t *testing.T) {
	long := entry{text: make([]byte, batchBytes+1)}
	short := entry{text: make([]byte, batchBytes/2)}
	unreadable := entry{err: errors.New("half an act")}
	for _, tc := range []struct {
		name string
		list []entry
		want int
	}{
		{"all", []entry{short, short}, 2},
		{"too much", []entry{short, short, short}, 2},
		{"one too long", []entry{long, short}, 1},
		{"before one too long", []entry{short, long}, 1},
		{"unreadable", []entry{unreadable, short}, 0},
		{"before an unreadable one", []entry{short, unreadable}, 1},
	} {
		if got := batchable(tc.list); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

// TestInHalves: what is never taken is found, the others keep their order, and what cannot be given now ends
// it with nothing done that was not given.
func TestInHalves(t *testing.T) {
	var done, refused []int
	away := false
	run := func(n int) error {
		list := make([]int, n)
		for i := range list {
			list[i] = i
		}
		done, refused = nil, nil
		return inHalves(list, func(few []int) error {
			switch {
			case away && slices.Contains(few, 6):
				return fmt.Errorf("merge: %w", broker.ErrUnavailable)
			case slices.ContainsFunc(few, func(i int) bool { return i%5 == 3 }):
				return errors.New("never")
			}
			return nil
		}, func(few []int) error { done = append(done, few...); return nil }, func(i int, _ error) error { refused = append(refused, i); return nil })
	}
	if err := run(10); err != nil || !slices.Equal(done, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) || !slices.Equal(refused, []int{3, 8}) {
		t.Errorf("done %v, refused %v, %v", done, refused, err)
	}
	away = true
	if err := run(10); !errors.Is(err, broker.ErrUnavailable) || slices.Contains(done, 6) || !slices.IsSorted(done) {
		t.Errorf("done %v, refused %v, %v", done, refused, err)
	}
}

// FuzzHanded: whatever another broker hands over, a store takes it or says why not.
func FuzzHanded(f *testing.F) {
	for _, seed := range []string{
		`{"acts": []}`, `{"acts": [{}]}`, `{"acts": [{"kind": "session"}, {"kind": "connect"}, {"kind": "use"}, {"kind": "logout"}, {"kind": "operator"}, {"kind": "log"}]}`,
		`{"acts": [{"kind": "session", "at": "2026-03-02T09:00:00Z", "session": {"ID": "s", "User": "anna"}, "token_hash": "AAAA", "key": "k", "log": {"ID": "l"}}]}`,
		`{"acts": [{"kind": "connect", "at": "0001-01-01T00:00:00Z", "session": {"ID": "s", "Grants": [{}]}, "offer": {"Pool": "p", "Slot": -1}, "desktop": "d", "key": "k", "log": {"ID": "l"}}]}`,
		`{"acts": [{"kind": "logout", "at": "9999-12-31T23:59:59Z", "session_id": "s", "log": {"ID": "\u0000"}}]}`,
	} {
		f.Add([]byte(seed))
	}
	store, err := sqlite.Open(f.Context(), filepath.Join(f.TempDir(), "broker.db"), sqlite.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { store.Close() })
	f.Fuzz(func(t *testing.T, text []byte) {
		var h Handed
		if json.Unmarshal(text, &h) != nil || len(h.Acts) == 0 || len(h.Acts) > handMost {
			return
		}
		if err := store.MergeActs(t.Context(), h.Acts); errors.Is(err, broker.ErrUnavailable) {
			t.Error(err)
		}
	})
}
