package outage

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
	"switchpoint/internal/covers"
)

// said is the row of what an operator does.
func said(what string) broker.LogRow {
	r := row(broker.LogCluster, "ada")
	r.Reason = []string{"ada " + what}
	return r
}

// lose brings the broker into the outage with a cache of all that is in the database.
func (w *world) lose() {
	w.t.Helper()
	if _, err := w.cache.Sync(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.server.Kill()
	w.until(mode.HostCache, 20*time.Second)
}

// TestOperateInAnOutage: what an operator says about a user or a desktop counts at once, and is in the database
// afterwards, with a row that names him; what the database has to refuse by then is said, and nobody loses
// his desktop for it.
func TestOperateInAnOutage(t *testing.T) {
	covers.Req(t, "OP5")
	w := newWorld(t)
	ctx := t.Context()
	setup := broker.Setup{
		DesktopPools: []broker.DesktopPool{{Name: "own", Kind: broker.KindAssigned, Check: "none"}, {Name: "shared", Kind: broker.KindPooled, Check: "none"}},
		Desktops: []broker.Desktop{
			{Name: "anna-pc", Pool: "own", Host: "192.0.2.50"}, {Name: "spare-1", Pool: "own", Host: "192.0.2.60"}, {Name: "spare-2", Pool: "own", Host: "192.0.2.61"},
			{Name: "s1", Pool: "shared", Host: "192.0.2.51"}, {Name: "s2", Pool: "shared", Host: "192.0.2.52"},
		},
		Assignments: []broker.Assignment{{User: "anna", Directory: broker.LocalDirectory, Desktop: "anna-pc"}},
	}
	if _, err := w.primary.ReplaceSetup(ctx, setup.WithDefaults(), 1, row(broker.LogSetup, "")); err != nil {
		t.Fatal(err)
	}
	w.lose()

	down, block := said("maintenance"), said("block")
	if err := w.SetMaintenance(ctx, "anna-pc", true, "ada: the fan", down); err != nil {
		t.Errorf("maintenance: %v", err)
	}
	barred := broker.LimitKey{Kind: broker.LimitOperator, User: "mallory"}
	if err := w.Operate(ctx, broker.Operation{Do: broker.OperateBlock, Blocks: []broker.LimitBlock{{LimitKey: barred, Level: 1, SiteID: 1, Left: time.Hour}}}, block); err != nil {
		t.Errorf("block: %v", err)
	}
	give := func(desktop, user string) (broker.LogRow, error) {
		r := said("gives " + desktop + " to " + user)
		return r, w.Operate(ctx, broker.Operation{Do: broker.OperateAssign, Desktop: desktop, To: who(user)}, r)
	}
	spare, err := give("spare-1", "anna")
	if err != nil {
		t.Errorf("a substitute: %v", err)
	}
	contested, err := give("spare-2", "bert")
	if err != nil {
		t.Errorf("a substitute: %v", err)
	}
	for desktop, want := range map[string]error{"spare-1": broker.ErrConflict, "anna-pc": broker.ErrConflict, "s1": broker.ErrConflict, "none": broker.ErrNotFound} {
		if _, err := give(desktop, "carl"); !errors.Is(err, want) {
			t.Errorf("%s for carl: %v", desktop, err)
		}
	}
	acts := w.node.unmerged()
	if acts != 4 {
		t.Errorf("%d acts in the journal", acts)
	}
	w.countsAtOnce(t)
	w.waitsForTheDatabase(t)

	// Somebody else had the database meanwhile: the same desktop is given away there.
	w.stop()
	w.server.Start()
	w.open()
	if v, err := w.primary.ImportAssignments(ctx, []broker.Assignment{{User: "zoe", Directory: broker.LocalDirectory, Desktop: "spare-2"}}, false, said("import")); err != nil || v[0].Verdict != broker.AssignAdd {
		t.Fatal(v, err)
	}
	w.join()
	eventually(t, "all is merged", 60*time.Second, func() bool { return w.node.unmerged() == 0 && w.State().Mode == mode.Normal })
	w.merged(t, map[string]broker.LogRow{"anna-pc": down, "block": block, "spare-1": spare}, contested)
}

// countsAtOnce: the files serve what was said.
func (w *world) countsAtOnce(t *testing.T) {
	ctx := t.Context()
	list, err := w.Desktops(ctx, broker.DesktopFilter{State: broker.DesktopMaintenance})
	if err != nil || len(list) != 1 || list[0].Name != "anna-pc" || list[0].Why != "ada: the fan" {
		t.Errorf("in maintenance: %+v, %v", list, err)
	}
	s, offers, _, _ := w.login("anna")
	var names []string
	for _, o := range offers {
		if o.ID.Desktop == "" {
			continue
		}
		c, err := w.connect(s, o)
		switch {
		case errors.Is(err, broker.ErrMaintenance):
			names = append(names, "refused")
		case err != nil:
			t.Errorf("connect: %v", err)
		default:
			names = append(names, c.Name)
		}
	}
	if got := strings.Join(names, " "); !strings.Contains(got, "spare-1") || !strings.Contains(got, "refused") {
		t.Errorf("anna gets %q", got)
	}
	blocks, err := w.LimitBlocks(ctx)
	if err != nil || len(blocks) != 1 || blocks[0].User != "mallory" {
		t.Errorf("blocks: %+v, %v", blocks, err)
	}
	if list, err := w.ImportedAssignments(ctx); err != nil || len(list) != 2 {
		t.Errorf("assignments: %+v, %v", list, err)
	}
	if uses, err := w.PoolStatistics(ctx, "own", time.Hour); err != nil || len(uses) != 1 || uses[0].Total != 3 || uses[0].Used != 3 {
		t.Errorf("pools: %+v, %v", uses, err)
	}
	for name, read := range map[string]func() error{
		"centers": func() error { _, err := w.Centers(ctx); return err }, "agents": func() error { _, err := w.Agents(ctx, ""); return err },
		"brokers": func() error { _, err := w.Brokers(ctx); return err }, "busiest hour": func() error { _, err := w.BusiestHour(ctx, time.Hour); return err },
	} {
		if err := read(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := w.Served(); !strings.HasPrefix(s, "as of the host cache of 2") {
		t.Errorf("answers are said to be %q", s)
	}
}

// waitsForTheDatabase: everything else says at once that it has to, and what works.
func (w *world) waitsForTheDatabase(t *testing.T) {
	ctx := t.Context()
	for name, do := range map[string]func(context.Context) error{
		"jobs":   func(ctx context.Context) error { _, err := w.Jobs(ctx, broker.JobFilter{}); return err },
		"counts": func(ctx context.Context) error { _, err := w.JobCounts(ctx); return err },
		"cancel": func(ctx context.Context) error { _, err := w.CancelJob(ctx, "x", "ada"); return err },
		"add":    func(ctx context.Context) error { _, err := w.AddJobs(ctx, nil); return err },
		"setup": func(ctx context.Context) error {
			_, err := w.ReplaceSetup(ctx, broker.Setup{}, 2, said("apply"))
			return err
		},
		"remove":  func(ctx context.Context) error { _, err := w.RemoveBroker(ctx, 2, said("remove")); return err },
		"confirm": func(ctx context.Context) error { _, err := w.ConfirmVanish(ctx, "racks", said("confirm")); return err },
		"token":   func(ctx context.Context) error { return w.AddEnrolToken(ctx, broker.EnrolToken{}, said("token")) },
		"clear":   func(ctx context.Context) error { return w.ClearDesktop(ctx, "s1", said("clear")) },
		"detach":  func(ctx context.Context) error { return w.Detach(ctx, w.member) },
		"import": func(ctx context.Context) error {
			_, err := w.ImportAssignments(ctx, nil, false, said("import"))
			return err
		},
	} {
		began := time.Now()
		err := do(ctx)
		if took := time.Since(began); !errors.Is(err, broker.ErrUnavailable) || !strings.Contains(err.Error(), "limits block") || took > 500*time.Millisecond {
			t.Errorf("%s after %s: %v", name, took, err)
		}
	}
	verdicts, err := w.ImportAssignments(ctx, []broker.Assignment{{User: "carl", Directory: broker.LocalDirectory, Desktop: "spare-1"}}, true, said("try"))
	if err != nil || len(verdicts) != 1 || verdicts[0].Verdict != broker.AssignChange {
		t.Errorf("what an import would do: %+v, %v", verdicts, err)
	}
}

// merged looks at the database.
func (w *world) merged(t *testing.T, done map[string]broker.LogRow, refused broker.LogRow) {
	ctx := t.Context()
	for what, r := range done {
		got, err := w.primary.LogByRef(ctx, r.Ref)
		if err != nil || got.User != "ada" || got.Code != "" || len(got.Reason) != 1 {
			t.Errorf("the row of %s: %+v, %v", what, got, err)
		}
	}
	got, err := w.primary.LogByRef(ctx, refused.Ref)
	if err != nil || got.Code != broker.NotMerged || got.User != "ada" || len(got.Reason) != 2 || !strings.Contains(got.Reason[1], `desktop "spare-2" is user "zoe"'s`) {
		t.Errorf("the row of what was refused: %+v, %v", got, err)
	}
	if n := w.node.refused(); n != 1 {
		t.Errorf("%d acts are set aside", n)
	}
	owner := make(map[string]string)
	list, err := w.primary.Desktops(ctx, broker.DesktopFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		owner[d.Name] = d.User.User
		if d.Name == "anna-pc" && (d.State != broker.DesktopMaintenance || d.Why != "ada: the fan") {
			t.Errorf("anna-pc: %+v", d)
		}
	}
	if owner["spare-1"] != "anna" || owner["spare-2"] != "zoe" {
		t.Errorf("owners: %v", owner)
	}
	blocks, err := w.primary.LimitBlocks(ctx)
	if err != nil || len(blocks) != 1 || blocks[0].User != "mallory" || blocks[0].Left < 50*time.Minute || blocks[0].Left > time.Hour {
		t.Errorf("blocks: %+v, %v", blocks, err)
	}
}
