package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/broker"
)

// atOnce calls fn n times at once.
func atOnce(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

// pooled is a setup of one pool of n desktops.
func pooled(n int) broker.Setup {
	s := broker.Setup{DesktopPools: []broker.DesktopPool{{Name: "pool", Kind: broker.KindPooled, Check: "none"}}}
	for i := range n {
		s.Desktops = append(s.Desktops, broker.Desktop{Name: fmt.Sprintf("d%02d", i), Pool: "pool", Host: "h"})
	}
	return s.WithDefaults()
}

// rows counts the rows of the log, and deletes them.
func (b *bench) rows() int {
	b.t.Helper()
	return must(b.Purge(ctx(b.t), broker.Retention{Log: -time.Hour, Sessions: time.Hour}))(b.t).Log
}

// testOneSlotAtOnce lets two sessions of one user connect to one offer many times at once: he gets one
// desktop.
func testOneSlotAtOnce(t *testing.T, b *bench) {
	b.fill(pooled(20))
	handles := [2]Store{b.Store, b.handle()}
	one, offers := b.login("anna")
	two, _ := b.login("anna")
	sessions := [2]broker.Session{one, two}
	var got [12]string
	atOnce(len(got), func(i int) {
		c, err := handles[i/2%2].Connect(ctx(t), broker.ConnectRecord{Session: sessions[i%2], Offer: offers[0].ID, Log: b.row(broker.LogConnect)})
		if err != nil {
			t.Error(err)
		}
		got[i] = c.ID
	})
	for _, id := range got {
		if id != got[0] {
			t.Fatalf("two desktops for one offer: %v", got)
		}
	}
	released := 0
	for _, s := range sessions {
		released += must(b.Logout(ctx(t), s.ID, b.row(broker.LogLogout)))(t)
	}
	if released != 1 {
		t.Errorf("%d desktops were held", released)
	}
}

// testConnectKeyAtOnce sends one connect many times at once: one desktop, one log row.
func testConnectKeyAtOnce(t *testing.T, b *bench) {
	s := pooled(20)
	s.DesktopPools = append(s.DesktopPools, broker.DesktopPool{Name: "own", Kind: broker.KindAssigned})
	s.Desktops = append(s.Desktops, broker.Desktop{Name: "mine", Pool: "own", Host: "h"})
	s.Assignments = []broker.Assignment{{User: "anna", Desktop: "mine"}}
	b.fill(s.WithDefaults())
	handles := [2]Store{b.Store, b.handle()}
	in, offers := b.login("anna")
	b.rows()
	connect := func(i int, o broker.OfferID, key string) (broker.Candidate, error) {
		return handles[i%2].Connect(ctx(t), broker.ConnectRecord{Session: in, Offer: o, Key: key, KeyLife: time.Hour, Log: b.row(broker.LogConnect)})
	}
	for i, o := range offers {
		var got [12]string
		atOnce(len(got), func(j int) {
			c, err := connect(j, o.ID, fmt.Sprint("key", i))
			if err != nil {
				t.Error(err)
			}
			got[j] = c.ID
		})
		for _, id := range got {
			if id != got[0] {
				t.Errorf("two desktops for one key: %v", got)
			}
		}
		if n := b.rows(); n != 1 {
			t.Errorf("%d log rows of one connect to %s", n, o.Name)
		}
	}
	// One key for two offers at once: one of them is refused, and leaves nothing.
	var refused atomic.Int64
	atOnce(2, func(i int) {
		if _, err := connect(i, offers[i].ID, "both"); errors.Is(err, broker.ErrKeyReused) {
			refused.Add(1)
		} else if err != nil {
			t.Error(err)
		}
	})
	if n := b.rows(); n != 1 || refused.Load() != 1 {
		t.Errorf("%d log rows, %d refused", n, refused.Load())
	}
}

// testLogoutAgainstConnect ends sessions while they connect: no ended session keeps a desktop.
func testLogoutAgainstConnect(t *testing.T, b *bench) {
	const users = 15
	b.fill(pooled(users))
	handles := [2]Store{b.Store, b.handle()}
	atOnce(users, func(i int) {
		out, err := b.Login(ctx(t), b.record(fmt.Sprint("user", i)))
		if err != nil {
			t.Error(err)
			return
		}
		atOnce(2, func(j int) {
			var err error
			if j == 0 {
				_, err = handles[0].Logout(ctx(t), out.Session.ID, b.row(broker.LogLogout))
			} else {
				_, err = handles[1].Connect(ctx(t), broker.ConnectRecord{Session: *out.Session, Offer: out.Offers[0].ID, Log: b.row(broker.LogConnect)})
			}
			if err != nil && (j == 0 || !errors.Is(err, broker.ErrNotFound)) {
				t.Error(err)
			}
		})
	})
	in, offers := b.login("anna")
	if free := must(b.Candidates(ctx(t), in, offers[0].ID, users))(t); len(free) != users {
		t.Errorf("%d desktops are kept by ended sessions", users-len(free))
	}
}

// testLeasesAtOnce: a user's connects to two desktops, from many places, while others remove his leases:
// all succeed, and in the end there is one row of each.
func testLeasesAtOnce(t *testing.T, b *bench) {
	b.fill(twoOwn())
	s, offers := b.login("anna")
	handles := [2]Store{b.Store, b.handle()}
	terms := broker.LeaseTerms{Life: leaseLife}
	atOnce(24, func(i int) {
		var err error
		switch h := handles[i/2%2]; {
		case i%6 == 5:
			_, err = h.RemoveLeases(ctx(t), broker.LeaseFilter{User: "anna"}, b.row(broker.LogSetup))
		default:
			r := broker.ConnectRecord{Session: s, Offer: offers[i%2].ID, Log: b.row(broker.LogConnect), Lease: terms}
			r.Session.Grants = []broker.Grant{{Pool: fmt.Sprint("pool", i%3), MaxOffers: 1}} // so that all of them write
			_, err = h.Connect(ctx(t), r)
		}
		if err != nil {
			t.Error(err)
		}
	})
	for i := range 2 {
		must(b.launch(s, offers[i].ID, terms))(t)
	}
	if list := b.leases(broker.LeaseFilter{Removed: true}); len(list) != 3 {
		t.Errorf("leases %+v", list)
	}
	for _, l := range b.leases(broker.LeaseFilter{}) {
		if l.Kind == broker.LeaseEnumeration && !reflect.DeepEqual(l.Grants, s.Grants) || len(l.Desktops) != map[string]int{broker.LeaseEnumeration: 2, broker.LeaseLaunch: 1}[l.Kind] {
			t.Errorf("%+v", l)
		}
	}
}

// testSetupAgainstConnect changes all desktops again and again while users connect: every user gets
// one, and no two the same.
func testSetupAgainstConnect(t *testing.T, b *bench) {
	const users = 25
	s := pooled(users)
	b.fill(s)
	other := b.handle()
	over, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for version := int64(1); over.Err() == nil; version++ {
			for j := range s.Desktops {
				s.Desktops[j].Host = fmt.Sprint("h", version)
			}
			if _, err := other.ReplaceSetup(ctx(t), s, version, b.row(broker.LogSetup)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var taken sync.Map
	atOnce(users, func(i int) {
		out, err := b.Login(ctx(t), b.record(fmt.Sprint("user", i)))
		if err != nil {
			t.Error(err)
			return
		}
		c, err := b.connect(*out.Session, out.Offers[0].ID)
		if err != nil {
			t.Errorf("user %d: %v", i, err)
		} else if before, twice := taken.LoadOrStore(c.ID, i); twice {
			t.Errorf("%s was given to %d and %d", c.Name, before, i)
		}
	})
	stop()
	wg.Wait()
}

// testPoolMoves takes a claimed desktop to another pool, and makes its pool one of another kind.
func testPoolMoves(t *testing.T, b *bench) {
	start := func() broker.Setup {
		s := pooled(1)
		s.DesktopPools = append(s.DesktopPools, broker.DesktopPool{Name: "other", Kind: broker.KindPooled})
		return s.WithDefaults()
	}
	for _, tc := range []struct {
		name   string
		change func(*broker.Setup)
		claims int // a desktop that goes to another pool stays its user's: he works on it
	}{
		{"another pool", func(s *broker.Setup) { s.Desktops[0].Pool = "other" }, 1},
		{"another kind", func(s *broker.Setup) { s.DesktopPools[0].Kind = broker.KindAssigned }, 0},
		{"no pool", func(s *broker.Setup) { s.DesktopPools, s.Desktops = nil, nil }, 0},
	} {
		b.fill(start())
		in, offers := b.login("anna")
		if _, err := b.connect(in, offers[0].ID); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		s := start()
		tc.change(&s)
		b.fill(s)
		if n := must(b.Logout(ctx(t), in.ID, b.row(broker.LogLogout)))(t); n != tc.claims {
			t.Errorf("%s: %d claims", tc.name, n)
		}
	}
}
