package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
)

func (b *bench) connect(s broker.Session, o broker.OfferID) (broker.Candidate, error) {
	return b.Connect(ctx(b.t), broker.ConnectRecord{Session: s, Offer: o, Log: b.row(broker.LogConnect)})
}

func testConnect(t *testing.T, b *bench) {
	b.fill(setup())
	s, offers := b.login("anna")
	own := must(b.connect(s, offers[0].ID))(t)
	if own.Name != "own-1" || own.Host != "10.0.0.1" || own.Port != 3389 || own.Protocol != "rdp" || own.Kind != broker.KindAssigned || own.Check != "dial" {
		t.Errorf("own desktop %+v", own)
	}
	free := must(b.Candidates(ctx(t), s, offers[1].ID, 10))(t)
	if len(free) != 2 || free[0].Claimed || free[0].Check != "none" {
		t.Fatalf("candidates %+v", free)
	}
	r := broker.ConnectRecord{Session: s, Offer: offers[1].ID, Desktop: free[1].ID, Log: b.row(broker.LogConnect)}
	got := must(b.Connect(ctx(t), r))(t)
	if got.ID != free[1].ID || !got.Claimed {
		t.Errorf("got %+v, asked for %+v", got, free[1])
	}
	if row := must(b.LogByRef(ctx(t), r.Log.Ref))(t); row.Desktop != got.Name {
		t.Errorf("log row %+v", row)
	}
	if again := must(b.connect(s, offers[1].ID))(t); again.ID != got.ID {
		t.Errorf("a second launch gave another desktop: %+v", again)
	}
	other, otherOffers := b.login("bert")
	r = broker.ConnectRecord{Session: other, Offer: otherOffers[1].ID, Desktop: got.ID, Log: b.row(broker.LogConnect)}
	if _, err := b.Connect(ctx(t), r); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a claimed desktop was given to somebody else: %v", err)
	}
	if _, err := b.connect(other, otherOffers[1].ID); err != nil {
		t.Fatal(err)
	}
	third, thirdOffers := b.login("carl")
	if thirdOffers[0].State != broker.OfferUnavailable {
		t.Errorf("an empty pool is offered as %q", thirdOffers[0].State)
	}
	if _, err := b.connect(third, thirdOffers[0].ID); !errors.Is(err, broker.ErrNoDesktop) {
		t.Errorf("an empty pool gave a desktop: %v", err)
	}
	if _, err := b.Candidates(ctx(t), third, thirdOffers[0].ID, 3); !errors.Is(err, broker.ErrNoDesktop) {
		t.Errorf("an empty pool has candidates: %v", err)
	}
	if n, err := b.Logout(ctx(t), s.ID, b.row(broker.LogLogout)); err != nil || n != 1 {
		t.Errorf("logout released %d: %v", n, err)
	}
	if c := must(b.connect(third, thirdOffers[0].ID))(t); c.ID != got.ID {
		t.Errorf("the released desktop was not given out: %+v", c)
	}
}

func testConnectKey(t *testing.T, b *bench) {
	b.fill(setup())
	s, offers := b.login("anna")
	r := broker.ConnectRecord{Session: s, Offer: offers[1].ID, Key: "k", KeyLife: 1 << 40, Log: b.row(broker.LogConnect)}
	one := must(b.Connect(ctx(t), r))(t)
	r.Log = b.row(broker.LogConnect)
	if two := must(b.handle().Connect(ctx(t), r))(t); two.ID != one.ID {
		t.Errorf("the same key gave %+v, then %+v", one, two)
	}
	if _, err := b.LogByRef(ctx(t), r.Log.Ref); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a replay wrote a log row: %v", err)
	}
	r.Offer = offers[0].ID
	if _, err := b.Connect(ctx(t), r); !errors.Is(err, broker.ErrKeyReused) {
		t.Errorf("the key of another offer was accepted: %v", err)
	}
}

// testConnectKeyOutlived repeats a connect after the user has given its desktop back: that is a
// new connect, and it stands in the log.
func testConnectKeyOutlived(t *testing.T, b *bench) {
	b.fill(setup())
	first, offers := b.login("carl")
	r := broker.ConnectRecord{Session: first, Offer: offers[0].ID, Key: "k", KeyLife: time.Hour, Log: b.row(broker.LogConnect)}
	one := must(b.Connect(ctx(t), r))(t)
	second, _ := b.login("carl")
	must(b.connect(second, offers[0].ID))(t)
	if n, err := b.Logout(ctx(t), second.ID, b.row(broker.LogLogout)); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	other, otherOffers := b.login("dora")
	taken := broker.ConnectRecord{Session: other, Offer: otherOffers[0].ID, Desktop: one.ID, Log: b.row(broker.LogConnect)}
	must(b.Connect(ctx(t), taken))(t)
	r.Log = b.row(broker.LogConnect)
	two := must(b.Connect(ctx(t), r))(t)
	if two.ID == one.ID {
		t.Errorf("%s was given to two users", one.Name)
	}
	if row, err := b.LogByRef(ctx(t), r.Log.Ref); err != nil || row.Desktop != two.Name {
		t.Errorf("log row %+v, %v", row, err)
	}
	r.Log = b.row(broker.LogConnect)
	if three := must(b.Connect(ctx(t), r))(t); three.ID != two.ID {
		t.Errorf("the same key gave %+v, then %+v", two, three)
	}
	if _, err := b.LogByRef(ctx(t), r.Log.Ref); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a replay wrote a log row: %v", err)
	}
}

// testConnectNotOffered asks for what the session was never offered.
func testConnectNotOffered(t *testing.T, b *bench) {
	b.fill(setup())
	s, offers := b.login("anna")
	_, others := b.login("bert")
	beyond := offers[1].ID
	beyond.Slot++
	for name, o := range map[string]broker.OfferID{
		"somebody else's desktop":        others[0].ID,
		"a desktop that does not exist":  {Desktop: id()},
		"a pool that does not exist":     {Pool: id(), Slot: 1},
		"more of the pool than granted":  beyond,
		"a pooled desktop by its own id": {Desktop: must(b.Candidates(ctx(t), s, offers[1].ID, 1))(t)[0].ID},
	} {
		if _, err := b.connect(s, o); !errors.Is(err, broker.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := b.Candidates(ctx(t), s, o, 1); !errors.Is(err, broker.ErrNotFound) {
			t.Errorf("%s: candidates: %v", name, err)
		}
	}
	s.Grants = nil
	if _, err := b.connect(s, offers[1].ID); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a pool without a grant: %v", err)
	}
}

// testConnectTakeOver signs a user in twice: the second session takes the desktop over, and
// only its own end releases it.
func testConnectTakeOver(t *testing.T, b *bench) {
	b.fill(setup())
	first, offers := b.login("carl")
	one := must(b.connect(first, offers[0].ID))(t)
	second, again := b.login("carl")
	if again[0].State != broker.OfferRunning || again[0].Name != one.Name {
		t.Errorf("the running desktop is not offered: %+v", again)
	}
	if two := must(b.connect(second, again[0].ID))(t); two.ID != one.ID {
		t.Errorf("the second session got another desktop")
	}
	if n, err := b.Logout(ctx(t), first.ID, b.row(broker.LogLogout)); err != nil || n != 0 {
		t.Errorf("the first session released %d desktops of the second: %v", n, err)
	}
	if n, err := b.Logout(ctx(t), second.ID, b.row(broker.LogLogout)); err != nil || n != 1 {
		t.Errorf("the second session released %d: %v", n, err)
	}
}

func testMaintenance(t *testing.T, b *bench) {
	b.fill(setup())
	s, offers := b.login("anna")
	changed := setup()
	for i := range changed.Desktops {
		changed.Desktops[i].State = "maintenance"
	}
	b.fill(changed)
	if _, err := b.connect(s, offers[0].ID); !errors.Is(err, broker.ErrMaintenance) {
		t.Errorf("a desktop in maintenance was given out: %v", err)
	}
	if _, err := b.Candidates(ctx(t), s, offers[0].ID, 1); !errors.Is(err, broker.ErrMaintenance) {
		t.Errorf("a desktop in maintenance is a candidate: %v", err)
	}
	if _, err := b.connect(s, offers[1].ID); !errors.Is(err, broker.ErrNoDesktop) {
		t.Errorf("a pooled desktop in maintenance was given out: %v", err)
	}
	now := must(b.Offers(ctx(t), broker.OfferQuery{Who: s.Who, Grants: s.Grants}))(t)
	if now[0].State != broker.OfferMaintenance || now[1].State != broker.OfferUnavailable {
		t.Errorf("offers %+v", now)
	}
}

// testNoDoubleClaim lets many users of two processes claim from a pool that is too small: every
// desktop goes to exactly one of them (BR3).
func testNoDoubleClaim(t *testing.T, b *bench) {
	const users, desktops = 30, 11
	s := broker.Setup{DesktopPools: []broker.DesktopPool{{Name: "pool", Kind: broker.KindPooled, Check: "none"}}}
	for i := range desktops {
		s.Desktops = append(s.Desktops, broker.Desktop{Name: fmt.Sprintf("d%02d", i), Pool: "pool", Host: "10.0.0.1"})
	}
	b.fill(s.WithDefaults())
	handles := [2]Store{b.Store, b.handle()}
	type session struct {
		broker.Session
		offer broker.OfferID
	}
	sessions := make([]session, users)
	for i := range sessions {
		in, offers := b.login(fmt.Sprintf("user%d", i))
		sessions[i] = session{in, offers[0].ID}
	}
	var mu sync.Mutex
	owner := make(map[string]string)
	refused := 0
	var wg sync.WaitGroup
	for i, in := range sessions {
		wg.Go(func() {
			c, err := handles[i%2].Connect(ctx(t), broker.ConnectRecord{Session: in.Session, Offer: in.offer, Log: b.row(broker.LogConnect)})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, broker.ErrNoDesktop):
				refused++
			case err != nil:
				t.Error(err)
			case owner[c.ID] != "":
				t.Errorf("%s was given to %s and %s", c.Name, owner[c.ID], in.User)
			default:
				owner[c.ID] = in.User
			}
		})
	}
	wg.Wait()
	if len(owner) != desktops || refused != users-desktops {
		t.Errorf("%d desktops given out, %d refused; want %d and %d", len(owner), refused, desktops, users-desktops)
	}
}
