package postgres

import (
	"context"
	"testing"
	"time"

	"switchpoint/broker"
)

// slowSink takes a copy as slowly as on says.
type slowSink struct {
	begun, rows int
	on          func(*broker.CacheTable) // before each row
}

func (s *slowSink) Begin() error {
	s.begun++
	s.rows = 0
	return nil
}

func (s *slowSink) Row(t *broker.CacheTable, _ []any) error {
	s.on(t)
	s.rows++
	return nil
}

// TestCacheCopyOutlasts: a copy may take longer than other calls, and nobody waits for it: neither a
// connect nor a new setup. What they change is not in it. A server connection that is cut under it costs no
// more than the beginning.
func TestCacheCopyOutlasts(t *testing.T) {
	t.Parallel()
	d := serve(t, roomy())
	s := open(t, Options{URL: d.DSN, QueryTimeout: time.Second})
	join(t, s, 1)
	fill(t, s, 50)
	before, err := s.CacheVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	once := false
	sink := &slowSink{on: func(table *broker.CacheTable) {
		if table.Name != "desktop" || once {
			return
		}
		once = true
		if _, _, err := signIn(t.Context(), s, "anna"); err != nil {
			t.Errorf("a connect beside a copy: %v", err)
		}
		if _, err := s.ReplaceSetup(t.Context(), broker.Setup{}.WithDefaults(), 1, broker.LogRow{ID: newID()}); err != nil {
			t.Errorf("a new setup beside a copy: %v", err)
		}
		time.Sleep(6 * time.Second) // longer than QueryTimeout and than other transactions may be idle: that is the point
	}}
	version, err := s.CopyCache(t.Context(), sink)
	if err != nil || version != before || sink.begun != 1 || sink.rows != 1+1+1+50+1 { // cluster, setup, pool, desktops, broker
		t.Errorf("%+v (before: %+v), %d rows after %d beginnings, %v", version, before, sink.rows, sink.begun, err)
	}
	fill2 := broker.Setup{DesktopPools: []broker.DesktopPool{{Name: "pool", Kind: broker.KindPooled}}}.WithDefaults()
	if _, err := s.ReplaceSetup(t.Context(), fill2, 2, broker.LogRow{ID: newID()}); err != nil {
		t.Fatal(err)
	}
	cut := &slowSink{}
	cut.on = func(table *broker.CacheTable) {
		if table.Name == "desktop_pool" && cut.begun == 1 {
			d.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'switchpoint' AND datname = current_database()`)
		}
	}
	if _, err := s.CopyCache(t.Context(), cut); err != nil || cut.begun != 2 || cut.rows != 1+1+1+1+1 { // anna is still signed in
		t.Errorf("%d rows after %d beginnings, %v", cut.rows, cut.begun, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ends := &slowSink{on: func(*broker.CacheTable) { cancel() }}
	if _, err := s.CopyCache(ctx, ends); err == nil {
		t.Error("a copy does not end with its context")
	}
}
