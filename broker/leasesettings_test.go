package broker

import (
	"testing"
	"time"

	"switchpoint/internal/problem"
)

// TestLeaseTerms: what a connect leaves behind, by the settings and the client.
func TestLeaseTerms(t *testing.T) {
	off, on := false, true
	for _, c := range []struct {
		name   string
		leases Leases
		client string
		want   LeaseTerms
	}{
		{"defaults", Leases{}, "tc-17 4.2", LeaseTerms{Life: 14 * 24 * time.Hour}},
		{"said to be on", Leases{Enabled: &on}, "", LeaseTerms{Life: 14 * 24 * time.Hour}},
		{"off", Leases{Enabled: &off, Life: time.Hour, PerClient: true}, "tc-17 4.2", LeaseTerms{}},
		{"another life", Leases{Life: 240 * time.Hour}, "tc-17 4.2", LeaseTerms{Life: 240 * time.Hour}},
		{"for one device", Leases{PerClient: true}, "tc-17 4.2", LeaseTerms{Life: 14 * 24 * time.Hour, Client: "tc-17 4.2"}},
		{"a device without a name", Leases{PerClient: true}, "", LeaseTerms{}},
		{"a browser, on whatever device", Leases{PerClient: true}, ClientBrowser, LeaseTerms{}},
		{"a browser, for all devices", Leases{}, ClientBrowser, LeaseTerms{Life: 14 * 24 * time.Hour}},
	} {
		if got := c.leases.terms(c.client); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestLeasesValidate: a life is an hour to a year.
func TestLeasesValidate(t *testing.T) {
	for life, want := range map[time.Duration]string{
		0: "", time.Hour: "", 8760 * time.Hour: "",
		59 * time.Minute:        "leases.life: 59m0s is shorter than 1h0m0s; leave it out for the default of 336h; enabled = false makes none",
		-time.Hour:              "leases.life: -1h0m0s is shorter than 1h0m0s; leave it out for the default of 336h; enabled = false makes none",
		8761 * time.Hour:        "leases.life: 8761h0m0s is longer than 8760h0m0s, a year; leave it out for the default of 336h",
		time.Nanosecond:         "leases.life: 1ns is shorter than 1h0m0s; leave it out for the default of 336h; enabled = false makes none",
		1<<63 - 1:               "leases.life: 2562047h47m16.854775807s is longer than 8760h0m0s, a year; leave it out for the default of 336h",
		14 * 24 * time.Hour / 2: "",
	} {
		got := ""
		if list, ok := (Setup{Leases: Leases{Life: life}}).Validate(nil, "us").(problem.List); ok {
			got = list.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", life, got, want)
		}
	}
}

// TestLeaseSettings: every setting with its default, what is in force and where from (LS5).
func TestLeaseSettings(t *testing.T) {
	off := false
	for _, c := range []struct {
		leases Leases
		want   [3]LeaseSetting
	}{
		{Leases{}, [3]LeaseSetting{
			{"[leases] enabled", "true", "true", FromDefault}, {"[leases] life", "336h0m0s", "336h0m0s", FromDefault}, {"[leases] per_client", "false", "false", FromDefault},
		}},
		{Leases{Enabled: &off, Life: 240 * time.Hour, PerClient: true}, [3]LeaseSetting{
			{"[leases] enabled", "true", "false", "setup version 7"}, {"[leases] life", "336h0m0s", "240h0m0s", "setup version 7"},
			{"[leases] per_client", "false", "true", "setup version 7"},
		}},
	} {
		if got := [3]LeaseSetting(c.leases.settings(7)); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.leases, got, c.want)
		}
	}
}

// TestLeaseChange: what is not named stays, and the setup that it was made from stays whole.
func TestLeaseChange(t *testing.T) {
	on, off, week := true, false, 168*time.Hour
	was := Leases{Enabled: &on, Life: 240 * time.Hour, PerClient: true}
	if got := (LeaseChange{Enabled: &off}).apply(was); *got.Enabled || got.Life != was.Life || !got.PerClient || !*was.Enabled {
		t.Errorf("switched off: %+v, of %+v", got, was)
	}
	if got := (LeaseChange{Life: &week, PerClient: &off}).apply(was); !*got.Enabled || got.Life != week || got.PerClient {
		t.Errorf("a week, for all devices: %+v", got)
	}
	if got := (LeaseChange{}).apply(Leases{}); got != (Leases{}) {
		t.Errorf("nothing changed: %+v", got)
	}
}

// TestLeaseFilterSays: the log tells which leases were removed, without what could break its lines.
func TestLeaseFilterSays(t *testing.T) {
	for _, c := range []struct {
		f      LeaseFilter
		narrow bool
		want   string
	}{
		{LeaseFilter{Removed: true, Most: 5}, false, "all leases"},
		{LeaseFilter{User: "Anna ", Kind: LeaseLaunch}.canonical(), true, `the leases of kind "launch", user "anna"`},
		{LeaseFilter{Directory: "corp", Desktop: "d-1", Client: "tc\n17"}, true, `the leases of directory "corp", desktop "d-1", client "tc 17"`},
	} {
		if got := c.f.String(); got != c.want || c.f.Narrow() != c.narrow {
			t.Errorf("%+v: %q, narrow %v", c.f, got, c.f.Narrow())
		}
	}
}
