package hostcache

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
)

// TestRehearse: a file that answers as the database does passes, whoever comes and goes; one that leads
// users elsewhere, or is damaged where no login of the rehearsal looks, is found and made anew.
func TestRehearse(t *testing.T) {
	onBothStores(t, func(t *testing.T, s store) {
		var log bytes.Buffer
		c := newCache(t, s, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		if _, err := c.Rehearse(t.Context(), 10); !errors.Is(err, ErrNone) {
			t.Errorf("%v", err)
		}
		mustSync(t, c, Updated)
		signIn(t, s, "anna") // after the copy: no difference
		mustSync(t, c, Current)
		signIn(t, s, "bert")
		pass := func(users int) {
			t.Helper()
			r, err := c.Rehearse(t.Context(), 10)
			if err != nil || r.Users != users || r.Different != 0 || r.Behind || c.Status().Rehearsal.Users != users {
				t.Errorf("%+v, %v; status %+v", r, err, c.Status())
			}
		}
		pass(6) // anna and five owners
		f, _, _, _ := c.now.get()
		change(t, f.path, `UPDATE desktop SET host = 'elsewhere' WHERE name = 'own000003'; UPDATE desktop SET state = 'disabled' WHERE name = 'own000004'`)
		log.Reset()
		r, err := c.Rehearse(t.Context(), 10)
		if err != nil || r.Different != 2 || len(r.Differences) != 2 || !strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("%+v, %v, log\n%s", r, err, &log)
		}
		for _, want := range []string{`user000003 of local: desktop "own000003" is elsewhere:3389`, `user000004 of local: assigned "own000004" is offered by the database only`} {
			if !strings.Contains(strings.Join(r.Differences, "\n"), want) {
				t.Errorf("%q is not in %q", want, r.Differences)
			}
		}
		mustSync(t, c, Updated)
		pass(7)
		fill(t, s, company(7, 5))
		if r, err := c.Rehearse(t.Context(), 10); err != nil || !r.Behind || r.Different != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		mustSync(t, c, Updated)
		f, _, _, _ = c.now.get()
		change(t, f.path, `PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, '(pool_id, shuffle)', '(shuffle, pool_id)') WHERE name = 'desktop_free'`)
		if _, err := c.Rehearse(t.Context(), 10); err == nil || !strings.Contains(err.Error(), "integrity_check") {
			t.Errorf("an index that does not fit its table: %v", err)
		}
		mustSync(t, c, Updated)
		pass(9)
	})
}

func TestCompareOffers(t *testing.T) {
	own := broker.Offer{ID: broker.OfferID{Desktop: "d"}, Name: "mine", Kind: broker.KindAssigned, Protocol: "rdp", State: broker.OfferAvailable}
	pooled := broker.Offer{ID: broker.OfferID{Pool: "p", Slot: 1}, Name: "pool", Pool: "pool", Kind: broker.KindPooled, Protocol: "rdp", State: broker.OfferAvailable}
	with := func(o broker.Offer, change func(*broker.Offer)) broker.Offer {
		change(&o)
		return o
	}
	held := with(pooled, func(o *broker.Offer) { o.State, o.Name = broker.OfferRunning, "pool-7" })
	for name, tc := range map[string]struct {
		cache, database []broker.Offer
		want            []string
	}{
		"same":            {[]broker.Offer{own, pooled}, []broker.Offer{pooled, own}, nil},
		"nothing":         {nil, nil, nil},
		"taken meanwhile": {[]broker.Offer{pooled}, []broker.Offer{held}, nil},
		"all in use":      {[]broker.Offer{pooled}, []broker.Offer{with(pooled, func(o *broker.Offer) { o.State = broker.OfferUnavailable })}, nil},
		"held slot more":  {[]broker.Offer{pooled}, []broker.Offer{pooled, with(held, func(o *broker.Offer) { o.ID.Slot = 2 })}, nil},
		"missing":         {[]broker.Offer{pooled}, []broker.Offer{own, pooled}, []string{`assigned "mine" is offered by the database only`}},
		"too much":        {[]broker.Offer{own, pooled}, []broker.Offer{own}, []string{`pooled "pool" is offered by the cache only`}},
		"maintenance": {[]broker.Offer{own}, []broker.Offer{with(own, func(o *broker.Offer) { o.State = broker.OfferMaintenance })},
			[]string{`state of assigned "mine" is "available" in the cache and "maintenance" in the database`}},
		"protocol": {[]broker.Offer{with(pooled, func(o *broker.Offer) { o.Protocol = "ssh" })}, []broker.Offer{pooled},
			[]string{`protocol of pooled "pool" is "ssh" in the cache and "rdp" in the database`}},
	} {
		if got := compareOffers(tc.cache, tc.database); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestShadows(t *testing.T) {
	setup := company(1, 1)
	setup.Policies = append(setup.Policies, broker.Policy{Name: "two", Pools: []string{"own", "pool"}, MaxOffers: 2, MaxSessions: 3})
	mine := []broker.Grant{{Pool: "x", MaxOffers: 1}}
	got := shadows([]sqlite.CacheUser{{Who: local("a")}, {Who: local("b")}, {Who: local("c"), Grants: mine}}, setup)
	want := []shadow{{local("a"), []broker.Grant{{Pool: "pool", MaxOffers: 1, Order: broker.OrderPrevious}}},
		{local("b"), []broker.Grant{{Pool: "pool", MaxOffers: 2, MaxSessions: 3}}}, {local("c"), mine}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := shadows([]sqlite.CacheUser{{Who: local("a")}}, broker.Setup{}); len(got) != 1 || got[0].Grants != nil {
		t.Errorf("without policies: %+v", got)
	}
}

func TestReason(t *testing.T) {
	v := broker.CacheVersion{Setup: 3, Inventory: 7, Stamp: 1}
	for _, tc := range []struct {
		version broker.CacheVersion
		copied  broker.CacheVersion
		stale   string
		none    error
		want    string
	}{
		{v, v, "", nil, ""},
		{v, v, "it is damaged", nil, "it is damaged"},
		{v, broker.CacheVersion{}, "", errors.New("there is no copy yet"), "there is no copy yet"},
		{v, broker.CacheVersion{Setup: 2, Inventory: 7, Stamp: 1}, "", nil, "the setup is at version 3, the copy is of version 2"},
		{v, broker.CacheVersion{Setup: 3, Inventory: 6, Stamp: 9}, "", nil, "the inventory is at version 7, the copy is of version 6"},
		// A database that was restored and went on: the numbers are the same by accident.
		{v, broker.CacheVersion{Setup: 3, Inventory: 7, Stamp: 9}, "", nil, "the inventory is at version 7, the copy is of version 7"},
	} {
		if got := reason(tc.version, sqlite.CacheInfo{Version: tc.copied}, tc.stale, tc.none); got != tc.want {
			t.Errorf("%+v: %q", tc, got)
		}
	}
}

// TestRun: a broker without a copy makes one at once, changes arrive by themselves, and the rehearsal
// comes by itself; a database that goes away and comes back needs nobody.
func TestRun(t *testing.T) {
	s := embedded(t)
	fill(t, s, company(2, 2))
	away := make(chan error, 1)
	source := &broken{store: s, version: func() error {
		select {
		case err := <-away:
			return err
		default:
			return nil
		}
	}}
	c := newCache(t, source, func(o *Options) { o.Every, o.RehearseEvery = 20*time.Millisecond, 20*time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	eventually(t, "a copy and a rehearsal", func() bool { st := c.Status(); return st.Usable && st.Rehearsal.Users == 2 })
	away <- broker.ErrUnavailable
	eventually(t, "the database was asked while it was away", func() bool { return len(away) == 0 })
	fill(t, s, company(3, 2))
	eventually(t, "the change", func() bool { return c.Status().Rows["desktop"] == 5 })
	cache, _, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := cache.Close(); err != nil {
		t.Fatal(err)
	}
	c.Release()
	eventually(t, "another copy after the outage", func() bool { return c.Status().File > wholeFile(c.o.Dir, 2).path })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// TestPause: brokers ask at least every Every, and not in step.
func TestPause(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: 120 * time.Second, 0.5: 108 * time.Second, 1: 96 * time.Second} {
		if got := pause(DefaultEvery, random); got != want {
			t.Errorf("%v: %s", random, got)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if sleep(ctx, time.Hour) || !sleep(t.Context(), time.Hour) {
			t.Error("a sleep ends with its context, or its time")
		}
	})
}

// TestOptions: what is missing is said before anything is done.
func TestOptions(t *testing.T) {
	s := embedded(t)
	for name, o := range map[string]Options{
		"no source":    {Dir: t.TempDir()},
		"no folder":    {Source: s},
		"not there":    {Source: s, Dir: t.TempDir() + "/gone"},
		"negative age": {Source: s, Dir: t.TempDir(), MaxAge: -1},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
