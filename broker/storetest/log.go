package storetest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"switchpoint/broker"
)

func testAssigned(t *testing.T, b *bench) {
	b.fill(setup())
	for who, want := range map[broker.Who]bool{
		local("anna"): true, local("carl"): false, {Directory: "corp", User: "anna"}: false,
	} {
		if got := must(b.Assigned(ctx(t), who.Directory, who.User))(t); got != want {
			t.Errorf("%v is assigned: %v, want %v", who, got, want)
		}
	}
	b.fill(broker.Setup{})
	if must(b.Assigned(ctx(t), broker.LocalDirectory, "anna"))(t) {
		t.Error("a removed assignment still counts")
	}
}

func testLog(t *testing.T, b *bench) {
	want := b.row(broker.LogRefused)
	want.Code, want.Who, want.ClientName, want.Session, want.Desktop = broker.CodeRejected, local("x"), "tc", id(), "d"
	want.Reason = []string{"line 1", "and line 2"}
	if err := b.AppendLog(ctx(t), want); err != nil {
		t.Fatal(err)
	}
	got := must(b.handle().LogByRef(ctx(t), want.Ref))(t)
	if got.At.IsZero() {
		t.Error("the row has no time")
	}
	got.At = time.Time{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("log row came back changed:\n got %+v\nwant %+v", got, want)
	}
	if _, err := b.LogByRef(ctx(t), "nobody"); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("an unknown reference was found: %v", err)
	}
	// A row that is there already stays as it is: who does not know whether it was written writes it again.
	again := want
	again.Code, again.Reason = broker.CodeBusy, nil
	if err := b.handle().AppendLog(ctx(t), again); err != nil {
		t.Errorf("the same row once more: %v", err)
	}
	if row := must(b.LogByRef(ctx(t), want.Ref))(t); row.Code != want.Code || len(row.Reason) != 2 {
		t.Errorf("written once more it is %+v", row)
	}
}

func testPurge(t *testing.T, b *bench) {
	b.fill(setup())
	r := b.record("carl")
	r.Key, r.KeyLife, r.NewSession.Life = "k", 500*time.Millisecond, 500*time.Millisecond
	out := must(b.Login(ctx(t), r))(t)
	if _, err := b.connect(*out.Session, out.Offers[0].ID); err != nil {
		t.Fatal(err)
	}
	stays, _ := b.login("anna")
	keep := broker.Retention{Log: time.Hour, Sessions: time.Hour}
	for deadline := time.Now().Add(10 * time.Second); ; {
		p := must(b.Purge(ctx(t), keep))(t)
		if p.Released == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the desktop of an expired session is not released")
		}
	}
	p := must(b.Purge(ctx(t), broker.Retention{Log: -time.Second, Sessions: -time.Second}))(t)
	if p.Sessions != 1 || p.Log == 0 {
		t.Errorf("purged %+v", p)
	}
	if _, err := b.connect(stays, broker.OfferID{Pool: out.Offers[0].ID.Pool, Slot: 1}); err != nil {
		t.Errorf("a running session was hurt: %v", err)
	}
	again := b.record("carl")
	again.Key = "k"
	if out := must(b.Login(ctx(t), again))(t); out.Replayed || out.Session == nil {
		t.Errorf("an expired key still counts: %+v", out)
	}
}

// testDeadline gives every kind of call a context that has ended.
func testDeadline(t *testing.T, b *bench) {
	b.fill(setup())
	over, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, setupErr := b.SetupVersion(over)
	_, sessionErr := b.Session(over, [32]byte{})
	_, loginErr := b.Login(over, b.record("anna"))
	for name, err := range map[string]error{"version": setupErr, "session": sessionErr, "login": loginErr} {
		if !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("%s: %v is not ErrUnavailable", name, err)
		}
	}
}
