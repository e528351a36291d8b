package storetest

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"switchpoint/broker"
)

// centers is a setup whose desktops come from a center and stand in pools by rules.
func centers() broker.Setup {
	return broker.Setup{
		Centers: []broker.Center{{Name: "racks", Kind: broker.CenterCSV, CSV: "name\nx\n"}},
		DesktopPools: []broker.DesktopPool{
			{Name: "own", Kind: broker.KindAssigned, Rules: []broker.PoolRule{{Attribute: "name", Match: "begins-with", Value: "own"}}},
			{Name: "pool", Kind: broker.KindPooled, Check: "none", Rules: []broker.PoolRule{
				{Attribute: "os", Match: "contains", Value: "linux"}, {Attribute: "ip", Match: "in-network", Value: "10.1.0.0/16"}}},
		},
		Policies: []broker.Policy{{Name: "all", Pools: []string{"pool"}}},
	}.WithDefaults()
}

func machine(name, ip string) broker.Machine {
	return broker.Machine{Name: name, Host: ip, IP: ip, OS: "Linux", Tags: []string{"a", "b"}, MAC: "52:54:00:00:00:07", Port: 22, Protocol: "ssh"}
}

func (b *bench) scan(batch broker.ScanBatch) []string {
	b.t.Helper()
	batch.Center = "racks"
	return must(b.ApplyScan(ctx(b.t), batch))(b.t)
}

func testScan(t *testing.T, b *bench) {
	b.fill(centers())
	one, two := machine("one", "10.1.0.1"), machine("two", "10.1.0.2")
	two.ID, two.OU, two.Description = "key-2", "OU=x", "floor"
	if taken := b.scan(broker.ScanBatch{Machines: []broker.Machine{one, two, machine("far", "10.2.0.1")}}); len(taken) != 0 {
		t.Errorf("taken: %v", taken)
	}
	_, offers := b.login("carl")
	if len(offers) != 1 || offers[0].State != broker.OfferAvailable || offers[0].Protocol != "ssh" {
		t.Fatalf("offers %+v", offers)
	}
	list := must(b.handle().CenterDesktops(ctx(t), "racks"))(t)
	slices.SortFunc(list, func(x, y broker.CenterDesktop) int { return -1 * len(x.ID) })
	if len(list) != 3 || !reflect.DeepEqual(list[0].Machine, two) || list[0].Missing {
		t.Fatalf("desktops of the center: %+v", list)
	}
	// Renamed, moved out of the pool by its address, and back under its old key.
	two.Name, two.IP = "zwei", "10.9.0.2"
	b.scan(broker.ScanBatch{Machines: []broker.Machine{two}, Vanished: []string{"one"}})
	if c, err := b.Candidates(ctx(t), stranger(), offers[0].ID, 10); !errors.Is(err, broker.ErrNoDesktop) {
		t.Errorf("a vanished desktop, or one of no pool, is offered: %+v, %v", c, err)
	}
	r := b.record("dora")
	if out := must(b.Login(ctx(t), r))(t); out.Session != nil {
		t.Errorf("offers without a desktop: %+v", out)
	}
	state := must(b.Centers(ctx(t)))(t)
	if len(state) != 1 || state[0].Name != "racks" || state[0].Desktops != 2 || state[0].Vanished != 1 {
		t.Errorf("centers %+v", state)
	}
	b.scan(broker.ScanBatch{Machines: []broker.Machine{one}})
	if c := must(b.Candidates(ctx(t), stranger(), offers[0].ID, 10))(t); len(c) != 1 || c[0].Name != "one" || c[0].Host != "10.1.0.1" || c[0].Port != 22 {
		t.Errorf("the desktop is not back: %+v", c)
	}
	one.Disabled = true
	b.scan(broker.ScanBatch{Machines: []broker.Machine{one}})
	if _, err := b.Candidates(ctx(t), stranger(), offers[0].ID, 10); !errors.Is(err, broker.ErrNoDesktop) {
		t.Errorf("a disabled desktop is offered: %v", err)
	}
}

// stranger has a session that may have the pool.
func stranger() broker.Session {
	return broker.Session{ID: id(), Who: local("x"), Grants: []broker.Grant{{Pool: "pool", MaxOffers: 1}}}
}

// testScanNames gives names to two sources at once, and a machine another key.
func testScanNames(t *testing.T, b *bench) {
	s := centers()
	s.Desktops = []broker.Desktop{{Name: "one", Pool: "pool", Host: "10.1.0.9"}}
	b.fill(s.WithDefaults())
	two := machine("two", "10.1.0.2")
	two.ID = "first"
	if taken := b.scan(broker.ScanBatch{Machines: []broker.Machine{machine("one", "10.1.0.1"), two}}); !slices.Equal(taken, []string{"one"}) {
		t.Errorf("taken: %v", taken)
	}
	b.scan(broker.ScanBatch{Vanished: []string{"first"}})
	two.ID = "second"
	if taken := b.scan(broker.ScanBatch{Machines: []broker.Machine{two}}); len(taken) != 0 {
		t.Errorf("a machine that was set up anew does not come back: %v", taken)
	}
	if list := must(b.CenterDesktops(ctx(t), "racks"))(t); len(list) != 1 || list[0].ID != "second" || list[0].Missing {
		t.Errorf("desktops %+v", list)
	}
	// The setup takes a desktop over, and the center's end takes the others away.
	s.Desktops = append(s.Desktops, broker.Desktop{Name: "two", Pool: "pool", Host: "10.1.0.8"})
	b.fill(s.WithDefaults())
	if list := must(b.CenterDesktops(ctx(t), "racks"))(t); len(list) != 0 {
		t.Errorf("desktops %+v", list)
	}
	b.scan(broker.ScanBatch{Machines: []broker.Machine{machine("three", "10.1.0.3")}})
	s.Centers = nil
	b.fill(s.WithDefaults())
	if _, err := b.ApplyScan(ctx(t), broker.ScanBatch{Center: "racks"}); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a center that has gone is written: %v", err)
	}
	if err := b.EndScan(ctx(t), "racks", broker.ScanEnd{}); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a center that has gone has a scan: %v", err)
	}
	if got, _, err := b.Setup(ctx(t)); err != nil || len(got.Desktops) != 2 || !reflect.DeepEqual(got, s.WithDefaults()) {
		t.Errorf("setup %+v, %v", got, err)
	}
}

func testCenterState(t *testing.T, b *bench) {
	b.fill(centers())
	if _, err := b.ConfirmVanish(ctx(t), "racks", b.row(broker.LogSetup)); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("nothing to confirm: %v", err)
	}
	if _, err := b.ConfirmVanish(ctx(t), "nobody", b.row(broker.LogSetup)); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("no such center: %v", err)
	}
	for _, end := range []broker.ScanEnd{{Result: "fine", Waiting: 7}, {Error: "cut off"}} {
		if err := b.EndScan(ctx(t), "racks", end); err != nil {
			t.Fatal(err)
		}
	}
	row := b.row(broker.LogSetup)
	if n, err := b.ConfirmVanish(ctx(t), "racks", row); err != nil || n != 7 {
		t.Errorf("confirmed %d, %v", n, err)
	}
	if _, err := b.LogByRef(ctx(t), row.Ref); err != nil {
		t.Errorf("the confirmation is not in the log: %v", err)
	}
	c := must(b.handle().Centers(ctx(t)))(t)[0]
	if c.Result != "fine" || c.Error != "cut off" || c.Scanned.IsZero() || c.Failed.Before(c.Scanned) || c.Waiting != 7 || c.Confirmed != 7 {
		t.Errorf("center %+v", c)
	}
	b.fill(centers()) // another setup changes nothing about it
	if c := must(b.Centers(ctx(t)))(t)[0]; c.Confirmed != 7 {
		t.Errorf("center %+v", c)
	}
	if err := b.EndScan(ctx(t), "racks", broker.ScanEnd{Result: "done"}); err != nil {
		t.Fatal(err)
	}
	if c := must(b.Centers(ctx(t)))(t)[0]; c.Waiting != 0 || c.Confirmed != 0 {
		t.Errorf("center %+v", c)
	}
}

func testPoolRules(t *testing.T, b *bench) {
	b.fill(centers())
	b.scan(broker.ScanBatch{Machines: []broker.Machine{machine("one", "10.1.0.1"), machine("own-1", "10.1.0.2")}})
	who, offers := b.login("carl")
	if _, err := b.connect(who, offers[0].ID); err != nil {
		t.Fatal(err)
	}
	changed := centers()
	changed.DesktopPools[1].Rules = nil
	changed.DesktopPools[1].Desktops = []string{"OWN-1"} // the pool before it takes it first
	b.fill(changed)
	if s, _, err := b.Setup(ctx(t)); err != nil || !reflect.DeepEqual(s, changed) {
		t.Errorf("setup %+v, %v", s, err)
	}
	if n := must(b.RefreshPools(ctx(t)))(t); n != 0 {
		t.Errorf("%d desktops stand elsewhere after a setup that placed them", n)
	}
	// Carl works on a desktop that has left the pool: it stays his until he logs out.
	if c, err := b.connect(who, offers[0].ID); err != nil || c.Name != "one" {
		t.Errorf("%+v, %v", c, err)
	}
	if n := must(b.Logout(ctx(t), who.ID, b.row(broker.LogLogout)))(t); n != 1 {
		t.Errorf("%d released", n)
	}
	if out := must(b.Login(ctx(t), b.record("dora")))(t); out.Session != nil {
		t.Errorf("an empty pool is offered: %+v", out.Offers)
	}
}

// testOffersLogged writes the log row of a list that was asked for again.
func testOffersLogged(t *testing.T, b *bench) {
	b.fill(setup())
	s, offers := b.login("anna")
	row := b.row(broker.LogOffers)
	row.Who, row.Session = s.Who, s.ID
	again := must(b.Offers(ctx(t), broker.OfferQuery{Who: s.Who, Grants: s.Grants, Log: &row}))(t)
	if !reflect.DeepEqual(again, offers) {
		t.Errorf("offers %+v, then %+v", offers, again)
	}
	if got := must(b.LogByRef(ctx(t), row.Ref))(t); got.Kind != broker.LogOffers || got.Session != s.ID || got.Who != s.Who {
		t.Errorf("log row %+v", got)
	}
}
