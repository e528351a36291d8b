package storetest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/directory"
	"switchpoint/redirect"
)

func testSetupRoundTrip(t *testing.T, b *bench) {
	if s, v, err := b.Setup(ctx(t)); err != nil || v != 0 || !reflect.DeepEqual(s, broker.Setup{}) {
		t.Fatalf("an empty database has a setup: %+v, %d, %v", s, v, err)
	}
	no := false
	want := setup()
	want.Directories = []broker.Directory{{
		Config:   directory.Config{Name: "corp", Servers: []string{"ldaps://dc1"}, BaseDN: "dc=corp", Timeout: time.Second, Attributes: []string{"c"}},
		Redirect: &redirect.Config{Attribute: "distinguishedName", Match: "contains", Rules: "OU=US > us\nOU=DE > de if_assigned_only", CaseSensitive: &no},
	}}
	want.Destinations = []redirect.Destination{{Name: "us", URL: "https://us", Cluster: "us", Monitor: "m"}}
	want.Users = []broker.LocalUser{{Name: "x", Password: "$argon2id$"}}
	want.Limits = broker.Limits{Failures: 3, Block: time.Minute}
	want.Leases = broker.Leases{Enabled: &no, Life: time.Hour, PerClient: true}
	want.Protocols = []broker.Protocol{{Name: "nx", Port: 4000, Template: "{host}", File: "nxs"}}
	want.Powers = []broker.Power{{Name: "wake", Kind: "wol"}}
	want.Centers = []broker.Center{{Name: "racks", Kind: broker.CenterCSV, CSV: "name\nx\n", Every: time.Minute}}
	for v, i := reflect.ValueOf(want), 0; i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("nobody looks whether %s comes back", v.Type().Field(i).Name)
		}
	}
	b.fill(want)
	got, v, err := b.handle().Setup(ctx(t))
	if err != nil || v != 1 {
		t.Fatal(v, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("setup came back changed:\n got %+v\nwant %+v", got, want)
	}
}

func testSetupConflict(t *testing.T, b *bench) {
	b.fill(setup())
	if _, err := b.handle().ReplaceSetup(ctx(t), broker.Setup{}, 0, b.row(broker.LogSetup)); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a setup was replaced over another version: %v", err)
	}
	if s, v, err := b.Setup(ctx(t)); err != nil || v != 1 || len(s.Desktops) != 5 {
		t.Errorf("the refused change left a trace: %d, %v, %+v", v, err, s)
	}
}

// testSetupKeepsIdentity changes the setup under a claimed desktop: the claim stays with the
// desktop of that name, and goes with it.
func testSetupKeepsIdentity(t *testing.T, b *bench) {
	b.fill(setup())
	s, offers := b.login("carl")
	c := must(b.Connect(ctx(t), broker.ConnectRecord{Session: s, Offer: offers[0].ID, Log: b.row(broker.LogConnect)}))(t)
	changed := setup()
	for i := range changed.Desktops {
		changed.Desktops[i].Host = "10.9.9.9"
	}
	b.fill(changed)
	again := must(b.Connect(ctx(t), broker.ConnectRecord{Session: s, Offer: offers[0].ID, Log: b.row(broker.LogConnect)}))(t)
	if again.ID != c.ID || again.Host != "10.9.9.9" || !again.Claimed {
		t.Errorf("the claim did not stay: %+v, then %+v", c, again)
	}
	var without []broker.Desktop
	for _, d := range changed.Desktops {
		if d.Name != c.Name {
			without = append(without, d)
		}
	}
	changed.Desktops = without
	b.fill(changed)
	other := must(b.Connect(ctx(t), broker.ConnectRecord{Session: s, Offer: offers[0].ID, Log: b.row(broker.LogConnect)}))(t)
	if other.ID == c.ID {
		t.Error("a deleted desktop was given out")
	}
	b.fill(setup()) // the name comes back as a new desktop
	if n := len(must(b.Candidates(ctx(t), s, offers[0].ID, 10))(t)); n != 1 {
		t.Errorf("%d candidates for a claimed slot", n)
	}
}
