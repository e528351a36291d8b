package steer

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func TestCovers(t *testing.T) {
	const member, six = "cb.company.com/us/192.0.2.1:443", "cb.company.com/us/[2001:db8::1]:443"
	for _, tc := range []struct {
		pattern, what string
		want          bool
	}{
		{"*", member, true}, {"*/us", member, true}, {"*/uk", member, false},
		{"cb.company.com", member, true}, {"CB.Company.com/US", member, true}, {"cb.company", member, false},
		{"cb.*", member, true}, {"*.com/u?/*:443", member, true}, {"*.com/u?/*:80", member, false},
		{"cb.company.com/us/192.0.2.1:*", member, true}, {"cb.company.com/us/192.0.2.2:*", member, false},
		{"cb.company.com/us/[2001:db8::1]:443", six, true}, {"*/*/[2001:db8::*", six, true}, {"*/*/[2001:db9::*", six, false},
		{"*/us", "cb.company.com/us", true}, {"*/us/*", "cb.company.com/us", false}, {"*/us", "cb.company.com", false},
		{"*us*", "cb.company.com/us", false}, // a star stays within its part
		{"a*b*c", "axxbxxc", true}, {"a*b*c", "axxcxxb", false}, {"?", "", false}, {"**", "x", true},
	} {
		if got := covers(tc.pattern, tc.what); got != tc.want {
			t.Errorf("%q covers %q: %v", tc.pattern, tc.what, got)
		}
	}
}

func TestWordThatCounts(t *testing.T) {
	o := &Operator{}
	for _, v := range []Override{
		{Pattern: "*", State: "maintenance"},
		{Pattern: "*/us", State: "down", From: noon, Until: noon.Add(time.Hour)},
		{Pattern: "cb/us/192.0.2.1:443", State: "up", From: noon.Add(time.Minute)},
	} {
		o = o.With(v)
	}
	for _, tc := range []struct {
		what  string
		after time.Duration
		want  string
	}{
		{"cb/us/192.0.2.1:443", -1, "maintenance"}, {"cb/us/192.0.2.1:443", 0, "down"}, {"cb/us/192.0.2.1:443", time.Minute, "up"},
		{"cb/us", time.Minute, "down"}, {"cb/us", time.Hour - 1, "down"}, {"cb/us", time.Hour, "maintenance"}, {"cb/uk", 0, "maintenance"},
	} {
		if w := counting(o, tc.what, noon.Add(tc.after)); w == nil || w.State != tc.want {
			t.Errorf("%s after %s: %+v, want %q", tc.what, tc.after, w, tc.want)
		}
	}
	if w := counting(&Operator{}, "cb/us", noon); w != nil {
		t.Errorf("nobody said %+v", w)
	}
}

// counting is the word that counts at a time for "name/datacenter" or "name/datacenter/address:port".
func counting(o *Operator, what string, now time.Time) *word {
	id, below, _ := strings.Cut(what, "/")
	datacenter, address, _ := strings.Cut(below, "/")
	heard := o.hear(func(v Override) bool { return v.active(now) })
	return heard.on(&name{id: id}).about(&pool{Pool: Pool{Datacenter: datacenter}}, address)
}

func TestWithAndWithout(t *testing.T) {
	one := (&Operator{Version: 3}).With(Override{Pattern: "*/us", State: "down"})
	two := one.With(Override{Pattern: "*/uk", State: "down"}).With(Override{Pattern: "*/US", State: "up"})
	if len(one.Overrides) != 1 || one.Overrides[0].State != "down" {
		t.Errorf("the first was changed: %+v", one.Overrides)
	}
	if len(two.Overrides) != 2 || two.Overrides[1].State != "up" || two.Version != 3 {
		t.Errorf("%+v", two)
	}
	left, n := two.Without("*/us")
	if n != 1 || len(left.Overrides) != 1 || len(two.Overrides) != 2 {
		t.Errorf("%d went, %+v are left, of %+v", n, left.Overrides, two.Overrides)
	}
	if _, n := left.Without("*"); n != 0 {
		t.Errorf("a pattern that was not said is taken for %d", n)
	}
}

func TestReleased(t *testing.T) {
	o := &Operator{Version: 8, Releases: []Release{{Pattern: "*/us", Version: 5}, {Pattern: "cb", Version: 3}}}
	for _, tc := range []struct {
		what  string
		since uint64
		want  bool
	}{{"cb/us", 4, true}, {"cb/us", 5, false}, {"cb/uk", 2, true}, {"cb/uk", 3, false}, {"www/uk", 0, false}, {"cb/us", 8, false},
		{"cb/us", 9, true}, {"www/uk", 9, false}} { // under a document that is lost: this one began anew
		if got := o.released(tc.what, tc.since); got != tc.want {
			t.Errorf("%s, held since version %d: %v", tc.what, tc.since, got)
		}
	}
}

func TestNewer(t *testing.T) {
	for _, tc := range []struct {
		a, b Stamp
		want bool
	}{
		{Stamp{2, "a"}, Stamp{1, "z"}, true}, {Stamp{1, "z"}, Stamp{2, "a"}, false},
		{Stamp{1, "z"}, Stamp{1, "a"}, true}, {Stamp{1, "a"}, Stamp{1, "a"}, false}, {Stamp{}, Stamp{}, false},
	} {
		if got := tc.a.Newer(tc.b); got != tc.want {
			t.Errorf("%v newer than %v: %v", tc.a, tc.b, got)
		}
	}
}

// Of two documents exactly one wins, whoever looks.
func TestNewerIsAnOrder(t *testing.T) {
	stamp := rapid.Custom(func(t *rapid.T) Stamp {
		return Stamp{uint64(rapid.IntRange(0, 3).Draw(t, "version")), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "node")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := stamp.Draw(t, "a"), stamp.Draw(t, "b"), stamp.Draw(t, "c")
		if a != b && a.Newer(b) == b.Newer(a) {
			t.Fatalf("%v and %v: both or none wins", a, b)
		}
		if a.Newer(b) && b.Newer(c) && !a.Newer(c) {
			t.Fatalf("%v, %v, %v: not transitive", a, b, c)
		}
	})
}

func TestOverrideValidate(t *testing.T) {
	good := Override{Pattern: "cb.company.com/us/[2001:db8::1]:443", State: "draining", Until: noon, Note: Note{Owner: "alice"}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*Override){
		`there is no pattern; write "NAME", "NAME/DATACENTER" or "NAME/DATACENTER/ADDRESS:PORT"`:                              func(v *Override) { v.Pattern = "" },
		`pattern "a/b/c/d" has 4 parts; write "NAME", "NAME/DATACENTER" or "NAME/DATACENTER/ADDRESS:PORT"`:                    func(v *Override) { v.Pattern = "a/b/c/d" },
		`pattern "a//c" has an empty part; write "NAME", "NAME/DATACENTER" or "NAME/DATACENTER/ADDRESS:PORT", with * for any`: func(v *Override) { v.Pattern = "a//c" },
		`pattern "cb.company.com./us": write the name without its final dot`:                                                  func(v *Override) { v.Pattern = "cb.company.com./us" },
		`pattern "a b" has a character that no name has; write "NAME", "NAME/DATACENTER" or "NAME/DATACENTER/ADDRESS:PORT"`:   func(v *Override) { v.Pattern = "a b" },
		`a pattern of 500 bytes is too long, at most 400 are possible`:                                                        func(v *Override) { v.Pattern = strings.Repeat("x", 500) },
		`"off" is no state for an override; write one of up, down, draining, maintenance`:                                     func(v *Override) { v.State = "off" },
		`it ends at 2026-03-02 12:00:00, before it begins`:                                                                    func(v *Override) { v.From = noon },
		`an owner is missing; say who does this`:                                                                              func(v *Override) { v.Owner = " " },
		`the owner has characters that cannot be printed`:                                                                     func(v *Override) { v.Owner = "a\nb" },
		`the reason has 501 bytes, at most 500 are possible`:                                                                  func(v *Override) { v.Reason = strings.Repeat("x", 501) },
	} {
		bad := good
		spoil(&bad)
		if err := bad.Validate(); err == nil || err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	if err := (Release{Pattern: "cb/us/192.0.2.1:443", Note: good.Note}).Validate(); err == nil {
		t.Error("a release of one address: holds are of pools")
	}
}

func TestOperatorValidate(t *testing.T) {
	note := Note{Owner: "alice", At: noon}
	good := &Operator{
		Version: 2, Node: "us", Past: []Stamp{{1, "uk"}}, Mode: ModeDR, ModeWhy: note,
		Overrides: []Override{{Pattern: "*/us", State: "down", Note: note}}, Releases: []Release{{Pattern: "*", Version: 1, Note: note}},
	}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	bad := good.Clone()
	bad.Version, bad.Node, bad.Mode, bad.ModeWhy.Owner = 0, "us\x00", "backup", ""
	bad.Past[0].Node = ""
	bad.Overrides[0].State, bad.Releases[0].Pattern = "gone", ""
	err := bad.Validate()
	if err == nil {
		t.Fatal("it is taken")
	}
	for _, path := range []string{"0 is no version", "mode: ", "mode_why: ", "past[0]: ", "overrides[0]: ", "releases[0]: "} {
		if !strings.Contains(err.Error(), path) {
			t.Errorf("%q is missing in\n%v", path, err)
		}
	}
	if err := good.Validate(); err != nil {
		t.Errorf("the clone shares something: %v", err)
	}
	for want, spoil := range map[string]func(*Operator){
		"version 9007199254740993 is not possible": func(o *Operator) { o.Version = 1<<53 + 1 },
		"mode_version: 3 is not yet there":         func(o *Operator) { o.ModeVersion = 3 },
		"past[0]: 2 is not before":                 func(o *Operator) { o.Past[0].Version = 2 },
		"past[1]: 1 is not after":                  func(o *Operator) { o.Past = append(o.Past, Stamp{1, "us"}) },
		"overrides[0]: it is of version 3":         func(o *Operator) { o.Overrides[0].Version = 3 },
		"releases[0]: it is of version 3":          func(o *Operator) { o.Releases[0].Version = 3 },
	} {
		bad := good.Clone()
		spoil(bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	many := good.Clone()
	many.Overrides = make([]Override, MaxOverrides+1)
	if err := many.Validate(); err == nil || strings.Count(err.Error(), "\n") > 0 {
		t.Errorf("too many overrides: %v", err)
	}
	if c := good.Clone(); !reflect.DeepEqual(c, good) {
		t.Errorf("%+v", c)
	}
}
