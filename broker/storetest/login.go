package storetest

import (
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
)

func testLoginOffers(t *testing.T, b *bench) {
	b.fill(setup())
	r := b.record("anna")
	out := must(b.Login(ctx(t), r))(t)
	if out.Replayed || out.Session == nil || out.Session.ID != r.NewSession.ID || !out.Session.Expires.After(out.Session.Created) {
		t.Fatalf("outcome %+v", out)
	}
	if len(out.Offers) != 2 || out.Offers[0].Name != "own-1" || out.Offers[0].Kind != broker.KindAssigned || out.Offers[0].State != broker.OfferAvailable ||
		out.Offers[1].Pool != "pool" || out.Offers[1].Kind != broker.KindPooled || out.Offers[1].State != broker.OfferAvailable {
		t.Errorf("offers %+v", out.Offers)
	}
	for _, o := range out.Offers {
		if id, err := broker.ParseOfferID(o.ID.String()); err != nil || id != o.ID {
			t.Errorf("offer id %v does not survive its text form: %v", o.ID, err)
		}
	}
	s := must(b.handle().Session(ctx(t), r.NewSession.TokenHash))(t)
	if !reflect.DeepEqual(s, *out.Session) {
		t.Errorf("session %+v, want %+v", s, *out.Session)
	}
	if row := must(b.LogByRef(ctx(t), r.Log.Ref))(t); row.Kind != broker.LogLogin || row.Session != s.ID || row.At.IsZero() {
		t.Errorf("log row %+v", row)
	}
	if _, err := b.Session(ctx(t), [32]byte{1}); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("an unknown token has a session: %v", err)
	}
}

func testLoginWithoutOffers(t *testing.T, b *bench) {
	b.fill(setup())
	r := b.record("carl")
	r.NewSession.Grants, r.Key = nil, "k"
	out := must(b.Login(ctx(t), r))(t)
	if out.Session != nil || len(out.Offers) != 0 {
		t.Fatalf("outcome %+v", out)
	}
	if row := must(b.LogByRef(ctx(t), r.Log.Ref))(t); row.Kind != broker.LogRefused || row.Code != broker.CodeNoDesktop || row.Session != "" {
		t.Errorf("log row %+v", row)
	}
	if _, err := b.Session(ctx(t), r.NewSession.TokenHash); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a refused login has a session: %v", err)
	}
	again := b.record("carl")
	again.Key = "k"
	if out := must(b.Login(ctx(t), again))(t); out.Session == nil || out.Replayed {
		t.Errorf("a refusal must not bind the key: %+v", out)
	}
}

func testLoginKey(t *testing.T, b *bench) {
	b.fill(setup())
	first := b.record("anna")
	first.Key, first.KeyMAC = "key", [32]byte{1}
	one := must(b.Login(ctx(t), first))(t)
	second := b.record("anna")
	second.Key, second.KeyMAC = "key", [32]byte{1}
	two := must(b.handle().Login(ctx(t), second))(t)
	if !two.Replayed || two.Session == nil || two.Session.ID != one.Session.ID || len(two.Offers) != len(one.Offers) {
		t.Errorf("the same key gave another outcome: %+v, want %+v", two, one)
	}
	if _, err := b.LogByRef(ctx(t), second.Log.Ref); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a replay wrote a log row: %v", err)
	}
	third := b.record("anna")
	third.Key, third.KeyMAC = "key", [32]byte{2}
	if _, err := b.Login(ctx(t), third); !errors.Is(err, broker.ErrKeyReused) {
		t.Errorf("a key of another password was accepted: %v", err)
	}
	if _, err := b.Logout(ctx(t), one.Session.ID, b.row(broker.LogLogout)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Login(ctx(t), second); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a key brought an ended session back: %v", err)
	}
}

// testLoginKeyAtOnce sends one login many times through two brokers at once: one session.
func testLoginKeyAtOnce(t *testing.T, b *bench) {
	b.fill(setup())
	handles := [2]Store{b.Store, b.handle()}
	const n = 12
	sessions := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			r := b.record("anna")
			r.Key, r.KeyMAC = "key", [32]byte{1}
			out, err := handles[i%2].Login(ctx(t), r)
			if err != nil || out.Session == nil {
				t.Error(out, err)
				return
			}
			sessions[i] = out.Session.ID
		})
	}
	wg.Wait()
	for _, s := range sessions {
		if s != sessions[0] {
			t.Fatalf("one key made two sessions: %s and %s", s, sessions[0])
		}
	}
}

func testLoginKeyRedirect(t *testing.T, b *bench) {
	b.fill(setup())
	r := broker.LoginRecord{Who: local("anna"), Key: "key", KeyMAC: [32]byte{1}, KeyLife: time.Hour, Redirect: "https://us", Log: b.row(broker.LogRedirect)}
	if out := must(b.Login(ctx(t), r))(t); out.Redirect != "https://us" || out.Replayed || out.Session != nil {
		t.Errorf("outcome %+v", out)
	}
	again := b.record("anna") // meanwhile the rules would log the user in here
	again.Key, again.KeyMAC = "key", [32]byte{1}
	if out := must(b.Login(ctx(t), again))(t); out.Redirect != "https://us" || !out.Replayed || out.Session != nil {
		t.Errorf("the same key gave another outcome: %+v", out)
	}
}

func testSessionReopened(t *testing.T, b *bench) {
	b.fill(setup())
	r := b.record("carl")
	out := must(b.Login(ctx(t), r))(t)
	c := must(b.Connect(ctx(t), broker.ConnectRecord{Session: *out.Session, Offer: out.Offers[0].ID, Log: b.row(broker.LogConnect)}))(t)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	after := b.handle()
	s := must(after.Session(ctx(t), r.NewSession.TokenHash))(t)
	offers := must(after.Offers(ctx(t), broker.OfferQuery{Who: s.Who, Grants: s.Grants}))(t)
	if len(offers) != 1 || offers[0].State != broker.OfferRunning || offers[0].Name != c.Name {
		t.Errorf("offers after the restart: %+v", offers)
	}
}

func testSessionExpires(t *testing.T, b *bench) {
	b.fill(setup())
	r := b.record("anna")
	r.NewSession.Life = time.Millisecond
	out := must(b.Login(ctx(t), r))(t)
	for deadline := time.Now().Add(10 * time.Second); ; {
		_, err := b.Session(ctx(t), r.NewSession.TokenHash)
		if errors.Is(err, broker.ErrNotFound) {
			break
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("the session does not expire: %v", err)
		}
	}
	if _, err := b.Connect(ctx(t), broker.ConnectRecord{Session: *out.Session, Offer: out.Offers[0].ID, Log: b.row(broker.LogConnect)}); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("an expired session connects: %v", err)
	}
	if _, err := b.Logout(ctx(t), out.Session.ID, b.row(broker.LogLogout)); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("an expired session logs out: %v", err)
	}
}
