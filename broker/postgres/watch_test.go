package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
)

// watchWithSetup looks after desktops while new setups change all of them: neither makes the server undo
// the other to end a deadlock.
func watchWithSetup(t *testing.T, d *databases) {
	const desktops, users = 24, 20
	u := d.fresh(t, d.DSN)
	name := u[strings.LastIndex(u, "/")+1 : strings.Index(u, "?")]
	d.Exec("ALTER DATABASE " + name + " SET deadlock_timeout = '10ms'")
	s := open(t, Options{URL: u, MaxConns: 12, QueryTimeout: 30 * time.Second})
	join(t, s, 1)
	version, err := s.ReplaceSetup(t.Context(), racks(desktops, 0), 0, broker.LogRow{ID: newID()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range users {
		if _, _, err := signIn(t.Context(), s, fmt.Sprint("user", i)); err != nil {
			t.Fatal(err)
		}
	}
	claims, err := s.UnwatchedClaims(t.Context(), "", 100)
	if err != nil || len(claims) < 10 {
		t.Fatalf("%d desktops are in use, %v", len(claims), err)
	}
	var names []string
	for i := range desktops {
		names = append(names, fmt.Sprint("d", i))
	}
	over, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	var wg sync.WaitGroup
	var probes, ended int
	loop := func(name string, fn func() error) {
		wg.Go(func() {
			for over.Err() == nil {
				if err := fn(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	loop("setup", func() (err error) {
		version, err = s.ReplaceSetup(t.Context(), racks(desktops, int(version)), version, broker.LogRow{ID: newID()})
		return err
	})
	loop("probes", func() error {
		var ids [2][]string
		for _, i := range rand.Perm(len(claims)) {
			up := rand.IntN(2)
			ids[up] = append(ids[up], claims[i].ID)
		}
		n, err := s.RecordProbes(t.Context(), ids[0], ids[1], time.Minute)
		probes, ended = probes+1, ended+n
		return err
	})
	loop("hold", func() error {
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		_, err := s.HoldForReset(t.Context(), names, "r", 0, broker.LogRow{ID: newID()})
		return err
	})
	loop("sweep", func() error { _, err := s.SweepDesktops(t.Context()); return err })
	wg.Wait()
	if probes < 10 || ended != 0 || version < 3 {
		t.Errorf("%d probes, which ended %d claims, and %d setups", probes, ended, version)
	}
	if err := s.Close(); err != nil { // the server counts when a connection ends
		t.Error(err)
	}
	if n := strings.TrimSpace(d.Exec("SELECT deadlocks FROM pg_stat_database WHERE datname = '" + name + "'")); n != "0" {
		t.Errorf("the server ended %s deadlocks", n)
		for _, said := range strings.SplitAfter(d.Log(), "ERROR:") {
			if strings.HasPrefix(strings.TrimSpace(said), "deadlock") {
				t.Log(said)
			}
		}
	}
}
