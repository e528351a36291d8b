package broker

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"switchpoint/directory"
)

// operated is a Store that remembers what operators say.
type operated struct {
	Store
	said []Operation
	rows []LogRow
}

func (o *operated) Operate(_ context.Context, what Operation, row LogRow) error {
	o.said, o.rows = append(o.said, what), append(o.rows, row)
	return nil
}

func (o *operated) AppendLog(_ context.Context, row LogRow) error {
	o.rows = append(o.rows, row)
	return nil
}

func operatedBroker(t *testing.T) (*Broker, *operated) {
	t.Helper()
	store := &operated{}
	b := &Broker{o: Options{Store: store, Name: "b1"}, cfg: Config{SiteID: 7}, log: slog.New(slog.DiscardHandler), gate: newGate(7, nil), recording: make(chan struct{}, 1)}
	b.table.Store(&table{setup: Setup{Directories: []Directory{{Config: directory.Config{Name: "corp"}}}}})
	return b, store
}

// TestOperatorsWords: what is said is checked, names who said it, and is about the user as he is counted.
func TestOperatorsWords(t *testing.T) {
	b, store := operatedBroker(t)
	ctx := t.Context()
	if err := b.BlockUser(ctx, `CORP\Anna`, time.Hour, "left", "ada"); err != nil {
		t.Fatal(err)
	}
	if err := b.AssignDesktop(ctx, Assignment{User: "Anna", Desktop: "pc-1"}, "", "ada"); err != nil {
		t.Fatal(err)
	}
	if k := store.said[0].Blocks[0]; k.LimitKey != operatorKey("anna") || k.Left != time.Hour || k.SiteID != 7 || k.Level != 1 {
		t.Errorf("blocked: %+v", k)
	}
	if o := store.said[1]; o.Desktop != "pc-1" || o.To != (Who{Directory: "corp", User: "anna"}) {
		t.Errorf("given: %+v", o)
	}
	for i, want := range []string{"ada has blocked user anna, by an operator for 1h0m0s: left", "ada has given desktop pc-1 to user anna of directory corp"} {
		if r := store.rows[i]; r.User != "ada" || len(r.Reason) != 1 || r.Reason[0] != want {
			t.Errorf("row %d: %+v", i, r)
		}
	}
	lift := func(user string) error {
		_, err := b.LiftLimits(ctx, user, "", "ada")
		return err
	}
	for what, err := range map[string]error{
		"no name":       b.BlockUser(ctx, " ", time.Hour, "", "ada"),
		"none to lift":  lift(`CORP\`),
		"no time":       b.BlockUser(ctx, "anna", 0, "", "ada"),
		"for ever":      b.BlockUser(ctx, "anna", 400*24*time.Hour, "", "ada"),
		"no user":       b.AssignDesktop(ctx, Assignment{Desktop: "pc-1"}, "", "ada"),
		"no desktop":    b.AssignDesktop(ctx, Assignment{User: "anna"}, "", "ada"),
		"no directory":  b.AssignDesktop(ctx, Assignment{User: "anna", Directory: "else", Desktop: "pc-1"}, "", "ada"),
		"unusable name": b.AssignDesktop(ctx, Assignment{User: "an\nna", Desktop: "pc-1"}, "", "ada"),
	} {
		if err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	if len(store.said) != 2 {
		t.Errorf("said: %+v", store.said)
	}
}

// TestAssignable: an operator takes no desktop from anybody.
func TestAssignable(t *testing.T) {
	anna, bert := Who{Directory: "corp", User: "anna"}, Who{Directory: "corp", User: "bert"}
	o := Operation{Do: OperateAssign, Desktop: "pc-1", To: anna}
	for what, c := range map[string]struct {
		f    AssignmentFacts
		give bool
		err  error
	}{
		"free":          {AssignmentFacts{Known: true, Pool: "own"}, true, nil},
		"hers":          {AssignmentFacts{Known: true, Owner: anna}, false, nil},
		"she is on it":  {AssignmentFacts{Known: true, HeldBy: anna}, true, nil},
		"his":           {AssignmentFacts{Known: true, Owner: bert}, false, ErrConflict},
		"his, by setup": {AssignmentFacts{Known: true, Owner: bert, FromSetup: true}, false, ErrConflict},
		"he is on it":   {AssignmentFacts{Known: true, HeldBy: bert}, false, ErrConflict},
		"out of a pool": {AssignmentFacts{Known: true, Pooled: true}, false, ErrConflict},
		"no such one":   {AssignmentFacts{}, false, ErrNotFound},
	} {
		if give, err := o.Assignable(c.f); give != c.give || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %v", what, give, err)
		}
	}
}

// TestDrain: a drained broker says so until the word ends or is taken back.
func TestDrain(t *testing.T) {
	b, store := operatedBroker(t)
	if b.EndDrain(t.Context(), "ada") {
		t.Error("there was a word before anybody said one")
	}
	d := b.BeginDrain(t.Context(), time.Hour, "kernel", "ada")
	if got := b.Drained(); got != d || !strings.HasPrefix(d.String(), "drained by ada: kernel, until ") {
		t.Errorf("drained: %v", got)
	}
	if why := b.NotServing(); why != d.String() {
		t.Errorf("not serving: %q", why)
	}
	if b.drain.get(time.Now().Add(2*time.Hour)) != nil {
		t.Error("the word does not end")
	}
	if !b.EndDrain(t.Context(), "bob") || b.Drained() != nil {
		t.Error("the word cannot be taken back")
	}
	if len(store.rows) != 2 || !strings.Contains(store.rows[0].Reason[0], "ada has told broker b1 to drain") || store.rows[1].User != "bob" {
		t.Errorf("rows: %+v", store.rows)
	}
}
