package storetest

import (
	"errors"
	"testing"
	"time"

	"switchpoint/broker"
)

// operated is an operation with its row, as a journal has it.
func (b *bench) operated(o broker.Operation, at time.Time) broker.Act {
	row := b.row(broker.LogCluster)
	row.User = "ada"
	return broker.Act{Kind: broker.ActOperator, At: at, Operation: &o, Log: &row}
}

// desktop is what a list says of one.
func (b *bench) desktop(name string) broker.DesktopStatus {
	b.t.Helper()
	list := must(b.Desktops(ctx(b.t), broker.DesktopFilter{Name: name}))(b.t)
	if len(list) != 1 {
		b.t.Fatalf("desktop %s: %+v", name, list)
	}
	return list[0]
}

// testOperate: an operator's word counts at once and for all, with its row, or is refused without a trace.
func testOperate(t *testing.T, b *bench) {
	s := setup()
	s.Desktops = append(s.Desktops, broker.Desktop{Name: "spare", Pool: "own", Host: "10.0.0.9", Port: 22, Protocol: "ssh", State: broker.DesktopEnabled})
	b.fill(s)
	barred := broker.LimitKey{Kind: broker.LimitOperator, User: "anna"}
	for _, o := range []broker.Operation{
		{Do: broker.OperateBlock, Blocks: []broker.LimitBlock{{LimitKey: barred, Level: 1, SiteID: 1, Left: time.Hour}}},
		{Do: broker.OperateMaintenance, Desktop: "own-1", Why: "ada: fan"},
		{Do: broker.OperateAssign, Desktop: "spare", To: local("anna")},
	} {
		a := b.operated(o, time.Now())
		if err := b.Operate(ctx(t), o, *a.Log); err != nil {
			t.Fatalf("%s: %v", o.Do, err)
		}
		if row := must(b.handle().LogByRef(ctx(t), a.Log.Ref))(t); row.User != "ada" {
			t.Errorf("%s: row %+v", o.Do, row)
		}
	}
	if d := b.desktop("own-1"); d.State != broker.DesktopMaintenance || d.Why != "ada: fan" {
		t.Errorf("in maintenance: %+v", d)
	}
	if d := b.desktop("spare"); d.User != local("anna") {
		t.Errorf("given away: %+v", d)
	}
	if list := must(b.LimitBlocks(ctx(t)))(t); len(list) != 1 || list[0].LimitKey != barred || list[0].Left < 50*time.Minute || list[0].Left > time.Hour {
		t.Errorf("blocks: %+v", list)
	}
	b.newestWord(barred)
	for what, c := range map[string]struct {
		o    broker.Operation
		want error
	}{
		"somebody's":       {broker.Operation{Do: broker.OperateAssign, Desktop: "spare", To: local("bert")}, broker.ErrConflict},
		"the setup's":      {broker.Operation{Do: broker.OperateAssign, Desktop: "own-2", To: local("anna")}, broker.ErrConflict},
		"pooled":           {broker.Operation{Do: broker.OperateAssign, Desktop: "pool-1", To: local("anna")}, broker.ErrConflict},
		"unknown":          {broker.Operation{Do: broker.OperateAssign, Desktop: "none", To: local("anna")}, broker.ErrNotFound},
		"unknown, down":    {broker.Operation{Do: broker.OperateMaintenance, Desktop: "none"}, broker.ErrNotFound},
		"not down":         {broker.Operation{Do: broker.OperateRelease, Desktop: "own-2"}, broker.ErrConflict},
		"unknown, up":      {broker.Operation{Do: broker.OperateRelease, Desktop: "none"}, broker.ErrNotFound},
		"nothing known of": {broker.Operation{Do: "else"}, nil},
	} {
		a := b.operated(c.o, time.Now())
		err := b.Operate(ctx(t), c.o, *a.Log)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || c.want == nil && errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := b.LogByRef(ctx(t), a.Log.Ref); !errors.Is(err, broker.ErrNotFound) {
			t.Errorf("%s: it has a row, %v", what, err)
		}
	}
	release := broker.Operation{Do: broker.OperateRelease, Desktop: "own-1"}
	if err := b.Operate(ctx(t), release, b.row(broker.LogCluster)); err != nil {
		t.Error(err)
	}
	if d := b.desktop("own-1"); d.State != broker.DesktopEnabled || d.Why != "" {
		t.Errorf("back in use: %+v", d)
	}
	b.setupRules(s)
}

// newestWord: of an operator's blocks the newest counts, though it ends sooner; one that was said before it and
// comes later changes nothing.
func (b *bench) newestWord(key broker.LimitKey) {
	b.t.Helper()
	block := func(age, left time.Duration) broker.Operation {
		return broker.Operation{Do: broker.OperateBlock, Blocks: []broker.LimitBlock{{LimitKey: key, Level: 1, SiteID: 1, Age: age, Left: left}}}
	}
	for _, o := range []broker.Operation{block(0, 10*time.Minute), block(time.Minute, 2*time.Hour)} {
		if err := b.Operate(ctx(b.t), o, b.row(broker.LogCluster)); err != nil {
			b.t.Fatal(err)
		}
		if list := must(b.LimitBlocks(ctx(b.t)))(b.t); len(list) != 1 || list[0].Left > 10*time.Minute || list[0].Left < 5*time.Minute {
			b.t.Errorf("after a block of ten minutes: %+v", list)
		}
	}
}

// setupRules: the next setup says what the state of its desktops is.
func (b *bench) setupRules(s broker.Setup) {
	b.t.Helper()
	if err := b.Operate(ctx(b.t), broker.Operation{Do: broker.OperateMaintenance, Desktop: "own-2"}, b.row(broker.LogCluster)); err != nil {
		b.t.Error(err)
	}
	if _, err := b.ReplaceSetup(ctx(b.t), s, 1, b.row(broker.LogSetup)); err != nil {
		b.t.Fatal(err)
	}
	if d := b.desktop("own-2"); d.State != broker.DesktopEnabled {
		b.t.Errorf("after the next setup: %+v", d)
	}
	if d := b.desktop("spare"); d.User != local("anna") {
		b.t.Errorf("an assignment after the next setup: %+v", d)
	}
}

// testMergeOperator: what was said without the database is there afterwards, once, with the times that it
// had; what has come after it stays.
func testMergeOperator(t *testing.T, b *bench) {
	s := setup()
	s.Desktops = append(s.Desktops, broker.Desktop{Name: "spare", Pool: "own", Host: "10.0.0.9", Port: 22, Protocol: "ssh", State: broker.DesktopEnabled})
	b.fill(s)
	said := time.Now().Add(-10 * time.Minute)
	key := func(user string) broker.LimitKey { return broker.LimitKey{Kind: broker.LimitOperator, User: user} }
	block := func(user string, left time.Duration) broker.Operation {
		return broker.Operation{Do: broker.OperateBlock, Blocks: []broker.LimitBlock{{LimitKey: key(user), Level: 1, SiteID: 1, Left: left}}}
	}
	b.exchange(b, 2, 0, nil, broker.LimitBlock{LimitKey: pair("later", "192.0.2.1"), Level: 1, SiteID: 2, Left: time.Hour})
	b.exchange(b, 2, 0, nil, broker.LimitBlock{LimitKey: pair("earlier", "192.0.2.1"), Level: 1, SiteID: 2, Age: 20 * time.Minute, Left: time.Hour})
	acts := []broker.Act{
		b.operated(block("anna", time.Hour), said), b.operated(block("over", time.Minute), said), b.operated(block("ahead", time.Hour), time.Now().Add(time.Hour)),
		b.operated(broker.Operation{Do: broker.OperateLift, Keys: []broker.LimitKey{pair("later", "192.0.2.1"), pair("earlier", "192.0.2.1")}}, said),
		b.operated(broker.Operation{Do: broker.OperateMaintenance, Desktop: "own-1", Why: "ada: fan"}, said),
		b.operated(broker.Operation{Do: broker.OperateAssign, Desktop: "spare", To: local("bert")}, said),
	}
	if err := b.MergeActs(ctx(t), acts); err != nil {
		t.Fatal(err)
	}
	// The desktop comes back, and another merge of the same acts does not take it out again.
	if err := b.Operate(ctx(t), broker.Operation{Do: broker.OperateRelease, Desktop: "own-1"}, b.row(broker.LogCluster)); err != nil {
		t.Fatal(err)
	}
	if err := b.handle().MergeActs(ctx(t), acts); err != nil {
		t.Fatal(err)
	}
	if d := b.desktop("own-1"); d.State != broker.DesktopEnabled {
		t.Errorf("merged twice: %+v", d)
	}
	// Two brokers have ended the maintenance: the second finds nothing to do.
	up := b.operated(broker.Operation{Do: broker.OperateRelease, Desktop: "own-1"}, said)
	if err := b.MergeActs(ctx(t), []broker.Act{up}); err != nil {
		t.Error(err)
	}
	left := make(map[string]time.Duration)
	for _, l := range must(b.LimitBlocks(ctx(t)))(t) {
		left[l.User] = l.Left
	}
	if len(left) != 3 || left["anna"] > 50*time.Minute || left["anna"] < 45*time.Minute || left["ahead"] > time.Hour || left["later"] == 0 {
		t.Errorf("blocks: %v", left)
	}
	if row := must(b.LogByRef(ctx(t), acts[5].Log.Ref))(t); row.User != "ada" || row.At.Sub(said).Abs() > time.Second {
		t.Errorf("its row: %+v", row)
	}
	late := b.operated(broker.Operation{Do: broker.OperateAssign, Desktop: "spare", To: local("anna")}, said)
	if err := b.MergeActs(ctx(t), []broker.Act{late}); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("what is bert's by now: %v", err)
	}
	if _, err := b.LogByRef(ctx(t), late.Log.Ref); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("what was refused has a row: %v", err)
	}
	if err := b.MergeActs(ctx(t), []broker.Act{{Kind: broker.ActOperator, At: said}}); err == nil || errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("an act without its operation: %v", err)
	}
}
