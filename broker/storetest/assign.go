package storetest

import (
	"slices"
	"testing"

	"switchpoint/broker"
)

func testImportAssignments(t *testing.T, b *bench) {
	b.fill(centers())
	b.scan(broker.ScanBatch{Machines: []broker.Machine{machine("one", "10.1.0.1"), machine("own-1", "10.3.0.2"), machine("own-2", "10.3.0.3"), machine("loose", "10.3.0.4")}})
	give := func(user, desktop string) broker.Assignment {
		return broker.Assignment{User: user, Directory: broker.LocalDirectory, Desktop: desktop}
	}
	do := func(dry bool, list ...broker.Assignment) (string, broker.LogRow) {
		t.Helper()
		row := b.row(broker.LogSetup)
		var words string
		for _, v := range must(b.ImportAssignments(ctx(t), list, dry, row))(t) {
			if v.Verdict == broker.AssignRefused && (v.Why == "" || v.Cure == "") {
				t.Errorf("a refusal without reason or cure: %+v", v)
			}
			words += v.Verdict + " "
		}
		return words, row
	}
	has := func(user string) bool { return must(b.Assigned(ctx(t), broker.LocalDirectory, user))(t) }
	if got, _ := do(false, give("anna", "own-1"), give("bert", "one"), give("carl", "nothing")); got != "add refused refused " || has("anna") {
		t.Errorf("%s; anna has hers: %v", got, has("anna"))
	}
	if got, _ := do(true, give("anna", "own-1")); got != "add " || has("anna") {
		t.Errorf("dry run: %s; anna has hers: %v", got, has("anna"))
	}
	got, row := do(false, give("anna", "own-1"), give("bert", "own-2"), give("carl", "loose"))
	if got != "add add add " || !has("anna") || !has("carl") {
		t.Error(got)
	}
	if _, err := b.LogByRef(ctx(t), row.Ref); err != nil {
		t.Errorf("the import is not in the log: %v", err)
	}
	if got, row := do(false, give("anna", "own-1"), give("emil", "own-2")); got != "same change " || has("bert") {
		t.Errorf("%s, %v", got, row)
	}
	if s, offers := b.login("carl"); len(offers) != 2 || offers[0].Pool != "" || offers[0].Kind != broker.KindAssigned {
		t.Errorf("a desktop that stands in no pool: %+v", offers)
	} else if c := must(b.connect(s, offers[0].ID))(t); c.Name != "loose" || c.Check != "dial" {
		t.Errorf("%+v", c)
	}
	b.fill(centers()) // an import outlives another setup
	if !has("anna") {
		t.Error("the import is gone")
	}
	if s, _, err := b.Setup(ctx(t)); err != nil || len(s.Assignments) != 0 {
		t.Errorf("an import is shown as a part of the setup: %+v, %v", s.Assignments, err)
	}
	want := []broker.Assignment{give("carl", "loose"), give("anna", "own-1"), give("emil", "own-2")}
	if list := must(b.ImportedAssignments(ctx(t)))(t); !slices.Equal(list, want) {
		t.Errorf("imported: %+v, want %+v", list, want)
	}
	s := centers() // an assigned desktop is never in a pooled pool
	s.DesktopPools = s.DesktopPools[1:]
	s.DesktopPools[0].Rules = s.DesktopPools[0].Rules[:1]
	b.fill(s.WithDefaults())
	in, offers := b.login("anna")
	if len(offers) != 2 || offers[0].Name != "own-1" || offers[0].Pool != "" {
		t.Fatalf("offers %+v", offers)
	}
	if list := must(b.Candidates(ctx(t), in, offers[1].ID, 10))(t); len(list) != 1 || list[0].Name != "one" {
		t.Errorf("candidates %+v", list)
	}
	if got, _ := do(false, give("", "own-1"), give("", "one")); got != "remove same " || has("anna") {
		t.Error(got)
	}
	b.scan(broker.ScanBatch{Vanished: []string{"own-2"}})
	if out := must(b.Login(ctx(t), b.record("emil")))(t); len(out.Offers) != 1 || out.Offers[0].Kind != broker.KindPooled {
		t.Errorf("a vanished desktop is offered: %+v", out.Offers)
	}
}

// testImportSetup: what the setup assigns is the setup's, and it takes over what an import gave.
func testImportSetup(t *testing.T, b *bench) {
	b.fill(setup())
	one := []broker.Assignment{{User: "carl", Directory: broker.LocalDirectory, Desktop: "own-1"}}
	if v := must(b.ImportAssignments(ctx(t), one, false, b.row(broker.LogSetup)))(t); v[0].Verdict != broker.AssignRefused {
		t.Errorf("%+v", v)
	}
	s := setup()
	s.Assignments = nil
	b.fill(s)
	if v := must(b.ImportAssignments(ctx(t), one, false, b.row(broker.LogSetup)))(t); v[0].Verdict != broker.AssignAdd {
		t.Errorf("%+v", v)
	}
	b.fill(setup())
	for user, want := range map[string]bool{"anna": true, "carl": false} {
		if got := must(b.Assigned(ctx(t), broker.LocalDirectory, user))(t); got != want {
			t.Errorf("%s has a desktop: %v", user, got)
		}
	}
}
