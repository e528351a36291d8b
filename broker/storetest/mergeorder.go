package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/broker"
)

// testMergeAnyOrder: the journal of a broker leaves the same behind in whatever batches it is merged, how
// often any of them is merged again because its answer was lost, and whenever the journal of another
// broker, whose sessions are in it, is merged.
func testMergeAnyOrder(t *testing.T, b *bench) {
	s := broker.Setup{DesktopPools: []broker.DesktopPool{{Name: "straight", Kind: broker.KindPooled, Check: "none"}, {Name: "broken", Kind: broker.KindPooled, Check: "none"}}}
	for _, p := range s.DesktopPools {
		for i := range mergeUsers {
			s.Desktops = append(s.Desktops, broker.Desktop{Name: fmt.Sprintf("%s-%d", p.Name, i), Pool: p.Name, Host: "h"})
		}
	}
	b.fill(s.WithDefaults())
	histories := 0
	rapid.Check(t, func(r *rapid.T) {
		histories++
		worlds := [2]*mergeWorld{b.mergeWorld(histories, "straight"), b.mergeWorld(histories, "broken")}
		defer worlds[0].end()
		defer worlds[1].end()
		n := rapid.IntRange(1, 16).Draw(r, "acts")
		for i := range n {
			what, user, which := rapid.IntRange(0, 6).Draw(r, "what"), rapid.IntRange(0, mergeUsers-1).Draw(r, "user"), rapid.IntRange(0, 5).Draw(r, "session")
			keyed := rapid.Bool().Draw(r, "keyed")
			for _, w := range worlds {
				w.act(i, what, user, which, keyed)
			}
		}
		straight, broken := worlds[0], worlds[1]
		straight.merge(straight.theirs...)
		straight.merge(straight.ours...)
		theirs := rapid.IntRange(0, n).Draw(r, "theirs after")
		for at, merged := 0, false; at < len(broken.ours) || !merged; {
			if !merged && at >= min(theirs, len(broken.ours)) {
				broken.merge(broken.theirs...)
				merged = true
				continue
			}
			size := rapid.IntRange(1, len(broken.ours)-at).Draw(r, "batch")
			broken.merge(broken.ours[at : at+size]...)
			if !rapid.Bool().Draw(r, "answer lost") {
				at += size
			}
		}
		want, got := straight.left(), broken.left()
		if !slices.Equal(want, got) {
			r.Fatalf("merged in one go:\n%q\nin pieces:\n%q", want, got)
		}
	})
}

// mergeUsers have a desktop each in each world.
const mergeUsers = 3

// mergeWorld is one of two copies of a history: the same acts of other users on other desktops.
type mergeWorld struct {
	*bench
	began        time.Time
	users        [mergeUsers]mergeUser
	hashes       map[string][32]byte // by session
	ours, theirs []broker.Act        // the journals of two brokers
	names        map[string]string   // what ids are called in both worlds
	keys         map[string]bool
	foreign      map[string]bool // the sessions of theirs
}

type mergeUser struct {
	sessions []broker.Session // the first is from before the outage
	offer    broker.OfferID
	desktop  broker.Candidate
}

// mergeWorld signs the users in and connects them.
func (b *bench) mergeWorld(history int, pool string) *mergeWorld {
	w := &mergeWorld{
		bench: b, began: time.Now().UTC().Add(-4 * time.Minute).Truncate(time.Millisecond), hashes: make(map[string][32]byte),
		names: make(map[string]string), keys: make(map[string]bool), foreign: make(map[string]bool),
	}
	for i := range w.users {
		in := w.signIn(i, w.began.Add(-time.Minute), fmt.Sprintf("%s-%d-%d", pool, history, i), pool)
		w.merge(in)
		u := &w.users[i]
		offers := must(b.Offers(ctx(b.t), broker.OfferQuery{Who: in.Session.Who, Grants: in.Session.Grants}))(b.t)
		u.offer = offers[0].ID
		u.desktop = must(b.connect(*in.Session, u.offer))(b.t)
	}
	return w
}

func (w *mergeWorld) signIn(user int, at time.Time, name, pool string) broker.Act {
	_, in := w.signedIn(name, at)
	in.Session.Grants, in.Log.Who = []broker.Grant{{Pool: pool, MaxOffers: 1}}, in.Session.Who
	u := &w.users[user]
	w.names[in.Session.ID] = fmt.Sprintf("session %d of user %d", len(u.sessions), user)
	w.hashes[in.Session.ID] = [32]byte(in.TokenHash)
	u.sessions = append(u.sessions, *in.Session)
	return in
}

// act adds one to a journal; at is its place in time.
func (w *mergeWorld) act(at, what, user, which int, keyed bool) {
	u := &w.users[user]
	s := u.sessions[which%len(u.sessions)]
	a := broker.Act{At: w.began.Add(time.Duration(at) * time.Second), SessionID: s.ID}
	row := w.row(broker.LogConnect)
	row.Who, row.Session = s.Who, s.ID
	switch what {
	case 0, 1:
		a = w.signIn(user, a.At, s.User, s.Grants[0].Pool)
		if what == 1 {
			w.theirs, w.foreign[a.Session.ID] = append(w.theirs, a), true
			return
		}
	case 2, 3:
		row.Desktop = u.desktop.Name
		a.Kind, a.SessionID, a.Session, a.Offer, a.Desktop, a.Log = broker.ActConnect, "", &s, u.offer, u.desktop.ID, &row
		if keyed {
			a.Key, a.KeyLife = "the key", time.Hour
			if w.keys[s.ID] { // repeated
				a.Log = nil
			}
			w.keys[s.ID] = true
		}
	case 4:
		if w.foreign[s.ID] { // the broker that made it is asked, and notes the use
			return
		}
		a.Kind = broker.ActUse
	default:
		row.Kind = broker.LogLogout
		a.Kind, a.Log = broker.ActLogout, &row
		if what == 6 {
			w.theirs = append(w.theirs, a)
			return
		}
	}
	w.ours = append(w.ours, a)
}

// end signs everybody out, also after a history that was broken off.
func (w *mergeWorld) end() {
	for _, u := range w.users {
		for _, s := range u.sessions {
			_, _ = w.Logout(context.WithoutCancel(w.t.Context()), s.ID, w.row(broker.LogLogout)) // most have ended
		}
	}
}

// left is all that can be told of the database, in words that do not depend on the world.
func (w *mergeWorld) left() []string {
	w.t.Helper()
	var out []string
	for _, a := range slices.Concat(w.ours, w.theirs) {
		if a.Log != nil {
			row := must(w.LogByRef(ctx(w.t), a.Log.Ref))(w.t)
			out = append(out, fmt.Sprint("log ", row.Kind, row.At.Sub(w.began), w.names[row.Session], row.Desktop != ""))
		}
	}
	offered := func() {
		for i, u := range w.users {
			for _, o := range must(w.Offers(ctx(w.t), broker.OfferQuery{Who: u.sessions[0].Who, Grants: u.sessions[0].Grants}))(w.t) {
				out = append(out, fmt.Sprint("user ", i, o.State, o.Name == u.desktop.Name))
			}
		}
	}
	offered()
	for _, u := range w.users {
		for _, s := range u.sessions {
			found, err := w.Session(ctx(w.t), w.hashes[s.ID])
			out = append(out, fmt.Sprint(w.names[s.ID], w.names[found.ID], err != nil, found.Created.Sub(w.began), found.Expires.Sub(w.began), len(found.Grants)))
			n, err := w.Logout(ctx(w.t), s.ID, w.row(broker.LogLogout))
			out = append(out, fmt.Sprint("its end", n, err != nil))
		}
	}
	offered()
	return out
}
