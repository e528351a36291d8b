package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
)

// copied is a sink that keeps everything.
type copied struct {
	begun  int
	tables []string // in the order in which they came
	rows   map[string][][]any
	fail   error
}

func (c *copied) Begin() error {
	c.begun++
	c.tables, c.rows = nil, make(map[string][][]any)
	return nil
}

func (c *copied) Row(t *broker.CacheTable, values []any) error {
	if c.fail != nil {
		return c.fail
	}
	if !slices.Contains(c.tables, t.Name) {
		c.tables = append(c.tables, t.Name)
	}
	c.rows[t.Name] = append(c.rows[t.Name], slices.Clone(values))
	return nil
}

// column returns one column of a table.
func (c *copied) column(t *testing.T, table, column string) []any {
	t.Helper()
	for _, ct := range broker.CacheTables() {
		if i := slices.Index(ct.Columns, column); ct.Name == table && i >= 0 {
			out := make([]any, len(c.rows[table]))
			for j, row := range c.rows[table] {
				out[j] = row[i]
			}
			return out
		}
	}
	t.Fatalf("no column %s of %s", column, table)
	return nil
}

func (b *bench) source() broker.CacheSource {
	b.t.Helper()
	s, ok := b.Store.(broker.CacheSource)
	if !ok {
		b.t.Fatal("the store is no source of host caches")
	}
	return s
}

func (b *bench) copy() *copied {
	b.t.Helper()
	c := &copied{}
	version := must(b.source().CopyCache(ctx(b.t), c))(b.t)
	if now := must(b.source().CacheVersion(ctx(b.t)))(b.t); version != now || c.begun != 1 {
		b.t.Errorf("a copy of %+v that began %d times; the version is %+v", version, c.begun, now)
	}
	return c
}

// testCacheVersion: what admins, imports and scans change moves the version, once and for all brokers;
// what users and agents do leaves it.
func testCacheVersion(t *testing.T, b *bench) {
	s := b.source()
	last := must(s.CacheVersion(ctx(t)))(t)
	if last == (broker.CacheVersion{}) || last.Setup != 0 {
		t.Errorf("an empty database has version %+v", last)
	}
	seen := map[broker.CacheVersion]bool{last: true}
	step := func(what string, moves bool) {
		t.Helper()
		now := must(s.CacheVersion(ctx(t)))(t)
		switch {
		case !moves && now != last:
			t.Errorf("%s moved the version from %+v to %+v", what, last, now)
		case moves && (now.Inventory <= last.Inventory || now.Stamp == last.Stamp || seen[now]):
			t.Errorf("%s: the version was %+v and is %+v", what, last, now)
		}
		seen[now], last = true, now
	}
	member := b.join(1, "cb1")
	step("the first join", true)
	b.fill(centers())
	step("a setup", true)
	loose := machine("loose", "10.3.0.4")
	b.scan(broker.ScanBatch{Machines: []broker.Machine{machine("one", "10.1.0.1"), machine("own-1", "10.3.0.2"), loose}})
	step("a scan that finds machines", true)
	b.scan(broker.ScanBatch{Machines: []broker.Machine{machine("one", "10.1.0.1"), machine("own-1", "10.3.0.2"), loose}})
	step("a scan that finds everything as it was", false)
	give := func(user, desktop string) broker.Assignment {
		return broker.Assignment{User: user, Directory: broker.LocalDirectory, Desktop: desktop}
	}
	must(b.ImportAssignments(ctx(t), []broker.Assignment{give("anna", "own-1"), give("carl", "loose")}, false, b.row(broker.LogSetup)))(t)
	step("an import of assignments", true)
	loose.IP = "10.1.0.4"
	b.scan(broker.ScanBatch{Machines: []broker.Machine{loose}})
	step("a scan that finds a machine elsewhere", true)
	must(b.RefreshPools(ctx(t)))(t)
	step("a pool refresh that finds everything in its place", false)
	must(b.ImportAssignments(ctx(t), []broker.Assignment{{Desktop: "loose"}}, false, b.row(broker.LogSetup)))(t)
	step("the end of an assignment", true)
	if n := must(b.RefreshPools(ctx(t)))(t); n != 1 {
		t.Errorf("%d desktops were moved", n)
	}
	step("a pool refresh that moves a desktop", true)
	b.scan(broker.ScanBatch{Vanished: []string{"loose"}})
	step("a machine that has vanished", true)
	b.enrol("own-1")
	step("the enrolment of an agent", true)
	for _, on := range []bool{true, false} {
		if err := b.SetMaintenance(ctx(t), "one", on, "disk", b.row(broker.LogSetup)); err != nil {
			t.Fatal(err)
		}
		step("an operator's word on a desktop", true)
	}
	b.useCluster(member, step)
	vacation := centers()
	vacation.Desktops = []broker.Desktop{{Name: "fixed", Pool: "pool", Host: "10.1.0.9", State: "maintenance"}}
	b.fill(vacation.WithDefaults())
	step("a setup with a desktop in maintenance", true)
}

// join makes a broker a member.
func (b *bench) join(site int, name string) broker.Membership {
	b.t.Helper()
	return must(b.Join(ctx(b.t), node(site, name), cluster(1), live))(b.t)
}

// useCluster does what goes on all day.
func (b *bench) useCluster(member broker.Membership, step func(string, bool)) {
	t := b.t
	t.Helper()
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(what, err)
		}
		step(what, false)
	}
	check("heartbeat", b.Heartbeat(ctx(t), member, broker.Beat{}))
	session, offers := b.login("dora")
	step("login", false)
	_, err := b.connect(session, offers[0].ID)
	check("connect", err)
	check("touch", b.TouchSession(ctx(t), session.ID, time.Minute))
	key := b.enrol("one")
	step("another enrolment", true)
	b.beat(key, broker.AgentReport{Version: "2"}, "dora")
	step("a report of an agent", false)
	_, err = b.SweepDesktops(ctx(t))
	check("sweep", err)
	check("end of a scan", b.EndScan(ctx(t), "racks", broker.ScanEnd{Result: "fine"}))
	_, err = b.Logout(ctx(t), session.ID, b.row(broker.LogLogout))
	check("logout", err)
	_, _, err = b.ReleaseExpired(ctx(t))
	check("release", err)
	_, err = b.Purge(ctx(t), broker.Retention{})
	check("purge", err)
	other := b.join(2, "cb2")
	step("another join", false)
	check("leave", b.Leave(ctx(t), other))
}

// testCacheCopy: a copy has what logins need, and nothing that is over.
func testCacheCopy(t *testing.T, b *bench) {
	b.join(1, "cb1")
	s := setup()
	s.Desktops = append(s.Desktops, broker.Desktop{Name: "gone", Pool: "pool", Host: "10.0.0.9"})
	b.fill(s.WithDefaults())
	b.fill(setup())
	b.enrol("pool-1")
	anna, offers := b.login("anna")
	pooled := offers[slices.IndexFunc(offers, func(o broker.Offer) bool { return o.Kind == broker.KindPooled })]
	held := must(b.connect(anna, pooled.ID))(t)
	over, _ := b.login("bert")
	must(b.Logout(ctx(t), over.ID, b.row(broker.LogLogout)))(t)
	c := b.copy()
	for table, want := range map[string]int{"cluster": 1, "setup": 1, "desktop_pool": 2, "desktop": 5, "assignment": 2, "agent": 1, "last_use": 1,
		"broker": 1, "session": 1, "claim": 1, "center": 0, "limit_block": 0} {
		if len(c.rows[table]) != want {
			t.Errorf("%d rows of %s, want %d: %v", len(c.rows[table]), table, want, c.rows[table])
		}
	}
	if ids := c.column(t, "session", "id"); !slices.Contains(ids, any(anna.ID)) {
		t.Errorf("sessions %v", ids)
	}
	if ids := c.column(t, "claim", "desktop_id"); !slices.Contains(ids, any(held.ID)) {
		t.Errorf("claims %v, %s is held", ids, held.ID)
	}
	for _, at := range []any{c.column(t, "session", "expires_at")[0], c.column(t, "setup", "changed_at")[0], c.column(t, "claim", "claimed_at")[0]} {
		if ms, ok := at.(int64); !ok || time.Since(time.UnixMilli(ms)).Abs() > 2*time.Hour {
			t.Errorf("%v is no time of today", at)
		}
	}
	tables := broker.CacheTables()
	for i, name := range c.tables {
		if n := slices.IndexFunc(tables, func(t broker.CacheTable) bool { return t.Name == name }); n < i {
			t.Errorf("%s came too late", name)
		}
	}
	state := &copied{}
	if err := b.source().CopyState(ctx(t), state); err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if got := state.rows[table.Name]; table.State && !reflect.DeepEqual(got, c.rows[table.Name]) || !table.State && got != nil {
			t.Errorf("state of %s: %v, all: %v", table.Name, got, c.rows[table.Name])
		}
	}
	full := errors.New("no space left on device")
	if _, err := b.source().CopyCache(ctx(t), &copied{fail: full}); err != full {
		t.Errorf("the sink's error is %v", err)
	}
}

// testCacheCopyConsistent copies while users come and go: what a row refers to is always in the same copy.
func testCacheCopyConsistent(t *testing.T, b *bench) {
	b.join(1, "cb1")
	s := setup()
	for i := range 40 {
		s.Desktops = append(s.Desktops, broker.Desktop{Name: fmt.Sprint("more-", i), Pool: "pool", Host: "h"})
	}
	b.fill(s.WithDefaults())
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range 3 {
		store := b.handle()
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				out, err := store.Login(ctx(t), b.record(fmt.Sprint("user", i, n%5)))
				if err == nil && out.Session != nil {
					_, err = store.Connect(ctx(t), broker.ConnectRecord{Session: *out.Session, Offer: out.Offers[0].ID, Log: b.row(broker.LogConnect)})
				}
				if err == nil && n%2 == 0 {
					_, err = store.Logout(ctx(t), out.Session.ID, b.row(broker.LogLogout))
				}
				if err != nil && !errors.Is(err, broker.ErrNoDesktop) && !errors.Is(err, broker.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	claims := 0
	for deadline := time.Now().Add(20 * time.Second); claims < 20 && time.Now().Before(deadline); {
		c := b.copy()
		sessions, desktops := c.column(t, "session", "id"), c.column(t, "desktop", "id")
		for i, id := range c.column(t, "claim", "session_id") {
			claims++
			if desktop := c.column(t, "claim", "desktop_id")[i]; !slices.Contains(sessions, id) || !slices.Contains(desktops, desktop) {
				t.Errorf("the copy has a claim of session %v on desktop %v, but not both", id, desktop)
			}
		}
	}
	close(stop)
	wg.Wait()
	if claims == 0 {
		t.Error("nobody had a desktop in any copy")
	}
}
