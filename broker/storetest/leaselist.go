package storetest

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"switchpoint/broker"
)

// launched fills the database with leases: of anna for two desktops, one of them from a device of hers, and
// of bert.
func (b *bench) launched() {
	b.t.Helper()
	s := twoOwn()
	s.Desktops = append(s.Desktops, broker.Desktop{Name: "own-3", Pool: "own", Host: "10.0.0.3"})
	s.Assignments = append(s.Assignments, broker.Assignment{User: "bert", Desktop: "own-3"})
	b.fill(s.WithDefaults())
	anna, hers := b.login("anna")
	bert, his := b.login("bert")
	for _, c := range []struct {
		s      broker.Session
		o      broker.OfferID
		client string
	}{{anna, hers[0].ID, ""}, {anna, hers[1].ID, "tc"}, {bert, his[0].ID, ""}} {
		must(b.launch(c.s, c.o, broker.LeaseTerms{Life: leaseLife, Client: c.client}))(b.t)
	}
}

// testLeaseFilter lists what filters pick, in their order.
func testLeaseFilter(t *testing.T, b *bench) {
	b.launched()
	id := b.lease(broker.LeaseFilter{Desktop: "own-2"}).Desktop
	for _, c := range []struct {
		filter broker.LeaseFilter
		want   []string // user, kind, desktops
	}{
		{broker.LeaseFilter{Kind: broker.LeaseEnumeration}, []string{"anna enumeration own-1 own-2", "bert enumeration own-3"}},
		{broker.LeaseFilter{User: "bert"}, []string{"bert enumeration own-3", "bert launch own-3"}},
		{broker.LeaseFilter{User: "bert", Directory: broker.LocalDirectory, Kind: broker.LeaseLaunch}, []string{"bert launch own-3"}},
		{broker.LeaseFilter{Directory: "corp"}, nil},
		{broker.LeaseFilter{Desktop: "own-2"}, []string{"anna launch own-2"}},
		{broker.LeaseFilter{Desktop: id}, []string{"anna launch own-2"}},
		{broker.LeaseFilter{Desktop: "own-2", User: "bert"}, nil},
		{broker.LeaseFilter{Client: "tc"}, []string{"anna launch own-2"}},
		{broker.LeaseFilter{Most: 1}, []string{"anna enumeration own-1 own-2"}},
		{broker.LeaseFilter{Removed: true, Most: 4}, []string{"anna enumeration own-1 own-2", "", "", "bert enumeration own-3"}},
	} {
		list := b.leases(c.filter)
		if len(list) != len(c.want) {
			t.Errorf("%+v picks %+v", c.filter, list)
			continue
		}
		for i, l := range list {
			got := l.User + " " + l.Kind
			for _, name := range names(l) {
				got += " " + name
			}
			if c.want[i] != "" && got != c.want[i] {
				t.Errorf("%+v: number %d is %s, want %s", c.filter, i, got, c.want[i])
			}
		}
	}
}

// testLeaseRemove: what is removed counts no more, others read so, and the next connect records it again.
func testLeaseRemove(t *testing.T, b *bench) {
	b.launched()
	row, none := b.row(broker.LogCluster), b.row(broker.LogCluster)
	one := broker.LeaseFilter{Desktop: "own-1", Removed: true, Most: -1}
	if n := must(b.handle().RemoveLeases(ctx(t), one, row))(t); n != 1 {
		t.Errorf("removed %d", n)
	}
	must(b.LogByRef(ctx(t), row.Ref))(t)
	if n := must(b.RemoveLeases(ctx(t), one, none))(t); n != 0 {
		t.Errorf("removed %d again", n)
	}
	if _, err := b.LogByRef(ctx(t), none.Ref); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("nothing was removed, and there is a log row: %v", err)
	}
	if list := b.leases(broker.LeaseFilter{Desktop: "own-1"}); len(list) != 0 {
		t.Errorf("listed: %+v", list)
	}
	gone := b.lease(one)
	if gone.Removed.IsZero() || !gone.Changed.Equal(gone.Removed) || gone.Usable(gone.Recorded) || gone.Changed.Before(gone.Recorded) {
		t.Errorf("a removed lease is %+v", gone)
	}
	if list := b.leases(broker.LeaseFilter{}); len(list) != 4 {
		t.Errorf("others were removed: %+v", list)
	}
	s, offers := b.login("anna")
	must(b.launch(s, offers[0].ID, broker.LeaseTerms{Life: leaseLife}))(t)
	if l := b.lease(one); !l.Removed.IsZero() || l.Changed.Before(gone.Changed) || !l.Usable(l.Recorded) {
		t.Errorf("recorded again: %+v", l)
	}
	if n := must(b.RemoveLeases(ctx(t), broker.LeaseFilter{}, broker.LogRow{}))(t); n != 5 {
		t.Errorf("removed %d of all", n)
	}
}

// kept is a cursor as a broker finds it again in its file.
func kept(t *testing.T, c broker.LeaseCursor) (out broker.LeaseCursor) {
	t.Helper()
	text := must(json.Marshal(c))(t)
	if err := json.Unmarshal(text, &out); err != nil || out != c {
		t.Fatalf("%+v is kept as %+v, %v", c, out, err)
	}
	return out
}

// follow reads leases from a cursor to the end, in pages.
func (b *bench) follow(c broker.LeaseCursor, page int) (out []broker.Lease, end broker.LeaseCursor) {
	b.t.Helper()
	for {
		list, next, err := b.LeasesAfter(ctx(b.t), c, page)
		if err != nil {
			b.t.Fatal(err)
		}
		if len(list) > page || (len(list) == 0) != (next == c) {
			b.t.Fatalf("a page of %d leases up to %+v after %+v", len(list), next, c)
		}
		if len(list) == 0 {
			return out, c
		}
		out, c = append(out, list...), kept(b.t, next)
	}
}

// testLeaseCursor: in pages of any size, everything comes once and in the order of its change, though many
// have one time.
func testLeaseCursor(t *testing.T, b *bench) {
	if list, end := b.follow(broker.LeaseCursor{}, 10); len(list) != 0 || end != (broker.LeaseCursor{}) {
		t.Errorf("an empty table: %+v, %+v", list, end)
	}
	b.launched()
	all, end := b.follow(broker.LeaseCursor{}, 100)
	if len(all) != 5 || !slices.IsSortedFunc(all, func(a, b broker.Lease) int { return a.Changed.Compare(b.Changed) }) {
		t.Fatalf("%d leases: %+v", len(all), all)
	}
	if n := must(b.RemoveLeases(ctx(t), broker.LeaseFilter{}, broker.LogRow{}))(t); n != 5 {
		t.Fatalf("removed %d", n)
	}
	for page := 1; page <= 6; page++ {
		list, last := b.follow(end, page)
		users := make(map[[4]string]bool)
		for _, l := range list {
			users[[4]string{l.User, l.Kind, l.Desktop, l.Client}] = true
			if l.Removed.IsZero() || !l.Changed.Equal(list[0].Changed) {
				t.Errorf("after they were removed together: %+v", l)
			}
		}
		if len(list) != 5 || len(users) != 5 {
			t.Errorf("pages of %d: %d leases, %d of them different", page, len(list), len(users))
		}
		if more, _ := b.follow(last, page); len(more) != 0 {
			t.Errorf("pages of %d: after the end comes %+v", page, more)
		}
	}
	_, end = b.follow(end, 100)
	s, offers := b.login("bert")
	must(b.launch(s, offers[0].ID, broker.LeaseTerms{Life: leaseLife}))(t)
	back := broker.LeaseCursor{Changed: end.Changed.Add(-time.Minute)}
	news, _ := b.follow(end, 100)
	if again, _ := b.follow(back, 2); len(news) != 2 || len(again) != 5 || !reflect.DeepEqual(again[3:], news) {
		t.Errorf("news %+v\nfrom a minute before %+v", news, again)
	}
}

// testLeasePurge: leases that were removed just now stay for those who have not read it yet, and so do
// those that have just expired.
func testLeasePurge(t *testing.T, b *bench) {
	b.launched()
	must(b.RemoveLeases(ctx(t), broker.LeaseFilter{User: "anna"}, broker.LogRow{}))(t)
	s, offers := b.login("bert")
	must(b.launch(s, offers[0].ID, broker.LeaseTerms{Life: time.Millisecond}))(t)
	if p := must(b.Purge(ctx(t), broker.Retention{}))(t); p.Leases != 0 {
		t.Errorf("purged %+v", p)
	}
	if list := b.leases(broker.LeaseFilter{Removed: true}); len(list) != 5 {
		t.Errorf("left: %+v", list)
	}
}
