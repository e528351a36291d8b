package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/broker"
)

func unavailable(err error) bool { return errors.Is(err, broker.ErrUnavailable) }

// atOnce calls fn n times at once.
func atOnce(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

func count(t *testing.T, s *Store, sql string, args ...any) int {
	t.Helper()
	var n int
	if err := s.pool.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// oneSlotAtOnce lets two sessions of one user connect to one offer many times at once: he gets one
// desktop.
func oneSlotAtOnce(t *testing.T, d *databases) {
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	fill(t, s, 20)
	const n = 12
	var sessions [2]broker.Session
	var offer broker.OfferID
	for i := range sessions {
		out, err := s.Login(t.Context(), record("anna"))
		if err != nil {
			t.Fatal(err)
		}
		sessions[i], offer = *out.Session, out.Offers[0].ID
	}
	var got [n]string
	atOnce(n, func(i int) {
		c, err := s.Connect(t.Context(), broker.ConnectRecord{Session: sessions[i%2], Offer: offer, Log: broker.LogRow{ID: newID()}})
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
	if c := count(t, s, `SELECT count(*) FROM desktop WHERE claim_user IS NOT NULL`); c != 1 {
		t.Errorf("%d desktops are claimed", c)
	}
}

// connectKeyAtOnce sends one connect many times at once: one desktop, one log row.
func connectKeyAtOnce(t *testing.T, d *databases) {
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	setup := broker.Setup{
		DesktopPools: []broker.DesktopPool{{Name: "pool", Kind: broker.KindPooled}, {Name: "own", Kind: broker.KindAssigned}},
		Desktops:     []broker.Desktop{{Name: "mine", Pool: "own", Host: "h"}},
		Assignments:  []broker.Assignment{{User: "anna", Desktop: "mine"}},
	}
	for i := range 20 {
		setup.Desktops = append(setup.Desktops, broker.Desktop{Name: fmt.Sprint("d", i), Pool: "pool", Host: "h"})
	}
	if _, err := s.ReplaceSetup(t.Context(), setup.WithDefaults(), 0, broker.LogRow{ID: newID()}); err != nil {
		t.Fatal(err)
	}
	out, err := s.Login(t.Context(), record("anna"))
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range out.Offers {
		const n = 12
		var got [n]string
		atOnce(n, func(j int) {
			c, err := s.Connect(t.Context(), broker.ConnectRecord{
				Session: *out.Session, Offer: o.ID, Key: fmt.Sprint("key", i), KeyLife: time.Hour, Log: broker.LogRow{ID: newID(), Ref: fmt.Sprint(i)},
			})
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
		if c := count(t, s, `SELECT count(*) FROM log WHERE ref = $1`, fmt.Sprint(i)); c != 1 {
			t.Errorf("%d log rows of one connect to %s", c, o.Name)
		}
	}
	// One key for two offers at once: one of them is refused, and leaves nothing.
	var refused atomic.Int64
	atOnce(2, func(i int) {
		_, err := s.Connect(t.Context(), broker.ConnectRecord{
			Session: *out.Session, Offer: out.Offers[i].ID, Key: "both", KeyLife: time.Hour, Log: broker.LogRow{ID: newID(), Ref: "both"},
		})
		if errors.Is(err, broker.ErrKeyReused) {
			refused.Add(1)
		} else if err != nil {
			t.Error(err)
		}
	})
	if c := count(t, s, `SELECT count(*) FROM log WHERE ref = 'both'`); c != 1 || refused.Load() != 1 {
		t.Errorf("%d log rows, %d refused", c, refused.Load())
	}
}

// logoutAgainstConnect ends sessions while they connect: no ended session keeps a desktop.
func logoutAgainstConnect(t *testing.T, d *databases) {
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	fill(t, s, 20)
	atOnce(20, func(i int) {
		out, err := s.Login(t.Context(), record(fmt.Sprint("user", i)))
		if err != nil {
			t.Error(err)
			return
		}
		atOnce(2, func(j int) {
			var err error
			if j == 0 {
				_, err = s.Logout(t.Context(), out.Session.ID, broker.LogRow{ID: newID()})
			} else {
				_, err = s.Connect(t.Context(), broker.ConnectRecord{Session: *out.Session, Offer: out.Offers[0].ID, Log: broker.LogRow{ID: newID()}})
			}
			if err != nil && (j == 0 || !errors.Is(err, broker.ErrNotFound)) {
				t.Error(err)
			}
		})
	})
	if c := count(t, s, `SELECT count(*) FROM desktop WHERE claim_user IS NOT NULL`); c != 0 {
		t.Errorf("%d desktops are kept by ended sessions", c)
	}
}

// setupAgainstConnect changes all desktops again and again while users connect: every user gets
// one, and no two the same.
func setupAgainstConnect(t *testing.T, d *databases) {
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	const users = 40
	setup := broker.Setup{DesktopPools: []broker.DesktopPool{{Name: "pool", Kind: broker.KindPooled}}}
	for i := range users {
		setup.Desktops = append(setup.Desktops, broker.Desktop{Name: fmt.Sprint("d", i), Pool: "pool", Host: "h"})
	}
	setup = setup.WithDefaults()
	version, err := s.ReplaceSetup(t.Context(), setup, 0, broker.LogRow{ID: newID()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			for j := range setup.Desktops {
				setup.Desktops[j].Host = fmt.Sprint("h", i)
			}
			if version, err = s.ReplaceSetup(t.Context(), setup, version, broker.LogRow{ID: newID()}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var taken sync.Map
	atOnce(users, func(i int) {
		_, c, err := signIn(t.Context(), s, fmt.Sprint("user", i))
		if err != nil {
			t.Errorf("user %d: %v", i, err)
		} else if other, twice := taken.LoadOrStore(c.ID, i); twice {
			t.Errorf("%s was given to %d and %d", c.Name, other, i)
		}
	})
	cancel()
	wg.Wait()
}

// poolMoves takes a claimed desktop to another pool, and makes its pool one of another kind.
func poolMoves(t *testing.T, d *databases) {
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	pools := []broker.DesktopPool{{Name: "pool", Kind: broker.KindPooled}, {Name: "other", Kind: broker.KindPooled}}
	setup := broker.Setup{DesktopPools: pools, Desktops: []broker.Desktop{{Name: "a", Pool: "pool", Host: "h"}}}.WithDefaults()
	version := int64(0)
	apply := func() {
		t.Helper()
		var err error
		if version, err = s.ReplaceSetup(t.Context(), setup, version, broker.LogRow{ID: newID()}); err != nil {
			t.Fatal(err)
		}
	}
	claims := func() int { return count(t, s, `SELECT count(*) FROM desktop WHERE claim_user IS NOT NULL`) }
	for _, tc := range []struct {
		name   string
		change func()
		claims int // a desktop that goes to another pool stays its user's: he works on it
	}{
		{"another pool", func() { setup.Desktops[0].Pool = "other" }, 1},
		{"another kind", func() { setup.DesktopPools[0].Kind = broker.KindAssigned }, 0},
		{"no pool", func() { setup.DesktopPools, setup.Desktops = nil, nil }, 0},
	} {
		setup.DesktopPools = []broker.DesktopPool{pools[0], pools[1]}
		setup.Desktops = []broker.Desktop{{Name: "a", Pool: "pool", Host: "h"}}
		setup = setup.WithDefaults()
		apply()
		if _, _, err := signIn(t.Context(), s, "anna"); err != nil || claims() != 1 {
			t.Fatalf("%s: %v, %d claims", tc.name, err, claims())
		}
		tc.change()
		setup = setup.WithDefaults()
		apply()
		if n := claims(); n != tc.claims {
			t.Errorf("%s: %d claims", tc.name, n)
		}
		exec(t, s, `UPDATE desktop SET `+freeSQL)
	}
}
