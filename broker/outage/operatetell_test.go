package outage

import (
	"context"
	"errors"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
)

// TestOperationsAreTold: what an operator says at one broker counts at another one that is in the outage, too,
// and stands in its journal; the database takes it once. One that has the database is not touched.
func TestOperationsAreTold(t *testing.T) {
	server, heard := startServer(t), make(chan error, 8)
	second := newWorldWith(t, &world{server: server, dsn: server.DSN, site: 2, change: func(o *Options) { o.Name = "b2" }})
	first := newWorldWith(t, &world{server: server, dsn: server.DSN, change: func(o *Options) {
		o.Tell = func(ctx context.Context, a broker.Act) map[string]error {
			err := second.Hear(ctx, a)
			heard <- err
			if err == nil {
				return nil
			}
			return map[string]error{"b2": err}
		}
	}})
	ctx := t.Context()
	block := func(user string) broker.Operation {
		key := broker.LimitKey{Kind: broker.LimitOperator, User: user}
		return broker.Operation{Do: broker.OperateBlock, Blocks: []broker.LimitBlock{{LimitKey: key, Level: 1, SiteID: 1, Left: time.Hour}}}
	}
	drill, o := said("blocks"), block("drill")
	if err := second.Hear(ctx, broker.Act{Kind: broker.ActOperator, At: time.Now(), Operation: &o, Log: &drill}); err != nil {
		t.Error(err)
	}
	if list, err := second.LimitBlocks(ctx); err != nil || len(list) != 0 {
		t.Errorf("a broker that has the database: %+v, %v", list, err)
	}
	for _, a := range []broker.Act{{Kind: broker.ActLog}, {Kind: broker.ActOperator}, {Kind: broker.ActOperator, Operation: &o}} {
		if err := second.Hear(ctx, a); err == nil {
			t.Errorf("heard: %+v", a)
		}
	}
	if _, err := second.cache.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	first.lose()
	second.until(mode.HostCache, 20*time.Second)
	if err := first.Operate(ctx, block("mallory"), said("blocks")); err != nil {
		t.Fatal(err)
	}
	if err := <-heard; err != nil {
		t.Error(err)
	}
	if list, err := second.LimitBlocks(ctx); err != nil || len(list) != 1 || list[0].User != "mallory" || second.node.unmerged() != 1 {
		t.Errorf("the other broker: %+v, %v, %d acts", list, err, second.node.unmerged())
	}
	if _, err := first.LiftLimits(ctx, []broker.LimitKey{{Kind: broker.LimitOperator, User: "mallory"}}, said("lifts")); err != nil {
		t.Error(err)
	}
	if err := <-heard; err != nil {
		t.Error(err)
	}
	if list, err := second.LimitBlocks(ctx); err != nil || len(list) != 0 {
		t.Errorf("after the lift: %+v, %v", list, err)
	}
	// What it has done itself meanwhile stays.
	if err := second.Operate(ctx, broker.Operation{Do: broker.OperateRelease, Desktop: "s1"}, said("ends")); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a desktop that is in use: %v", err)
	}
	if err := second.SetMaintenance(ctx, "s1", true, "ada: fan", said("begins")); err != nil {
		t.Error(err)
	}
	if err := first.Operate(ctx, broker.Operation{Do: broker.OperateAssign, Desktop: "none", To: who("anna")}, said("gives")); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("no such desktop: %v", err)
	}
	if first.node.unmerged() != 2 || second.node.unmerged() != 3 {
		t.Errorf("%d and %d acts", first.node.unmerged(), second.node.unmerged())
	}
	first.server.Start()
	for _, w := range []*world{first, second} {
		w.until(mode.Normal, 60*time.Second)
		if w.node.unmerged() != 0 || w.node.refused() != 0 {
			t.Errorf("%s: %d acts are left, %d are set aside", w.o.Name, w.node.unmerged(), w.node.refused())
		}
	}
	if list, err := first.primary.LimitBlocks(ctx); err != nil || len(list) != 0 {
		t.Errorf("in the database: %+v, %v", list, err)
	}
}
