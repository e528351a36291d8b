package outage

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
	"switchpoint/broker/sqlite"
	"switchpoint/internal/covers"
)

// barring is what an operator says who keeps a user from signing in.
func barring(user string) broker.Operation {
	return broker.Operation{Do: broker.OperateBlock, Blocks: []broker.LimitBlock{blockOf(user, time.Hour)}}
}

// blocked lists who may not sign in.
func (w *world) blocked(t *testing.T) string {
	t.Helper()
	list, err := w.LimitBlocks(t.Context())
	if err != nil {
		t.Error(err)
	}
	var names []string
	for _, b := range list {
		names = append(names, b.User)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// TestSaidBeforeARestart: what operators have said, and the blocks of before, count in an outage for as long as
// it lasts, also where leases are all that a broker has and it starts again (OP5).
func TestSaidBeforeARestart(t *testing.T) {
	covers.Req(t, "OP5")
	w := newLeased(t)
	ctx := t.Context()
	w.earn("anna", "anna-pc", "")
	if err := w.primary.Operate(ctx, barring("eve"), said("blocks eve")); err != nil {
		t.Fatal(err)
	}
	w.refresh()
	w.server.Kill()
	w.until(mode.Leased, 10*time.Second)
	if err := w.Operate(ctx, barring("mallory"), said("blocks mallory")); err != nil {
		t.Error(err)
	}
	if err := w.SetMaintenance(ctx, "anna-pc", true, "ada: fan", said("begins")); err != nil { // anna has not come yet
		t.Error(err)
	}
	told, row := barring("trent"), said("blocks trent")
	if err := w.Hear(ctx, broker.Act{Kind: broker.ActOperator, At: time.Now(), Operation: &told, Log: &row}); err != nil {
		t.Error(err)
	}
	own := broker.LimitBlock{LimitKey: broker.LimitKey{Kind: broker.LimitUser, User: "wendy"}, Level: 1, SiteID: 1, Left: time.Hour}
	if _, err := w.ExchangeLimits(ctx, broker.LimitExchange{SiteID: 1, Mark: 1, Batch: broker.LimitBatch{ID: row.ID}, Blocks: []broker.LimitBlock{own}}); err != nil {
		t.Error(err)
	}
	counts := func(when string) {
		t.Helper()
		if got := w.blocked(t); got != "eve mallory trent wendy" {
			t.Errorf("%s: blocked are %q", when, got)
		}
		s, _, _, _ := w.login("anna")
		if _, err := w.launch(s, "anna-pc", ""); !errors.Is(err, broker.ErrMaintenance) {
			t.Errorf("%s: anna on her desktop: %v", when, err)
		}
	}
	counts("before")
	w.stop()
	w.open()
	w.join()
	w.until(mode.Leased, 10*time.Second)
	counts("after the restart")
	w.server.Start()
	w.until(mode.Normal, 60*time.Second)
	if n := w.node.refused(); n != 0 || w.node.unmerged() != 0 {
		t.Errorf("%d acts are set aside, %d are left", n, w.node.unmerged())
	}
	if got := w.blocked(t); got != "eve mallory trent wendy" {
		t.Errorf("in the database: %q", got)
	}
}

// TestSaidBeforeAPowerFailure: a host cache that has lost its newest writes has what operators have said again.
func TestSaidBeforeAPowerFailure(t *testing.T) {
	w := newWorld(t)
	if _, err := w.cache.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := w.cache.Status().File
	before := filepath.Join(t.TempDir(), "before.db")
	copyFile(t, file, before)
	w.server.Kill()
	w.until(mode.HostCache, 20*time.Second)
	if err := w.Operate(t.Context(), barring("mallory"), said("blocks")); err != nil {
		t.Fatal(err)
	}
	w.stop()
	copyFile(t, before, file)
	for _, side := range []string{"-wal", "-shm"} {
		if err := os.Remove(file + side); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	w.open()
	w.join()
	w.until(mode.HostCache, 20*time.Second)
	if got := w.blocked(t); got != "mallory" {
		t.Errorf("blocked are %q", got)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSaidWhileItWasOpened: files that are put in the place of others have what was said while they were opened.
func TestSaidWhileItWasOpened(t *testing.T) {
	w := newLeased(t)
	w.earn("anna", "anna-pc", "")
	w.refresh()
	if err := w.SetForce(t.Context(), &mode.Force{On: true, By: "a test"}); err != nil {
		t.Fatal(err)
	}
	w.until(mode.Leased, 10*time.Second)
	cache, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "next.db"), sqlite.Options{Replaceable: true})
	if err != nil {
		t.Fatal(err)
	}
	next := &local{cache: cache, node: w.node}
	next.leases, next.end = &leaseBook{node: w.node, cache: cache, only: true, broken: w.isBroken}, cache.Close
	if err := w.replay(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if err := w.Operate(t.Context(), barring("mallory"), said("blocks")); err != nil {
		t.Fatal(err)
	}
	w.Store.exchange(w.files.Load(), next)
	if w.files.Load() != next {
		t.Error("it was not put in its place")
	}
	if got := w.blocked(t); got != "mallory" {
		t.Errorf("blocked are %q", got)
	}
}

// TestManyBlocks: what is said of very many at once is more than one act, and each can be handed over.
func TestManyBlocks(t *testing.T) {
	w := newWorld(t)
	w.drill(t)
	var blocks []broker.LimitBlock
	var keys []broker.LimitKey
	for i := range limitsMost + 1 {
		k := broker.LimitKey{Kind: broker.LimitOperator, User: strings.Repeat("<", 240) + time.Duration(i).String()}
		keys = append(keys, k)
		blocks = append(blocks, broker.LimitBlock{LimitKey: k, Level: 1, SiteID: 1, Left: time.Hour})
	}
	if _, err := w.ExchangeLimits(t.Context(), broker.LimitExchange{SiteID: 1, Mark: 1, Batch: broker.LimitBatch{ID: said("").ID}, Blocks: blocks}); err != nil {
		t.Fatal(err)
	}
	if lifted, err := w.LiftLimits(t.Context(), keys, said("lifts")); err != nil || len(lifted) != len(keys) {
		t.Fatal(len(lifted), err)
	}
	list, err := w.node.oldest(t.Context(), 10)
	if err != nil || len(list) != 4 {
		t.Fatalf("%d acts, %v", len(list), err)
	}
	for _, e := range list {
		if len(e.text) > batchBytes {
			t.Errorf("an act of %d bytes", len(e.text))
		}
	}
	if list[2].act.Log == nil || list[3].act.Log != nil {
		t.Error("not one row for all that was lifted")
	}
	w.endDrill(t)
	if got := w.blocked(t); got != "" || w.node.refused() != 0 {
		t.Errorf("%d bytes of names are blocked, %d acts are set aside", len(got), w.node.refused())
	}
}

// TestNobodyKnowsWhose: a desktop whose assignment the host cache could not take is somebody's, and is given to
// nobody else.
func TestNobodyKnowsWhose(t *testing.T) {
	w := newWorld(t)
	w.server.Exec(`ALTER TABLE assignment DROP CONSTRAINT IF EXISTS assignment_source_check; UPDATE assignment SET source = 'by hand'`)
	if out, err := w.cache.Sync(t.Context()); err != nil || out.Quarantined != 1 {
		t.Fatal(out, err)
	}
	w.server.Kill()
	w.until(mode.HostCache, 20*time.Second)
	o, row := broker.Operation{Do: broker.OperateAssign, Desktop: "anna-pc", To: who("carl")}, said("gives")
	if err := w.Operate(t.Context(), o, row); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("anna's desktop for carl: %v", err)
	}
	if err := w.Hear(t.Context(), broker.Act{Kind: broker.ActOperator, At: time.Now(), Operation: &o, Log: &row}); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("told by another broker: %v", err)
	}
	if _, offers, _, _ := w.login("carl"); len(offers) != 1 || offers[0].ID.Desktop != "" {
		t.Errorf("carl is offered %+v", offers)
	}
	if n := w.node.unmerged(); n != 1 { // his login
		t.Errorf("%d acts", n)
	}
}
