package broker_test

import (
	"context"
	"errors"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/internal/covers"
	"switchpoint/internal/problem"
)

// lateStore reads the setup as it was one version before, as somebody does who is too slow.
type lateStore struct {
	broker.Store
	late atomic.Bool
}

func (s *lateStore) Setup(ctx context.Context) (broker.Setup, int64, error) {
	setup, version, err := s.Store.Setup(ctx)
	if s.late.Load() {
		version--
	}
	return setup, version, err
}

// TestSetLeases: a change of [leases] leaves the rest of the setup as it is, is checked as any other, and does
// not overwrite what somebody else has changed meanwhile; the next connect obeys it (LS7).
func TestSetLeases(t *testing.T) {
	covers.Req(t, "LS7")
	t.Parallel()
	c := newCluster(t)
	late := &lateStore{Store: c.store()}
	b := c.start(1, func(o *broker.Options) { o.Store = late })
	off, life := false, 240*time.Hour
	if _, err := b.SetLeases(t.Context(), broker.LeaseChange{Life: &life}, "eve"); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("without any setup: %v", err)
	}
	s := localSetup(t)
	s.DesktopPools[0].Check = "none"
	s.Desktops = []broker.Desktop{{Name: "d0", Pool: "own", Host: "10.0.0.1"}}
	s.Assignments = []broker.Assignment{{User: "u0", Desktop: "d0"}}
	b.fill(t, s)
	before, _, err := b.Setup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in := b.Login(t.Context(), login("u0", "p"))
	lives := func() (out []time.Duration) {
		t.Helper()
		if _, code := b.connect(t, in.Token, in.Offers[0].ID); code != "" {
			t.Fatal(code)
		}
		list, err := b.Leases(t.Context(), broker.LeaseFilter{Kind: broker.LeaseLaunch, User: " U0"})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range list {
			out = append(out, l.Expires.Sub(l.Recorded))
		}
		return out
	}
	if got := lives(); !reflect.DeepEqual(got, []time.Duration{336 * time.Hour}) {
		t.Errorf("by default: %v", got)
	}
	changes, err := b.SetLeases(t.Context(), broker.LeaseChange{Life: &life}, "eve")
	if err != nil || len(changes) != 1 || changes[0].String() != "change leases: life" {
		t.Fatalf("%v, %v", changes, err)
	}
	if got := lives(); !reflect.DeepEqual(got, []time.Duration{life}) {
		t.Errorf("after the change: %v", got)
	}
	after, version, err := b.Setup(t.Context())
	if err != nil || version != 2 {
		t.Fatal(version, err)
	}
	if after.Leases, before.Leases = (broker.Leases{}), (broker.Leases{}); !reflect.DeepEqual(after, before) {
		t.Errorf("the rest of the setup was %+v, is %+v", before, after)
	}
	if changes, err := b.SetLeases(t.Context(), broker.LeaseChange{Life: &life}, "eve"); err != nil || len(changes) != 0 {
		t.Errorf("the same again: %v, %v", changes, err)
	}
	short := time.Minute
	if _, err := b.SetLeases(t.Context(), broker.LeaseChange{Life: &short}, "eve"); !isProblem(err, "leases.life") {
		t.Errorf("a minute: %v", err)
	}
	late.late.Store(true)
	_, err = b.SetLeases(t.Context(), broker.LeaseChange{Enabled: &off}, "eve")
	late.late.Store(false)
	if !errors.Is(err, broker.ErrConflict) {
		t.Errorf("too slow: %v", err)
	}
	if n, err := b.RemoveLeases(t.Context(), "eve", broker.LeaseFilter{User: "U0"}); n != 2 || err != nil {
		t.Errorf("%d removed, %v", n, err)
	}
	if _, err := b.SetLeases(t.Context(), broker.LeaseChange{Enabled: &off}, "eve"); err != nil {
		t.Fatal(err)
	}
	if got := lives(); len(got) != 0 {
		t.Errorf("switched off: %v", got)
	}
}

func isProblem(err error, path string) bool {
	list, ok := errors.AsType[problem.List](err)
	return ok && len(list) == 1 && list[0].Path == path
}
