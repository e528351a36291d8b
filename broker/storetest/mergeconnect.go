package storetest

import (
	"errors"
	"testing"
	"time"

	"switchpoint/broker"
)

// connected is the act of a connect that the store has not seen, a minute ago.
func (b *bench) connected(s broker.Session, o broker.OfferID, c broker.Candidate) broker.Act {
	row := b.row(broker.LogConnect)
	row.Who, row.Session, row.Desktop = s.Who, s.ID, c.Name
	return broker.Act{Kind: broker.ActConnect, At: time.Now().Add(-time.Minute), Session: &s, Offer: o, Desktop: c.ID, Log: &row}
}

func (b *bench) merge(acts ...broker.Act) {
	b.t.Helper()
	if err := b.MergeActs(ctx(b.t), acts); err != nil {
		b.t.Fatal(err)
	}
}

// released ends a session and says how many desktops that gives back.
func (b *bench) released(s broker.Session) int {
	b.t.Helper()
	return must(b.Logout(ctx(b.t), s.ID, b.row(broker.LogLogout)))(b.t)
}

// testMergeConnect: who came back to his desktop without the database holds it afterwards, and the end of
// the session from before does not take it from him.
func testMergeConnect(t *testing.T, b *bench) {
	b.fill(setup())
	_, in := b.signedIn("carl", time.Now().Add(-3*time.Minute))
	b.merge(in)
	before := *in.Session
	offer := must(b.Offers(ctx(t), broker.OfferQuery{Who: before.Who, Grants: before.Grants}))(t)[0].ID
	held := must(b.connect(before, offer))(t)
	_, in = b.signedIn("carl", time.Now().Add(-2*time.Minute))
	during := *in.Session
	back := b.connected(during, offer, held)
	back.Key, back.KeyLife = "k", time.Hour
	b.merge(in, back)
	if n := b.released(before); n != 0 {
		t.Errorf("the end of the session from before released %d", n)
	}
	if row := must(b.LogByRef(ctx(t), back.Log.Ref))(t); row.Desktop != held.Name || row.Session != during.ID || row.Kind != broker.LogConnect {
		t.Errorf("merged log row %+v", row)
	}
	again := broker.ConnectRecord{Session: during, Offer: offer, Key: "k", KeyLife: time.Hour, Log: b.row(broker.LogConnect)}
	if c := must(b.Connect(ctx(t), again))(t); c.ID != held.ID {
		t.Errorf("its key repeated gave %+v", c)
	}
	if _, err := b.LogByRef(ctx(t), again.Log.Ref); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("its key repeated is another connect: %v", err)
	}
	if n := b.released(during); n != 1 {
		t.Errorf("his sign-out released %d", n)
	}
	b.merge(in, back) // once more, late
	if free := must(b.Candidates(ctx(t), before, offer, 3))(t); len(free) != 2 {
		t.Errorf("merged once more, it took the desktop again: %+v", free)
	}
}

// testMergeConnectAgain: a desktop that was released while its user worked on it is his again, and what
// is somebody else's by then stays so.
func testMergeConnectAgain(t *testing.T, b *bench) {
	b.fill(setup())
	carl, offers := b.login("carl")
	offer := offers[0].ID
	first := must(b.connect(carl, offer))(t)
	_, in := b.signedIn("carl", time.Now().Add(-2*time.Minute))
	if b.released(carl) != 1 {
		t.Fatal("it is not free")
	}
	b.merge(in, b.connected(*in.Session, offer, first))
	if _, offers := b.login("carl"); offers[0].State != broker.OfferRunning || offers[0].Name != first.Name {
		t.Errorf("offers %+v", offers)
	}
	if b.released(*in.Session) != 1 {
		t.Error("the session of the outage does not hold it")
	}

	dora, offers := b.login("dora")
	r := broker.ConnectRecord{Session: dora, Offer: offers[0].ID, Desktop: first.ID, Log: b.row(broker.LogConnect)}
	must(b.Connect(ctx(t), r))(t)
	_, in = b.signedIn("carl", time.Now().Add(-2*time.Minute))
	late := b.connected(*in.Session, offer, first)
	b.merge(in)
	if err := b.MergeActs(ctx(t), []broker.Act{late}); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a desktop of somebody else: %v", err)
	}
	if _, err := b.LogByRef(ctx(t), late.Log.Ref); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a part of it was merged: %v", err)
	}
	if other := must(b.connect(*in.Session, offer))(t); other.ID == first.ID {
		t.Error("it was given to two")
	}
	if b.released(dora) != 1 {
		t.Error("it was taken from its user")
	}
	late = b.connected(*in.Session, offer, first)
	if err := b.MergeActs(ctx(t), []broker.Act{late}); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a second desktop in one place: %v", err)
	}
	b.merge(broker.Act{Kind: broker.ActLogout, At: time.Now(), SessionID: in.Session.ID}, late) // nobody is left who could miss it
}

// testMergeConnectFirst: a connect is merged before the session that another broker made, which is whole
// afterwards; before, no token opens it.
func testMergeConnectFirst(t *testing.T, b *bench) {
	b.fill(setup())
	before, offers := b.login("carl")
	held := must(b.connect(before, offers[0].ID))(t)
	_, in := b.signedIn("carl", time.Now().Add(-2*time.Minute))
	known := *in.Session
	known.Grants = nil
	act := b.connected(known, offers[0].ID, held)
	act.At = time.Now()
	b.merge(act)
	hash := broker.AdoptedHash(known.ID)
	if s, err := b.Session(ctx(t), [32]byte(in.TokenHash)); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a session that its broker has not merged: %+v, %v", s, err)
	}
	b.merge(in, act)
	if s := must(b.Session(ctx(t), [32]byte(in.TokenHash)))(t); s.ID != known.ID || len(s.Grants) != 1 {
		t.Errorf("the session, whole: %+v", s)
	}
	if _, err := b.Session(ctx(t), hash); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("it has two tokens: %v", err)
	}
	if b.released(before) != 0 || b.released(known) != 1 {
		t.Error("the session of the outage does not hold the desktop")
	}
}

// testMergeConnectOwn: a desktop of the user's own has no claim, only its log row and its key.
func testMergeConnectOwn(t *testing.T, b *bench) {
	b.fill(setup())
	_, in := b.signedIn("anna", time.Now().Add(-2*time.Minute))
	b.merge(in)
	s := *in.Session
	offer := must(b.Offers(ctx(t), broker.OfferQuery{Who: s.Who, Grants: s.Grants}))(t)[0].ID
	own := must(b.Candidates(ctx(t), s, offer, 1))(t)[0]
	act := b.connected(s, offer, own)
	act.Key, act.KeyLife = "k", time.Hour
	b.merge(act, act)
	if row := must(b.LogByRef(ctx(t), act.Log.Ref))(t); row.Desktop != "own-1" {
		t.Errorf("merged log row %+v", row)
	}
	r := broker.ConnectRecord{Session: s, Offer: broker.OfferID{Pool: offer.Desktop, Slot: 1}, Key: "k", Log: b.row(broker.LogConnect)}
	if _, err := b.Connect(ctx(t), r); !errors.Is(err, broker.ErrKeyReused) {
		t.Errorf("its key for another desktop: %v", err)
	}
	if err := b.MergeActs(ctx(t), []broker.Act{{Kind: broker.ActConnect, At: time.Now()}}); err == nil || errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("a connect without a session: %v", err)
	}
}
