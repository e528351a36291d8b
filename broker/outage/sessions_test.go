package outage

import (
	"errors"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
)

// TestSessionsInAnOutage: who was signed in still is, and who was not is not, whatever the files say.
func TestSessionsInAnOutage(t *testing.T) {
	w := newWorld(t)
	elsewhere, _, elsewhereHash, _ := w.login("carl")
	if _, err := w.primary.Logout(t.Context(), elsewhere.ID, row(broker.LogLogout, "carl")); err != nil { // by another broker
		t.Fatal(err)
	}
	r, usedHash := record("emil")
	r.NewSession.Idle = 6 * time.Second
	used, err := w.Login(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	here, _, hereHash, _ := w.login("dora")
	if _, err := w.cache.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.logout(here); err != nil {
		t.Fatal(err)
	}
	_, _, lateHash, _ := w.login("anna")
	eventually(t, "a part of his time is over", 10*time.Second, func() bool { return time.Until(used.Session.Expires) < time.Second })
	if err := w.TouchSession(t.Context(), used.Session.ID, 0); err != nil {
		t.Fatal(err)
	}
	if err := w.node.write(t.Context(), nothing, nil); err != nil { // the copies are written
		t.Fatal(err)
	}

	w.server.Kill()
	if err := w.SetForce(t.Context(), &mode.Force{On: true, By: "a test"}); err != nil {
		t.Fatal(err)
	}
	w.until(mode.HostCache, 10*time.Second)
	eventually(t, "the end that the cache knows has come", 5*time.Second, func() bool { return time.Now().After(used.Session.Expires) })
	if _, err := w.Session(t.Context(), usedHash); err != nil {
		t.Errorf("a session that was used after it was copied: %v", err)
	}
	if _, err := w.Session(t.Context(), lateHash); err != nil {
		t.Errorf("a session that was made after the copy: %v", err)
	}
	if _, err := w.Session(t.Context(), elsewhereHash); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a session that another broker has ended before the copy: %v", err)
	}
	if _, err := w.Session(t.Context(), hereHash); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a session that was ended here after the copy: %v", err)
	}
	w.repeatedLogin(t)
	w.foreignLogout(t)

	if err := w.SetForce(t.Context(), &mode.Force{By: "a test"}); err != nil {
		t.Fatal(err)
	}
	w.until(mode.Normal, 5*time.Second)
	late, _ := record("late")
	if _, err := w.Login(t.Context(), late); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("a login that was to be served by the database alone: %v", err)
	}
}

// repeatedLogin: the same key is the same session, also where the second request leads elsewhere.
func (w *world) repeatedLogin(t *testing.T) {
	t.Helper()
	r, hash := record("anna")
	r.Key, r.KeyMAC = "key", [32]byte{1}
	first, err := w.Login(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	before := w.node.unmerged()
	again := broker.LoginRecord{Who: r.Who, Key: r.Key, KeyMAC: r.KeyMAC, KeyLife: time.Hour, Redirect: "eu", Log: row(broker.LogRedirect, "anna")}
	out, err := w.Login(t.Context(), again)
	if err != nil || !out.Replayed || out.Session == nil || out.Session.ID != first.Session.ID {
		t.Errorf("the key repeated: %+v, %v", out, err)
	}
	if n := w.node.unmerged(); n != before {
		t.Errorf("it made %d acts", n-before)
	}
	if s, err := w.Session(t.Context(), hash); err != nil || s.ID != first.Session.ID {
		t.Errorf("its session: %+v, %v", s, err)
	}
	r.Ticket = "t"
	if _, err := w.Login(t.Context(), r); !errors.Is(err, broker.ErrTicketUsed) {
		t.Errorf("a ticket: %v", err)
	}
}

// foreignLogout ends a session that this broker has never heard of: no connect brings it back.
func (w *world) foreignLogout(t *testing.T) {
	t.Helper()
	r, _ := record("anna")
	s := r.NewSession.Session
	s.SiteID, s.Created, s.Expires = 2, time.Now(), time.Now().Add(time.Hour)
	if err := w.logout(s); err != nil {
		t.Fatal(err)
	}
	offers, err := w.Offers(t.Context(), broker.OfferQuery{Who: s.Who})
	if err != nil || len(offers) == 0 {
		t.Fatal(offers, err)
	}
	if c, err := w.connect(s, offers[0]); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a session that has ended got %+v, %v", c, err)
	}
}
