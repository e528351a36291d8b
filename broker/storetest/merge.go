package storetest

import (
	"errors"
	"testing"
	"time"

	"switchpoint/broker"
)

// signedIn is the act of a sign-in that the store has not seen.
func (b *bench) signedIn(user string, at time.Time) (broker.LoginRecord, broker.Act) {
	r := b.record(user)
	r.Key, r.KeyMAC = "key of "+r.NewSession.ID, [32]byte{1, 2, 3}
	s := r.NewSession.Session
	s.Created, s.Expires, s.Idle = at, at.Add(10*time.Minute), 10*time.Minute
	return r, broker.Act{
		Kind: broker.ActSession, At: at, Session: &s, TokenHash: r.NewSession.TokenHash[:], Ends: at.Add(time.Hour),
		Key: r.Key, KeyMAC: r.KeyMAC[:], KeyLife: time.Hour, Log: &r.Log,
	}
}

// testMergeActs: what was done elsewhere is there afterwards, once, however often it is merged.
func testMergeActs(t *testing.T, b *bench) {
	b.fill(setup())
	now := time.Now().UTC().Truncate(time.Millisecond)
	begun := now.Add(-5 * time.Minute)
	r, in := b.signedIn("anna", begun)
	in.Log.Reason = []string{"host cache", `a "quote", a \u0000 and a NUL` + "\x00"}
	used := broker.Act{Kind: broker.ActUse, At: now.Add(-time.Minute), SessionID: in.Session.ID}
	connect := b.row(broker.LogConnect)
	connect.Who, connect.Session, connect.Desktop = in.Session.Who, in.Session.ID, "anna-pc"
	connected := broker.Act{Kind: broker.ActLog, At: now.Add(-time.Minute), Log: &connect}
	for range 2 {
		if err := b.handle().MergeActs(ctx(t), []broker.Act{in, used, connected}); err != nil {
			t.Fatal(err)
		}
	}
	got := must(b.Session(ctx(t), r.NewSession.TokenHash))(t)
	want := *in.Session
	want.Expires = used.At.Add(want.Idle)
	if got.ID != want.ID || got.Who != want.Who || !got.Created.Equal(want.Created) || !got.Expires.Equal(want.Expires) || len(got.Grants) != 1 {
		t.Errorf("merged session\n got %+v\nwant %+v", got, want)
	}
	row := must(b.LogByRef(ctx(t), in.Log.Ref))(t)
	if !row.At.Equal(begun) || len(row.Reason) != 2 || row.Session != want.ID {
		t.Errorf("merged log row: %+v", row)
	}
	if row := must(b.LogByRef(ctx(t), connect.Ref))(t); row.Desktop != "anna-pc" {
		t.Errorf("merged log row: %+v", row)
	}
	// The same request once more is the same login.
	again := b.record("anna")
	again.Key, again.KeyMAC = r.Key, r.KeyMAC
	if out := must(b.Login(ctx(t), again))(t); !out.Replayed || out.Session == nil || out.Session.ID != want.ID {
		t.Errorf("its key repeated gave %+v", out)
	}
}

// testMergeLogout: a session that was ended gives back what it held, also one from before the outage.
func testMergeLogout(t *testing.T, b *bench) {
	b.fill(setup())
	before, offers := b.login("carl")
	held := must(b.connect(before, offers[0].ID))(t)
	out := b.row(broker.LogLogout)
	_, in := b.signedIn("carl", time.Now().Add(-time.Minute))
	short := broker.Act{Kind: broker.ActLogout, At: time.Now(), SessionID: in.Session.ID}
	acts := []broker.Act{{Kind: broker.ActLogout, At: time.Now(), SessionID: before.ID, Log: &out}, in, short}
	for range 2 {
		if err := b.MergeActs(ctx(t), acts); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Session(ctx(t), [32]byte(in.TokenHash)); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a session that began and ended in the outage runs: %v", err)
	}
	if n, err := b.Logout(ctx(t), before.ID, b.row(broker.LogLogout)); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a session that ended in the outage runs: %d, %v", n, err)
	}
	if _, offers = b.login("carl"); offers[0].State == broker.OfferRunning {
		t.Errorf("%s is still held: %+v", held.Name, offers[0])
	}
}

// testMergeLogoutFirst: a session that ended at another broker than the one that made it stays so,
// whichever of them merges first.
func testMergeLogoutFirst(t *testing.T, b *bench) {
	b.fill(setup())
	_, in := b.signedIn("carl", time.Now().Add(-time.Minute))
	row := b.row(broker.LogLogout)
	row.Who = in.Session.Who
	out := broker.Act{Kind: broker.ActLogout, At: time.Now(), SessionID: in.Session.ID, Log: &row}
	for _, acts := range [][]broker.Act{{out}, {in}, {in, out}} {
		if err := b.MergeActs(ctx(t), acts); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Session(ctx(t), [32]byte(in.TokenHash)); !errors.Is(err, broker.ErrNotFound) {
			t.Fatalf("the session runs: %v", err)
		}
	}
	if err := b.MergeActs(ctx(t), []broker.Act{{Kind: broker.ActSession, At: time.Now()}}); err == nil || errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("an act without its session: %v", err)
	}
}

// testMergeClock: a broker whose clock is ahead makes no rows of the future, and no session of its
// lasts longer for it.
func testMergeClock(t *testing.T, b *bench) {
	b.fill(setup())
	_, in := b.signedIn("anna", time.Now().Add(time.Hour))
	if err := b.MergeActs(ctx(t), []broker.Act{in}); err != nil {
		t.Fatal(err)
	}
	s := must(b.Session(ctx(t), [32]byte(in.TokenHash)))(t)
	if ahead := time.Until(s.Created); ahead > time.Minute || s.Expires.Sub(s.Created) != 10*time.Minute {
		t.Errorf("a session of a clock that is an hour ahead: %+v", s)
	}
	if row := must(b.LogByRef(ctx(t), in.Log.Ref))(t); time.Until(row.At) > time.Minute {
		t.Errorf("a log row of the future: %s", row.At)
	}
}
