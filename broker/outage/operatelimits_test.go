package outage

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"switchpoint/broker"
	"switchpoint/internal/covers"
)

// blockOf is a block as a broker makes it.
func blockOf(user string, left time.Duration) broker.LimitBlock {
	return broker.LimitBlock{LimitKey: broker.LimitKey{Kind: broker.LimitPair, User: user, Source: "192.0.2.9"}, Level: 2, SiteID: 1, Left: left}
}

// exchange says blocks, as a broker does that has counted something, too.
func (w *world) exchange(mark, own int64, blocks ...broker.LimitBlock) broker.LimitNews {
	w.t.Helper()
	q := broker.LimitExchange{SiteID: 1, Blocks: blocks, Mark: mark, Own: own, Within: time.Hour}
	if len(blocks) > 0 {
		q.Batch = broker.LimitBatch{ID: uuid.Must(uuid.NewV7()).String(), Counts: []broker.LimitCount{{LimitKey: blocks[0].LimitKey, Bad: 3}}}
	}
	news, err := w.ExchangeLimits(w.t.Context(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	return news
}

// users are those of the blocks that hold.
func users(blocks []broker.LimitBlock) map[string]time.Duration {
	out := make(map[string]time.Duration)
	for _, b := range blocks {
		if b.Level > 0 && b.Left > 0 {
			out[b.User] = b.Left
		}
	}
	return out
}

// TestLimitsInAnOutage: blocks from before hold on, also for a broker that starts without the database, and not
// a moment shorter where its clock is ahead; those that are made and lifted meanwhile are in the database
// afterwards.
func TestLimitsInAnOutage(t *testing.T) {
	covers.Req(t, "SE2")
	const ahead = 10 * time.Minute
	w := &world{server: startServer(t)}
	w.dsn = w.server.DSN
	w.change = func(o *Options) {
		o.Beat = func(ctx context.Context) error {
			return w.primary.Heartbeat(ctx, w.member, broker.Beat{Clock: time.Now().Add(ahead)})
		}
	}
	newWorldWith(t, w)
	eventually(t, "the database knows its clock", 10*time.Second, func() bool {
		list, err := w.primary.Brokers(t.Context())
		return err == nil && list[0].ClockOff > ahead-time.Minute
	})
	before := w.exchange(0, 0, blockOf("known", time.Hour), blockOf("lifted", time.Hour))
	if before.Local {
		t.Fatal("the database answers out of the files")
	}
	w.lose()

	first := w.exchange(before.Mark, 0, blockOf("made", 30*time.Minute))
	if got := users(first.Blocks); !first.Local || got["made"] == 0 {
		t.Errorf("who knows the database hears %+v", first)
	}
	lift := said("lifts")
	if keys, err := w.LiftLimits(t.Context(), []broker.LimitKey{blockOf("lifted", 0).LimitKey}, lift); err != nil || len(keys) != 1 {
		t.Errorf("lifted %v, %v", keys, err)
	}
	again := w.exchange(before.Mark, first.Mark)
	for _, b := range again.Blocks {
		if b.User == "lifted" && (b.Level != 0 || b.Left > 0) {
			t.Errorf("what was lifted: %+v", b)
		}
	}

	w.stop()
	w.open()
	w.join()
	started := w.exchange(0, 0)
	got := users(started.Blocks)
	if !started.Local || len(got) != 2 || got["made"] < 29*time.Minute {
		t.Errorf("a broker that starts hears %+v", started)
	}
	if left := got["known"]; left < time.Hour+ahead-5*time.Minute || left > time.Hour+ahead {
		t.Errorf("a block of an hour holds for another %s where the clock is %s ahead", left, ahead)
	}

	w.server.Start()
	eventually(t, "all is merged", 60*time.Second, func() bool { return w.node.unmerged() == 0 && !w.State().Mode.Local() })
	blocks, err := w.primary.LimitBlocks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := users(blocks); len(got) != 2 || got["known"] == 0 || got["made"] > 30*time.Minute || got["made"] < 25*time.Minute {
		t.Errorf("in the database: %+v", blocks)
	}
	if r, err := w.primary.LogByRef(t.Context(), lift.Ref); err != nil || r.User != "ada" {
		t.Errorf("the row of the lift: %+v, %v", r, err)
	}
}
