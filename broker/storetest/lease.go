package storetest

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"switchpoint/broker"
)

const leaseLife = 14 * 24 * time.Hour

// twoOwn is setup with both own desktops anna's, one of them without a pool.
func twoOwn() broker.Setup {
	s := setup()
	s.Assignments = []broker.Assignment{{User: "anna", Desktop: "own-1"}, {User: "anna", Desktop: "own-2"}}
	return s.WithDefaults()
}

// launch connects as the broker does that records leases.
func (b *bench) launch(s broker.Session, o broker.OfferID, terms broker.LeaseTerms) (broker.Candidate, error) {
	return b.Connect(ctx(b.t), broker.ConnectRecord{Session: s, Offer: o, Log: b.row(broker.LogConnect), Lease: terms})
}

func (b *bench) leases(f broker.LeaseFilter) []broker.Lease {
	b.t.Helper()
	return must(b.Leases(ctx(b.t), f))(b.t)
}

// lease is the only one that f picks.
func (b *bench) lease(f broker.LeaseFilter) broker.Lease {
	b.t.Helper()
	list := b.leases(f)
	if len(list) != 1 {
		b.t.Fatalf("%d leases of %+v: %+v", len(list), f, list)
	}
	return list[0]
}

// names are the desktops of a lease.
func names(l broker.Lease) (out []string) {
	for _, d := range l.Desktops {
		out = append(out, d.Name)
	}
	return out
}

// testLease: a connect to an own desktop leaves its launch and what the user may see, and the next ones
// leave both as they are.
func testLease(t *testing.T, b *bench) {
	b.fill(setup())
	s, offers := b.login("bert")
	terms := broker.LeaseTerms{Life: leaseLife}
	if _, err := b.connect(s, offers[0].ID); err != nil || len(b.leases(broker.LeaseFilter{})) != 0 {
		t.Fatalf("a connect without terms left %+v, %v", b.leases(broker.LeaseFilter{}), err)
	}
	c := must(b.launch(s, offers[0].ID, terms))(t)
	list := must(b.handle().Leases(ctx(t), broker.LeaseFilter{}))(t)
	if len(list) != 2 {
		t.Fatalf("leases %+v", list)
	}
	desktop := broker.LeaseDesktop{ID: c.ID, Name: "own-2", Pool: "own", Host: "10.0.0.2", Port: 2222, Protocol: "ssh", Check: "dial", State: "enabled"}
	for i, want := range []broker.Lease{
		{Kind: broker.LeaseEnumeration, Who: local("bert"), Grants: s.Grants},
		{Kind: broker.LeaseLaunch, Who: local("bert"), Desktop: c.ID},
	} {
		got := list[i]
		want.Desktops = []broker.LeaseDesktop{desktop}
		want.Recorded, want.Expires, want.Changed = got.Recorded, got.Recorded.Add(leaseLife), got.Recorded
		if !reflect.DeepEqual(got, want) {
			t.Errorf("lease\n got %+v\nwant %+v", got, want)
		}
		if age := time.Since(got.Recorded); age.Abs() > time.Hour || !got.Usable(got.Expires.Add(-1)) || got.Usable(got.Expires) {
			t.Errorf("recorded %s, until %s", got.Recorded, got.Expires)
		}
	}
	other, _ := b.login("bert")
	for range 3 {
		must(b.launch(other, offers[0].ID, terms))(t)
	}
	if again := b.leases(broker.LeaseFilter{}); !reflect.DeepEqual(again, list) {
		t.Errorf("written again:\n%+v\n%+v", again, list)
	}
}

// testLeaseNone: connects to pooled desktops, repeated ones and refused ones leave nothing.
func testLeaseNone(t *testing.T, b *bench) {
	b.fill(setup())
	s, offers := b.login("anna")
	_, others := b.login("bert")
	terms := broker.LeaseTerms{Life: leaseLife}
	must(b.launch(s, offers[1].ID, terms))(t)
	if _, err := b.launch(s, others[0].ID, terms); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("somebody else's desktop: %v", err)
	}
	if list := b.leases(broker.LeaseFilter{}); len(list) != 0 {
		t.Fatalf("left %+v", list)
	}
	r := broker.ConnectRecord{Session: s, Offer: offers[0].ID, Key: "k", KeyLife: time.Hour, Log: b.row(broker.LogConnect)}
	must(b.Connect(ctx(t), r))(t)
	r.Lease, r.Log = terms, b.row(broker.LogConnect)
	must(b.Connect(ctx(t), r))(t)
	if list := b.leases(broker.LeaseFilter{}); len(list) != 0 {
		t.Errorf("a repeated connect left %+v", list)
	}
	r.Key = "another"
	must(b.Connect(ctx(t), r))(t)
	if list := b.leases(broker.LeaseFilter{}); len(list) != 2 {
		t.Errorf("a connect with a key left %+v", list)
	}
	must(b.RemoveLeases(ctx(t), broker.LeaseFilter{}, broker.LogRow{}))(t)
	closed := setup()
	for i := range closed.Desktops {
		closed.Desktops[i].State = "maintenance"
	}
	b.fill(closed)
	if _, err := b.launch(s, offers[0].ID, terms); !errors.Is(err, broker.ErrMaintenance) {
		t.Errorf("a desktop in maintenance: %v", err)
	}
	must(b.Logout(ctx(t), s.ID, b.row(broker.LogLogout)))(t)
	if _, err := b.launch(s, offers[0].ID, terms); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a session that has ended: %v", err)
	}
	if list := b.leases(broker.LeaseFilter{}); len(list) != 0 {
		t.Errorf("refused connects left %+v", list)
	}
}

// testLeaseRenewed: what changes is written with the next connect, and so is a lease that has used up a
// part of its life or has another one by now.
func testLeaseRenewed(t *testing.T, b *bench) {
	b.fill(setup())
	s, offers := b.login("anna")
	terms := broker.LeaseTerms{Life: leaseLife}
	launch := broker.LeaseFilter{Kind: broker.LeaseLaunch}
	must(b.launch(s, offers[0].ID, terms))(t)
	moved := setup()
	moved.Desktops[0].Host = "10.9.9.9"
	b.fill(moved)
	before := b.lease(launch)
	must(b.launch(s, offers[0].ID, terms))(t)
	for _, l := range b.leases(broker.LeaseFilter{}) {
		if l.Desktops[0].Host != "10.9.9.9" || l.Changed.Before(before.Changed) {
			t.Errorf("the desktop is elsewhere, and the lease is %+v", l)
		}
	}
	for _, life := range []time.Duration{2 * leaseLife, 48 * time.Hour, 36 * time.Hour} {
		must(b.launch(s, offers[0].ID, broker.LeaseTerms{Life: life}))(t)
		for _, l := range b.leases(broker.LeaseFilter{}) {
			if l.Expires.Sub(l.Recorded) != life {
				t.Errorf("a life of %s makes %+v", life, l)
			}
		}
	}
	// Of a short life, the half is enough.
	terms.Life = 2 * time.Second
	must(b.launch(s, offers[0].ID, terms))(t)
	first := b.lease(launch)
	for deadline := time.Now().Add(30 * time.Second); ; {
		must(b.launch(s, offers[0].ID, terms))(t)
		if l := b.lease(launch); !l.Recorded.Equal(first.Recorded) {
			if age := l.Recorded.Sub(first.Recorded); age < time.Second || !l.Expires.After(first.Expires) {
				t.Errorf("written again after %s: %+v", age, l)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it is never written again")
		}
	}
}

// testLeaseEnumeration: what a user may see follows his assignments and his grants, and keeps no desktop
// that is not offered to him; its launch stays.
func testLeaseEnumeration(t *testing.T, b *bench) {
	both := twoOwn()
	both.Desktops[1].Pool = ""
	b.fill(both)
	s, offers := b.login("anna")
	terms := broker.LeaseTerms{Life: leaseLife}
	must(b.launch(s, offers[1].ID, terms))(t)
	sees := func(when string, want ...string) broker.Lease {
		t.Helper()
		l := b.lease(broker.LeaseFilter{Kind: broker.LeaseEnumeration})
		if !slices.Equal(names(l), want) {
			t.Errorf("%s: anna sees %v, want %v", when, names(l), want)
		}
		return l
	}
	if d := sees("two are assigned", "own-1", "own-2").Desktops[1]; d.Pool != "" || d.Check != "dial" || d.Port != 2222 {
		t.Errorf("a desktop without a pool: %+v", d)
	}
	both.Desktops[0].State = "maintenance"
	b.fill(both)
	must(b.launch(s, offers[1].ID, terms))(t)
	if d := sees("one is in maintenance", "own-1", "own-2").Desktops[0]; d.State != broker.DesktopMaintenance {
		t.Errorf("state %s", d.State)
	}
	both.Assignments = both.Assignments[1:]
	b.fill(both)
	sees("one was taken away, and he has not connected since", "own-1", "own-2")
	more, _ := b.login("anna")
	more.Grants = append(more.Grants, broker.Grant{Pool: "more", MaxOffers: 2, Order: broker.OrderLRU, Protocol: "ssh", MaxSessions: 3})
	must(b.launch(more, offers[1].ID, terms))(t)
	if l := sees("one is left", "own-2"); !reflect.DeepEqual(l.Grants, more.Grants) {
		t.Errorf("grants %+v", l.Grants)
	}
	more.Grants = nil
	must(b.launch(more, offers[1].ID, terms))(t)
	if l := sees("without grants", "own-2"); l.Grants != nil {
		t.Errorf("grants %+v", l.Grants)
	}
	if l := b.lease(broker.LeaseFilter{Kind: broker.LeaseLaunch}); !slices.Equal(names(l), []string{"own-2"}) {
		t.Errorf("launched: %+v", l)
	}
}

// testLeaseClient: with clients each device has its own launch; what the user may see is one.
func testLeaseClient(t *testing.T, b *bench) {
	b.fill(setup())
	s, offers := b.login("anna")
	for _, client := range []string{"", "tc-1", "tc-2", "tc-1", ""} {
		must(b.launch(s, offers[0].ID, broker.LeaseTerms{Life: leaseLife, Client: client}))(t)
	}
	var clients []string
	for _, l := range b.leases(broker.LeaseFilter{Kind: broker.LeaseLaunch}) {
		clients = append(clients, l.Client)
	}
	if want := []string{"", "tc-1", "tc-2"}; !slices.Equal(clients, want) {
		t.Errorf("launches from %q, want %q", clients, want)
	}
	if l := b.lease(broker.LeaseFilter{Kind: broker.LeaseEnumeration}); l.Client != "" {
		t.Errorf("%+v", l)
	}
}
