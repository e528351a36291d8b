package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
)

func testBackupPool(t *testing.T, b *bench) {
	s := setup()
	s.DesktopPools[1].Backup = "spare"
	s.DesktopPools = append(s.DesktopPools, broker.DesktopPool{Name: "spare", Kind: broker.KindPooled, Check: "dial"})
	s.Desktops = append(s.Desktops, broker.Desktop{Name: "spare-1", Pool: "spare", Host: "h"})
	b.fill(s.WithDefaults())
	got := make(map[string]bool)
	for _, user := range []string{"carl", "dora", "emil"} {
		in, offers := b.login(user)
		if offers[0].State != broker.OfferAvailable {
			t.Errorf("%s: %+v", user, offers)
		}
		candidates := must(b.Candidates(ctx(t), in, offers[0].ID, 10))(t)
		if want := 3 - len(got); len(candidates) != want || candidates[want-1].Name != "spare-1" || candidates[want-1].Check != "dial" || candidates[want-1].Pool != "pool" {
			t.Errorf("%s: candidates %+v", user, candidates)
		}
		c := must(b.connect(in, offers[0].ID))(t)
		if (c.Name == "spare-1") != (user == "emil") || c.Pool != "pool" || got[c.ID] {
			t.Errorf("%s has %+v", user, c)
		}
		got[c.ID] = true
		now := must(b.Offers(ctx(t), broker.OfferQuery{Who: in.Who, Grants: in.Grants}))(t)
		if now[0].State != broker.OfferRunning || now[0].Name != c.Name || now[0].Pool != "pool" {
			t.Errorf("%s: offers %+v", user, now)
		}
	}
	in, offers := b.login("fred")
	if offers[0].State != broker.OfferUnavailable {
		t.Errorf("offers %+v", offers)
	}
	if _, err := b.connect(in, offers[0].ID); !errors.Is(err, broker.ErrNoDesktop) {
		t.Errorf("both pools are used up: %v", err)
	}
}

func testReleaseDelay(t *testing.T, b *bench) {
	s := setup()
	s.DesktopPools[1].ReleaseDelay = time.Hour
	s.Desktops = s.Desktops[:3]
	b.fill(s)
	first, offers := b.login("carl")
	mine := must(b.connect(first, offers[0].ID))(t)
	if n := must(b.Logout(ctx(t), first.ID, b.row(broker.LogLogout)))(t); n != 1 {
		t.Errorf("%d released", n)
	}
	if n, _, err := b.ReleaseExpired(ctx(t)); n != 0 || err != nil {
		t.Errorf("%d released before the time, %v", n, err)
	}
	other, _ := b.login("dora")
	if _, err := b.connect(other, offers[0].ID); !errors.Is(err, broker.ErrNoDesktop) {
		t.Errorf("a desktop was given away within the delay: %v", err)
	}
	second, again := b.login("carl")
	if again[0].State != broker.OfferRunning {
		t.Errorf("offers %+v", again)
	}
	if c := must(b.connect(second, again[0].ID))(t); c.ID != mine.ID {
		t.Errorf("another desktop within the delay: %+v", c)
	}
	s.DesktopPools[1].ReleaseDelay = time.Millisecond
	b.fill(s)
	must(b.Logout(ctx(t), second.ID, b.row(broker.LogLogout)))(t)
	for deadline := time.Now().Add(10 * time.Second); ; {
		if n, _, err := b.ReleaseExpired(ctx(t)); err != nil || n == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the delay does not end")
		}
	}
	if c := must(b.connect(other, offers[0].ID))(t); c.ID != mine.ID {
		t.Errorf("%+v", c)
	}
}

// testOfferOrder gives out desktops in each order.
func testOfferOrder(t *testing.T, b *bench) {
	s := broker.Setup{DesktopPools: []broker.DesktopPool{{Name: "pool", Kind: broker.KindPooled, Check: "none"}}}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		s.Desktops = append(s.Desktops, broker.Desktop{Name: name, Pool: "pool", Host: "h"})
	}
	b.fill(s.WithDefaults())
	last := make(map[string]string)
	take := func(user, order string) string {
		t.Helper()
		r := b.record(user)
		r.NewSession.Grants[0].Order = order
		out := must(b.Login(ctx(t), r))(t)
		in := *out.Session
		list := must(b.Candidates(ctx(t), in, out.Offers[0].ID, 20))(t)
		seen := make(map[string]bool)
		for _, c := range list {
			seen[c.ID] = true
		}
		if len(list) != 8 || len(seen) != 8 {
			t.Errorf("%s: %d candidates, %d of them different", order, len(list), len(seen))
		}
		c := must(b.Connect(ctx(t), broker.ConnectRecord{Session: in, Offer: out.Offers[0].ID, Log: b.row(broker.LogConnect)}))(t)
		if first := list[0]; order == broker.OrderPrevious && last[user] != "" && first.Name != last[user] {
			t.Errorf("the first candidate of %s is %s, after %s", user, first.Name, last[user])
		}
		last[user] = c.Name
		must(b.Logout(ctx(t), in.ID, b.row(broker.LogLogout)))(t)
		return c.Name
	}
	mine := take("anna", broker.OrderPrevious)
	for range 5 {
		if again := take("anna", broker.OrderPrevious); again != mine {
			t.Errorf("anna had %s, and then %s", mine, again)
		}
	}
	used := map[string]bool{mine: true}
	for range 7 { // each is the one that nobody has used for the longest time
		name := take("bert", broker.OrderLRU)
		if used[name] {
			t.Errorf("%s was used already", name)
		}
		used[name] = true
	}
	in, offers := b.login("emil")
	in.Grants[0].Order = broker.OrderLRU
	if list := must(b.Candidates(ctx(t), in, offers[0].ID, 20))(t); list[0].Name != mine || list[7].Name != last["bert"] {
		t.Errorf("the oldest is %s, the newest %s: %+v", mine, last["bert"], list)
	}
	if next := take("bert", broker.OrderLRU); next != mine {
		t.Errorf("the oldest is %s, not %s", mine, next)
	}
	random := make(map[string]bool)
	for range 60 {
		random[take("carl", broker.OrderRandom)] = true
	}
	if len(random) < 3 {
		t.Errorf("60 times at random: %v", random)
	}
	take("dora", broker.OrderRunning)
}

// testSessionLimit lets one user connect many times at once: he gets no more than his policy allows.
func testSessionLimit(t *testing.T, b *bench) {
	const slots, limit = 8, 3
	s := broker.Setup{DesktopPools: []broker.DesktopPool{{Name: "pool", Kind: broker.KindPooled, Check: "none"}}}
	for i := range 20 {
		s.Desktops = append(s.Desktops, broker.Desktop{Name: string(rune('a' + i)), Pool: "pool", Host: "h"})
	}
	b.fill(s.WithDefaults())
	handles := [2]Store{b.Store, b.handle()}
	r := b.record("anna")
	r.NewSession.Grants = []broker.Grant{{Pool: "pool", MaxOffers: slots, MaxSessions: limit}}
	out := must(b.Login(ctx(t), r))(t)
	var mu sync.Mutex
	var given []broker.OfferID
	var wg sync.WaitGroup
	for i, o := range out.Offers {
		wg.Go(func() {
			_, err := handles[i%2].Connect(ctx(t), broker.ConnectRecord{Session: *out.Session, Offer: o.ID, Log: b.row(broker.LogConnect)})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				given = append(given, o.ID)
			} else if !errors.Is(err, broker.ErrSessionLimit) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(out.Offers) != slots || len(given) != limit {
		t.Errorf("%d of %d offers were connected, want %d", len(given), len(out.Offers), limit)
	}
	if _, err := b.connect(*out.Session, given[0]); err != nil { // what he holds stays his
		t.Error(err)
	}
}

// testSessionLimitDelay: a desktop that waits for its release does not count, and coming back to it does.
func testSessionLimitDelay(t *testing.T, b *bench) {
	s := pooled(3)
	s.DesktopPools[0].ReleaseDelay = time.Hour
	b.fill(s)
	in := func() (broker.Session, []broker.Offer) {
		r := b.record("anna")
		r.NewSession.Grants = []broker.Grant{{Pool: "pool", MaxOffers: 2, MaxSessions: 1}}
		out := must(b.Login(ctx(t), r))(t)
		return *out.Session, out.Offers
	}
	first, offers := in()
	must(b.connect(first, offers[0].ID))(t)
	must(b.connect(first, offers[0].ID))(t) // what he holds stays his
	must(b.Logout(ctx(t), first.ID, b.row(broker.LogLogout)))(t)
	second, _ := in()
	must(b.connect(second, offers[1].ID))(t)
	if c, err := b.connect(second, offers[0].ID); !errors.Is(err, broker.ErrSessionLimit) {
		t.Errorf("a second desktop where one is allowed: %+v, %v", c, err)
	}
	must(b.connect(second, offers[1].ID))(t)
	must(b.Logout(ctx(t), second.ID, b.row(broker.LogLogout)))(t)
	third, _ := in()
	must(b.connect(third, offers[0].ID))(t)
}
