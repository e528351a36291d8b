package sqlite

import (
	"path/filepath"
	"testing"

	"switchpoint/broker"
)

// TestAdoptDesktops: what a user's leases say becomes his, and takes nothing from a desktop that is there.
func TestAdoptDesktops(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "leases.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	setup := broker.Setup{
		DesktopPools: []broker.DesktopPool{{Name: "own", Kind: broker.KindAssigned}, {Name: "shared", Kind: broker.KindPooled}},
		Desktops:     []broker.Desktop{{Name: "taken", Pool: "own", Host: "192.0.2.1"}},
	}.WithDefaults()
	if _, err := s.ReplaceSetup(t.Context(), setup, 0, broker.LogRow{ID: "1", Kind: broker.LogSetup}); err != nil {
		t.Fatal(err)
	}
	anna, bert := broker.Who{Directory: "local", User: "anna"}, broker.Who{Directory: "local", User: "bert"}
	leased := func(id, name, pool string) broker.LeaseDesktop {
		return broker.LeaseDesktop{ID: id, Name: name, Pool: pool, Host: "192.0.2.9", Port: 3389, Protocol: "rdp", Check: "dial", State: broker.DesktopEnabled}
	}
	adopt := func(who broker.Who, list ...broker.LeaseDesktop) {
		t.Helper()
		if err := s.AdoptDesktops(t.Context(), who, list); err != nil {
			t.Fatal(err)
		}
	}
	offers := func(who broker.Who, want ...string) {
		t.Helper()
		list, err := s.Offers(t.Context(), broker.OfferQuery{Who: who, Grants: []broker.Grant{{Pool: "shared", MaxOffers: 1}}})
		if err != nil || len(list) != len(want) {
			t.Fatalf("%s: %+v, %v", who.User, list, err)
		}
		for i, o := range list {
			if o.Name != want[i] {
				t.Errorf("%s: %+v", who.User, o)
			}
		}
	}
	adopt(anna, leased("d2", "second", "own"), leased("d1", "first", "a pool that has gone"), leased("d3", "of a pool", "shared"), leased("d4", "taken", "own"))
	offers(anna, "second", "first", "of a pool") // a pooled desktop is hers, and no free one
	version, err := s.CacheVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	adopt(anna, leased("d1", "another name", "own"))
	if again, err := s.CacheVersion(t.Context()); err != nil || again != version {
		t.Errorf("nothing was to be done: %+v, %+v, %v", version, again, err)
	}
	adopt(bert, leased("d1", "first", "own"))
	offers(bert, "first")
	offers(anna, "second", "of a pool")
	c, err := s.Candidates(t.Context(), broker.Session{Who: bert}, broker.OfferID{Desktop: "d1"}, 1)
	if err != nil || c[0].Host != "192.0.2.9" || c[0].Port != 3389 {
		t.Errorf("%+v, %v", c, err)
	}
	after, _, err := s.Setup(t.Context())
	if err != nil || len(after.Desktops) != 1 || len(after.Assignments) != 0 {
		t.Errorf("leases are no part of the setup: %+v, %v", after, err)
	}
}
