package storetest

import (
	"errors"
	"strings"
	"testing"

	"switchpoint/broker"
)

// named are the names of a list, with blanks between.
func (b *bench) named(f broker.DesktopFilter) string {
	b.t.Helper()
	var names []string
	for _, d := range must(b.Desktops(ctx(b.t), f))(b.t) {
		names = append(names, d.Name)
	}
	return strings.Join(names, " ")
}

func testDesktops(t *testing.T, b *bench) {
	b.fill(setup())
	s, offers := b.login("carl")
	if _, err := b.connect(s, offers[0].ID); err != nil {
		t.Fatal(err)
	}
	all := must(b.Desktops(ctx(t), broker.DesktopFilter{}))(t)
	if len(all) != 5 || all[1].Name != "own-2" || all[1].Port != 2222 || all[1].Protocol != "ssh" || all[1].Pool != "own" || all[1].User.User == "" {
		t.Fatalf("all: %+v", all)
	}
	used := 0
	for _, d := range all {
		if d.Pool == "pool" && d.User == local("carl") {
			used++
		}
	}
	if used != 1 {
		t.Errorf("%d desktops of the pool are carl's: %+v", used, all)
	}
	first := b.named(broker.DesktopFilter{Limit: 2})
	rest := b.named(broker.DesktopFilter{After: strings.Fields(first)[1]})
	if first+" "+rest != b.named(broker.DesktopFilter{}) {
		t.Errorf("in pages: %q, %q", first, rest)
	}
	if got := b.named(broker.DesktopFilter{Pool: "own"}); got != "own-1 own-2" {
		t.Errorf("of one pool: %q", got)
	}
	if got := b.named(broker.DesktopFilter{Name: "own-2"}); got != "own-2" {
		t.Errorf("one: %q", got)
	}
	if got := must(b.Desktops(ctx(t), broker.DesktopFilter{State: broker.DesktopMaintenance}))(t); len(got) != 1 || got[0].Pool != "pool" {
		t.Errorf("in maintenance: %+v", got)
	}
	for _, f := range []broker.DesktopFilter{{Limit: 1001}, {Limit: -1}, {State: "asleep"}} {
		if _, err := b.Desktops(ctx(t), f); err == nil {
			t.Errorf("%+v was accepted", f)
		}
	}
}

// testDesktopMaintenance: an operator's word stands over scans, whatever the center says meanwhile, and what
// the center says counts when it ends.
func testDesktopMaintenance(t *testing.T, b *bench) {
	b.fill(centers())
	one := machine("one", "10.1.0.1")
	b.scan(broker.ScanBatch{Machines: []broker.Machine{one, machine("two", "10.1.0.2")}})
	set := func(name string, on bool, why string) error {
		log := b.row(broker.LogSetup)
		log.Desktop, log.Reason = name, []string{why}
		err := b.SetMaintenance(ctx(t), name, on, why, log)
		if _, found := b.LogByRef(ctx(t), log.Ref); (found == nil) != (err == nil) {
			t.Errorf("%s, %t: %v, and its log row: %v", name, on, err, found)
		}
		return err
	}
	is := func(when, state, why string) {
		t.Helper()
		d := must(b.Desktops(ctx(t), broker.DesktopFilter{Name: "one", Center: "racks"}))(t)
		if len(d) != 1 || d[0].State != state || d[0].Why != why {
			t.Errorf("%s: %+v, want %s %q", when, d, state, why)
		}
	}
	_, offers := b.login("carl")
	if err := set("one", true, "anna: fan"); err != nil {
		t.Fatal(err)
	}
	is("begun", broker.DesktopMaintenance, "anna: fan")
	if c := must(b.Candidates(ctx(t), stranger(), offers[0].ID, 10))(t); len(c) != 1 || c[0].Name != "two" {
		t.Errorf("candidates %+v", c)
	}
	if list := must(b.CenterDesktops(ctx(t), "racks"))(t); len(list) != 2 || list[0].Disabled || list[1].Disabled {
		t.Errorf("a scan would take the word for a change of the source: %+v", list)
	}
	one.Disabled = true
	b.scan(broker.ScanBatch{Machines: []broker.Machine{one}})
	is("its center disables it", broker.DesktopMaintenance, "anna: fan")
	if err := set("one", true, "ben: disk"); err != nil { // said again
		t.Fatal(err)
	}
	is("said again", broker.DesktopMaintenance, "ben: disk")
	if err := set("one", false, ""); err != nil {
		t.Fatal(err)
	}
	is("ended while its center disables it", broker.DesktopDisabled, "")
	if err := set("one", true, "anna"); err != nil {
		t.Fatal(err)
	}
	b.scan(broker.ScanBatch{Vanished: []string{"one"}})
	one.Disabled = false
	b.scan(broker.ScanBatch{Machines: []broker.Machine{one}})
	is("vanished and back", broker.DesktopMaintenance, "anna")
	if err := set("one", false, ""); err != nil {
		t.Fatal(err)
	}
	is("ended", broker.DesktopEnabled, "")
	if err := set("one", false, ""); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("ended twice: %v", err)
	}
	if err := set("nobody", true, ""); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("an unknown desktop: %v", err)
	}
	// The setup takes the desktop over, with its own word, and there it stays.
	if err := set("one", true, "anna"); err != nil {
		t.Fatal(err)
	}
	s := centers()
	s.Desktops = append(s.Desktops, broker.Desktop{Name: "one", Pool: s.DesktopPools[0].Name, Host: "10.1.0.1"})
	b.fill(s.WithDefaults())
	if d := must(b.Desktops(ctx(t), broker.DesktopFilter{Name: "one"}))(t); len(d) != 1 || d[0].Center != "" || d[0].State != broker.DesktopEnabled || d[0].Why != "" {
		t.Errorf("of the setup: %+v", d)
	}
	if err := set("one", true, ""); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a desktop of the setup: %v", err)
	}
}
