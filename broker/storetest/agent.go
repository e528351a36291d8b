package storetest

import (
	"errors"
	"testing"
	"time"

	"switchpoint/broker"
)

// enrol makes a token for the desktop and takes it for a key.
func (b *bench) enrol(desktop string) broker.AgentKey {
	b.t.Helper()
	token := [32]byte([]byte(id()[:32]))
	if err := b.AddEnrolToken(ctx(b.t), broker.EnrolToken{Hash: token, Desktop: desktop, Life: time.Hour}, b.row(broker.LogAgent)); err != nil {
		b.t.Fatal(err)
	}
	key, err := b.take(b, token, "")
	if err != nil {
		b.t.Fatal(err)
	}
	return key
}

// take enrols with a token.
func (b *bench) take(s broker.Store, token [32]byte, name string) (broker.AgentKey, error) {
	key := broker.AgentKey{Secret: [32]byte([]byte(id()[:32]))}
	d, err := s.EnrolAgent(ctx(b.t), broker.Enrolment{TokenHash: token, Desktop: name, Log: b.row(broker.LogAgent),
		KeyHash: func(desktop string) [32]byte { key.Desktop = desktop; return key.Hash() }})
	if err == nil && d.ID != key.Desktop {
		b.t.Errorf("the key is for %s, the desktop is %+v", key.Desktop, d)
	}
	return key, err
}

// beat reports sessions of users and returns the orders.
func (b *bench) beat(key broker.AgentKey, r broker.AgentReport, users ...string) broker.AgentOrders {
	b.t.Helper()
	for _, u := range users {
		r.Sessions = append(r.Sessions, broker.AgentSession{User: u, State: broker.SessionActive})
	}
	return must(b.AgentBeats(ctx(b.t), []broker.AgentBeat{{Desktop: key.Desktop, KeyHash: key.Hash(), AgentReport: r}}))(b.t)[0]
}

func testEnrol(t *testing.T, b *bench) {
	b.fill(setup())
	token := func(n byte) [32]byte { return [32]byte{n} }
	add := func(n byte, e broker.EnrolToken) error {
		e.Hash = token(n)
		return b.AddEnrolToken(ctx(t), e, b.row(broker.LogAgent))
	}
	for _, e := range []broker.EnrolToken{{Desktop: "nobody's", Life: time.Hour}, {Pool: "no pool", Life: time.Hour}} {
		if err := add(1, e); !errors.Is(err, broker.ErrNotFound) {
			t.Errorf("a token for %+v: %v", e, err)
		}
	}
	if err := errors.Join(add(2, broker.EnrolToken{Desktop: "pool-1", Life: time.Hour}), add(3, broker.EnrolToken{Desktop: "pool-1", Life: -time.Second})); err != nil {
		t.Fatal(err)
	}
	first, err := b.take(b.handle(), token(2), "whatever it says")
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]byte{"a token that was used": 2, "one that has expired": 3, "one of nobody": 9} {
		if _, err := b.take(b, token(n), "pool-1"); !errors.Is(err, broker.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !b.beat(first, broker.AgentReport{}).Known {
		t.Error("the key of the enrolment is not known")
	}
	second := b.enrol("pool-1") // the machine was set up anew
	if b.beat(first, broker.AgentReport{}).Known || !b.beat(second, broker.AgentReport{}).Known {
		t.Error("the newest key alone must count")
	}
	// The token of a pool is good for each of its desktops once.
	if err := add(4, broker.EnrolToken{Pool: "pool", Life: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.take(b, token(4), "POOL-2"); err != nil {
		t.Error(err)
	}
	if _, err := b.take(b, token(4), "10.0.1.3"); err != nil { // by its host
		t.Error(err)
	}
	for _, name := range []string{"pool-2", "own-1", "", "nobody's"} {
		if _, err := b.take(b, token(4), name); !errors.Is(err, broker.ErrNotFound) {
			t.Errorf("the token of the pool for %q: %v", name, err)
		}
	}
	if list := must(b.Agents(ctx(t), ""))(t); len(list) != 3 || list[0].Desktop != "pool-1" || list[0].Pool != "pool" || !list[0].Fresh || list[1].Fresh || !list[1].Seen.IsZero() {
		t.Errorf("%+v", list)
	}
}

func testAgentBeats(t *testing.T, b *bench) {
	b.fill(setup())
	one, two := b.enrol("own-1"), b.enrol("pool-1")
	wrong := two
	wrong.Secret[0]++
	report := broker.AgentReport{Version: "1.2", Address: "10.0.0.1", Load: 0.25, Sessions: []broker.AgentSession{{User: `CORP\Anna`, State: broker.SessionDisconnected}}}
	orders := must(b.AgentBeats(ctx(t), []broker.AgentBeat{
		{Desktop: one.Desktop, KeyHash: one.Hash(), AgentReport: report},
		{Desktop: two.Desktop, KeyHash: wrong.Hash(), AgentReport: report},
		{Desktop: two.Desktop, KeyHash: two.Hash()},
		{Desktop: id(), KeyHash: two.Hash()},
	}))(t)
	if !orders[0].Known || orders[1].Known || !orders[2].Known || orders[3].Known {
		t.Errorf("%+v", orders)
	}
	if none := must(b.AgentBeats(ctx(t), nil))(t); len(none) != 0 {
		t.Errorf("%+v", none)
	}
	list := must(b.handle().Agents(ctx(t), "own-1"))(t)
	if len(list) != 1 || list[0].Version != "1.2" || list[0].Address != "10.0.0.1" || list[0].Load != 0.25 || len(list[0].Sessions) != 1 ||
		list[0].Sessions[0] != report.Sessions[0] || !list[0].Fresh || time.Since(list[0].Seen) > time.Hour {
		t.Errorf("%+v", list)
	}
	if list := must(b.Agents(ctx(t), "pool-1"))(t); len(list[0].Sessions) != 0 {
		t.Errorf("a wrong key has reported: %+v", list)
	}
	// What a desktop is known by says so: candidates that need no dial.
	anna, offers := b.login("anna")
	if c := must(b.Candidates(ctx(t), anna, offers[0].ID, 1))(t); !c[0].Alive {
		t.Errorf("%+v", c)
	}
	for _, c := range must(b.Candidates(ctx(t), anna, offers[1].ID, 9))(t) {
		if c.Alive != (c.Name == "pool-1") {
			t.Errorf("%+v", c)
		}
	}
	without := setup()
	without.Desktops = without.Desktops[:2]
	b.fill(without)
	if b.beat(two, broker.AgentReport{}).Known {
		t.Error("the agent of a deleted desktop is known")
	}
}

// testAgentRelease: the desktop goes back to its pool when its user has left it, and not before.
func testAgentRelease(t *testing.T, b *bench) {
	s := setup()
	s.DesktopPools[1].ReleaseDelay = time.Second
	b.fill(s)
	carl, offers := b.login("carl")
	c := must(b.connect(carl, offers[0].ID))(t)
	key := b.enrol(c.Name)
	held := func() bool {
		t.Helper()
		o := must(b.Offers(ctx(t), broker.OfferQuery{Who: carl.Who, Grants: carl.Grants}))(t)
		return o[0].State == broker.OfferRunning
	}
	b.beat(key, broker.AgentReport{}) // he has not arrived yet
	b.beat(key, broker.AgentReport{}, "someone-else")
	b.beat(key, broker.AgentReport{})
	if released, _, err := b.ReleaseExpired(ctx(t)); err != nil || released != 0 || !held() {
		t.Fatalf("the desktop was taken from a user who is on the way: %d, %v", released, err)
	}
	b.beat(key, broker.AgentReport{}, `CORP\Carl`)
	must(b.connect(carl, offers[0].ID))(t) // he connects once more, from another client
	b.beat(key, broker.AgentReport{})
	if !held() {
		t.Fatal("a new connect must be waited for again")
	}
	b.beat(key, broker.AgentReport{}, "carl@corp.example")
	b.beat(key, broker.AgentReport{})
	if !held() {
		t.Fatal("the release delay was not kept")
	}
	eventually(t, "the desktop is released", func() bool { b.beat(key, broker.AgentReport{}); return !held() })
}

// testAgentHolds: signing out of the broker does not free a desktop that somebody still works on.
func testAgentHolds(t *testing.T, b *bench) {
	b.fill(setup())
	carl, offers := b.login("carl")
	c := must(b.connect(carl, offers[0].ID))(t)
	key := b.enrol(c.Name)
	b.beat(key, broker.AgentReport{}, "carl")
	if n := must(b.Logout(ctx(t), carl.ID, b.row(broker.LogLogout)))(t); n != 1 {
		t.Errorf("%d desktops", n)
	}
	free := func() int {
		dora, offers := b.login("dora")
		n := 0
		for _, f := range must(b.Candidates(ctx(t), dora, offers[0].ID, 9))(t) {
			if f.Name == c.Name {
				n++
			}
		}
		return n
	}
	if released, _, err := b.ReleaseExpired(ctx(t)); err != nil || released != 0 || free() != 0 {
		t.Errorf("a desktop in use was released: %d, %v", released, err)
	}
	b.beat(key, broker.AgentReport{})
	if free() != 1 {
		t.Error("the desktop is not free although its user has left it")
	}
}

func testReset(t *testing.T, b *bench) {
	b.fill(setup())
	key := b.enrol("pool-1")
	state := func() string { return must(b.Agents(ctx(t), "pool-1"))(t)[0].Reset }
	free := func() int {
		dora, offers := b.login("dora")
		list, err := b.Candidates(ctx(t), dora, offers[0].ID, 9)
		if err != nil && !errors.Is(err, broker.ErrNoDesktop) {
			t.Fatal(err)
		}
		return len(list)
	}
	if n := must(b.HoldForReset(ctx(t), []string{"pool-1", "pool-2", "no desktop"}, "r1", time.Hour, b.row(broker.LogAgent)))(t); n != 2 || free() != 0 || state() != broker.ResetAwaited {
		t.Errorf("%d held, %d free, %q", n, free(), state())
	}
	if sweep := must(b.SweepDesktops(ctx(t)))(t); sweep.Quarantined != 0 {
		t.Errorf("%+v", sweep)
	}
	if o := b.beat(key, broker.AgentReport{}); o.Reset != "r1" || o.ResetAge < 0 || o.ResetAge > time.Minute {
		t.Errorf("the agent is told %+v", o)
	}
	if o := b.beat(key, broker.AgentReport{ResetDone: "another"}); o.Reset != "r1" {
		t.Errorf("the report of another reset counts: %+v", o)
	}
	if o := b.beat(key, broker.AgentReport{ResetDone: "r1"}); o.Reset != "" || state() != "" || free() != 1 {
		t.Errorf("%+v, %q, %d free", o, state(), free())
	}
	must(b.HoldForReset(ctx(t), []string{"pool-1"}, "r2", -time.Second, b.row(broker.LogAgent)))(t)
	if sweep := must(b.SweepDesktops(ctx(t)))(t); sweep.Quarantined != 1 || state() != broker.ResetQuarantined || free() != 0 {
		t.Errorf("%+v, %q", sweep, state())
	}
	if err := b.ClearDesktop(ctx(t), "pool-2", b.row(broker.LogAgent)); err != nil || free() != 1 {
		t.Error(err)
	}
	if err := b.ClearDesktop(ctx(t), "pool-2", b.row(broker.LogAgent)); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a clean desktop was cleared: %v", err)
	}
	if b.beat(key, broker.AgentReport{ResetDone: "r2"}); state() != "" || free() != 2 {
		t.Errorf("a quarantined desktop must come back after its reset: %q", state())
	}
	// Whoever holds a desktop keeps it.
	carl, offers := b.login("carl")
	mine := must(b.connect(carl, offers[0].ID))(t)
	must(b.HoldForReset(ctx(t), []string{mine.Name}, "r3", time.Hour, b.row(broker.LogAgent)))(t)
	if again := must(b.connect(carl, offers[0].ID))(t); again.ID != mine.ID {
		t.Errorf("%+v, then %+v", mine, again)
	}
}

// testProbes: without an agent, the claim of a desktop that does not answer for long enough ends.
func testProbes(t *testing.T, b *bench) {
	b.fill(setup())
	carl, offers := b.login("carl")
	one := must(b.connect(carl, offers[0].ID))(t)
	dora, _ := b.login("dora")
	two := must(b.connect(dora, offers[0].ID))(t)
	watched := b.enrol(two.Name)
	b.beat(watched, broker.AgentReport{})
	list := must(b.UnwatchedClaims(ctx(t), "", 10))(t)
	if len(list) != 1 || list[0].ID != one.ID || list[0].Host != one.Host || list[0].Port != one.Port {
		t.Fatalf("%+v", list)
	}
	if rest := must(b.UnwatchedClaims(ctx(t), one.ID, 10))(t); len(rest) != 0 {
		t.Errorf("%+v", rest)
	}
	silent := func(patience time.Duration) int {
		return must(b.RecordProbes(ctx(t), nil, []string{one.ID}, patience))(t)
	}
	if silent(time.Hour) != 0 || must(b.RecordProbes(ctx(t), []string{one.ID}, nil, 0))(t) != 0 {
		t.Error("the claim ended at once")
	}
	if silent(time.Hour) != 0 || silent(0) != 1 || silent(0) != 0 {
		t.Error("the claim must end once, when its time is over")
	}
	if released, _, err := b.ReleaseExpired(ctx(t)); err != nil || released != 1 {
		t.Errorf("%d released, %v", released, err)
	}
}

func testStart(t *testing.T, b *bench) {
	s := setup()
	s.Powers = []broker.Power{{Name: "wake", Kind: "wol"}}
	s.DesktopPools[1].Power = "wake"
	s.Desktops[2].MAC = "52:54:00:00:00:01"
	s = s.WithDefaults()
	b.fill(s)
	if got, _, err := b.Setup(ctx(t)); err != nil || got.DesktopPools[1].Power != "wake" || got.Desktops[2].MAC != "52:54:00:00:00:01" || len(got.Powers) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	carl, offers := b.login("carl")
	c := must(b.connect(carl, offers[0].ID))(t)
	find := func() broker.StartTarget {
		t.Helper()
		list := must(b.StartTargets(ctx(t), []string{id(), c.ID}))(t)
		if len(list) != 1 {
			t.Fatalf("%+v", list)
		}
		return list[0]
	}
	step := func(e broker.StartEvent, why string) {
		t.Helper()
		if err := b.RecordStart(ctx(t), c.ID, e, why); err != nil {
			t.Fatal(err)
		}
	}
	if d := find(); d.Name != c.Name || d.Host != c.Host || d.Port != c.Port || d.Pool != "pool" || d.Alive || d.Start != nil || (d.MAC == "") != (d.Name != "pool-1") {
		t.Errorf("%+v", d)
	}
	step(broker.StartCalled, "") // of no start
	if find().Start != nil {
		t.Error("there is a start that nobody asked for")
	}
	step(broker.StartAsked, "")
	if s := find().Start; s == nil || s.Asked < 0 || s.Called >= 0 || s.Failed >= 0 {
		t.Errorf("%+v", s)
	}
	step(broker.StartCalled, "")
	step(broker.StartFailed, "no power")
	if s := find().Start; s == nil || s.Called < 0 || s.Failed < 0 || s.Error != "no power" {
		t.Errorf("%+v", s)
	}
	step(broker.StartAsked, "")
	if s := find().Start; s == nil || s.Called >= 0 || s.Failed >= 0 || s.Error != "" {
		t.Errorf("%+v", s)
	}
	step(broker.StartUp, "")
	if find().Start != nil {
		t.Error("the start of a desktop that is up is still there")
	}
	if err := b.RecordStart(ctx(t), c.ID, "sideways", ""); err == nil {
		t.Error("a step that does not exist was taken")
	}
	other := local("dora")
	if err := b.DropClaim(ctx(t), c.ID, other); err != nil {
		t.Fatal(err)
	}
	if again := must(b.connect(carl, offers[0].ID))(t); again.ID != c.ID {
		t.Error("the claim of somebody else was dropped")
	}
	if err := b.DropClaim(ctx(t), c.ID, carl.Who); err != nil {
		t.Fatal(err)
	}
	if now := must(b.Offers(ctx(t), broker.OfferQuery{Who: carl.Who, Grants: carl.Grants}))(t); now[0].State != broker.OfferAvailable {
		t.Errorf("%+v", now)
	}
}
