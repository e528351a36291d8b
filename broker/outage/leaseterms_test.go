package outage

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
	"switchpoint/internal/covers"
)

// TestLeaseTerms: what is over, was removed, is somebody else's now, counts for another client or came after
// the last synchronisation leads nowhere, and the refusal says so.
func TestLeaseTerms(t *testing.T) {
	covers.Req(t, "LS1", "LS2", "LS3", "LS8")
	w := newLeased(t)
	w.give("bert", "dora", "emil", "fred", "gina", "hugo")
	anna, _ := w.earn("anna", "anna-pc", "tc-1")
	exec := w.server.Exec
	exec(`UPDATE lease SET recorded_at = now() - interval '14 days', expires_at = now() - interval '1 second', changed_at = now() WHERE user_name = 'bert'`)
	if out := w.refresh(); out.Held != 12 {
		t.Fatalf("%+v", out)
	}
	exec(`UPDATE lease SET recorded_at = now() - interval '14 days', expires_at = now() - interval '1 second', changed_at = now() WHERE user_name = 'fred'`)
	exec(`UPDATE lease SET recorded_at = now() - interval '13 days', expires_at = now() + interval '1 day', changed_at = now() WHERE user_name = 'emil'`)
	if n, err := w.RemoveLeases(t.Context(), broker.LeaseFilter{User: "dora"}, row(broker.LogCluster, "")); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	if out, err := w.syncLeases(t.Context(), false); err != nil || out.Anew || out.Held != 8 {
		t.Fatalf("%+v, %v", out, err)
	}
	if list, err := w.LocalLeases(t.Context(), broker.LeaseFilter{User: "dora"}); err != nil || len(list) > 0 {
		t.Errorf("removed leases: %+v, %v", list, err)
	}
	for want, f := range map[int]broker.LeaseFilter{
		2: {User: "Anna", Directory: broker.LocalDirectory}, 1: {Desktop: "emil-pc"}, 3: {Kind: broker.LeaseLaunch, Most: 3}, 0: {Client: "tc-2"}, 8: {},
	} {
		if list, err := w.LocalLeases(t.Context(), f); err != nil || len(list) != want {
			t.Errorf("%+v: %d leases, %v", f, len(list), err)
		}
	}
	// hugo's desktop is given to gina, who connects to it: his lease is older.
	setup, version, err := w.primary.Setup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(setup.Assignments, func(a broker.Assignment) bool { return a.User == "hugo" })
	setup.Assignments[i].User = "gina"
	if _, err := w.primary.ReplaceSetup(t.Context(), setup, version, row(broker.LogSetup, "")); err != nil {
		t.Fatal(err)
	}
	w.earn("gina", "hugo-pc", "")
	w.refresh()
	w.give("late") // after the last synchronisation

	w.server.Kill()
	w.until(mode.Leased, 10*time.Second)
	hugo, _, _, _ := w.login("gina") // two desktops, of which one was hugo's
	if c, err := w.launch(hugo, "hugo-pc", ""); err != nil || c.Name != "hugo-pc" {
		t.Errorf("%+v, %v", c, err)
	}
	for _, user := range []string{"bert", "dora", "fred", "late", "hugo"} {
		r, _ := record(user)
		if out, err := w.Login(t.Context(), r); err != nil || out.Session != nil {
			t.Errorf("%s: %+v, %v", user, out, err)
		}
	}
	anna.ClientName = "tc-2"
	if _, err := w.launch(anna, "anna-pc", ""); !errors.Is(err, broker.ErrNoDesktop) || !strings.Contains(err.Error(), `none for client "tc-2"`) {
		t.Errorf("another client: %v", err)
	}
	anna.ClientName = "tc-1"
	if c, err := w.launch(anna, "anna-pc", ""); err != nil || c.Name != "anna-pc" {
		t.Errorf("her client: %+v, %v", c, err)
	}
	// A lease that ends in the outage.
	emil, _, _, _ := w.login("emil")
	if _, err := w.launch(emil, "emil-pc", ""); err != nil {
		t.Error(err)
	}
	if _, err := w.node.db.ExecContext(t.Context(), `UPDATE lease SET expires_at = ? WHERE user = 'emil' AND kind = 'launch'`, time.Now().UnixMilli()); err != nil {
		t.Fatal(err)
	}
	if c, err := w.launch(emil, "emil-pc", ""); !errors.Is(err, broker.ErrNoDesktop) || !strings.Contains(err.Error(), "not connected to within 14 days") {
		t.Errorf("after its end: %+v, %v", c, err)
	}
}

// TestLeasesAreNotShared: brokers that hear each other copy leases from the database all the same, and one that
// has missed some waits until it is back (LS3).
func TestLeasesAreNotShared(t *testing.T) {
	covers.Req(t, "LS3")
	one := newLeased(t)
	one.refresh()
	peers := &peers{}
	peers.add("b", one.Store)
	two := newWorldWith(t, &world{server: one.server, dsn: one.dsn, outage: one.outage, site: 2, change: peers.of("c", nil)})
	two.earn("anna", "anna-pc", "")
	two.refresh()
	one.server.Kill()
	two.until(mode.Leased, 10*time.Second)
	two.login("anna")
	one.until(mode.Draining, 10*time.Second) // it has nothing to serve from
	r, _ := record("anna")
	if out, err := one.Login(t.Context(), r); !errors.Is(err, broker.ErrUnavailable) || !strings.Contains(err.Error(), "leases: there are none") {
		t.Errorf("%+v, %v", out, err)
	}
	one.server.Start()
	eventually(t, "the copy is brought up to date", 30*time.Second, func() bool {
		out, err := one.RefreshLeases(t.Context())
		return err == nil && out.Held == 2
	})
}

// TestUnreadableLeases: what is damaged in node.db is left out and counted, the others serve, and the next
// synchronisation makes the copy anew.
func TestUnreadableLeases(t *testing.T) {
	w := newLeased(t)
	w.give("bert", "dora")
	w.earn("anna", "anna-pc", "")
	w.refresh()
	for _, spoil := range []string{
		`UPDATE lease SET lease = x'7b' WHERE user = 'bert' AND kind = 'launch'`,
		`UPDATE lease SET lease = (SELECT lease FROM lease WHERE user = 'anna' AND kind = 'launch') WHERE user = 'dora' AND kind = 'launch'`,
		`UPDATE lease SET lease = CAST(replace(CAST(lease AS TEXT), '3389', '-1') AS BLOB) WHERE user = 'dora' AND kind = 'enumeration'`,
	} {
		if _, err := w.node.db.ExecContext(t.Context(), spoil); err != nil {
			t.Fatal(err)
		}
	}
	w.server.Kill()
	w.until(mode.Leased, 10*time.Second)
	w.login("anna")
	bert, _, _, _ := w.login("bert") // he may see it, but nobody knows any more that he was there
	if _, err := w.launch(bert, "bert-pc", ""); !errors.Is(err, broker.ErrNoDesktop) {
		t.Errorf("%v", err)
	}
	r, _ := record("dora")
	if out, err := w.Login(t.Context(), r); err != nil || out.Session != nil {
		t.Errorf("%+v, %v", out, err)
	}
	if st := w.LeaseStatus(); st.Unreadable != 3 || st.Held != 6 {
		t.Errorf("%+v", st)
	}
	w.server.Start()
	w.until(mode.Normal, 60*time.Second)
	if out, err := w.syncLeases(t.Context(), false); err != nil || !out.Anew || out.Held != 6 || w.LeaseStatus().Unreadable != 0 {
		t.Errorf("%+v, %v, %+v", out, err, w.LeaseStatus())
	}
}

// FuzzReadLease: whatever stands in node.db, what is read of it leads somewhere.
func FuzzReadLease(f *testing.F) {
	f.Add([]byte(`{"kind":"launch","Directory":"local","User":"anna","desktop":"d","desktops":[{"id":"d","name":"pc","host":"h","port":3389}]}`))
	f.Add([]byte(`{"kind":"launch","Directory":"local","User":"anna","desktop":"d","desktops":[]}`))
	f.Add([]byte(`{"kind":"enumeration"}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, text []byte) {
		key := broker.Lease{Kind: broker.LeaseLaunch, Who: who("anna"), Desktop: "d"}
		l, err := readLease(key, time.Now(), text)
		if err == nil && (l.Who != key.Who || len(l.Desktops) != 1 || l.Desktops[0].ID != "d" || l.Desktops[0].Host == "") {
			t.Errorf("%+v", l)
		}
	})
}

// TestEndedElsewhere: a session that another broker has ended before the newest synchronisation is not brought
// back in mode leased, and one that runs is.
func TestEndedElsewhere(t *testing.T) {
	w := newLeased(t)
	_, runs := w.earn("anna", "anna-pc", "")
	elsewhere, ended := w.earn("anna", "anna-pc", "")
	if _, err := w.primary.Logout(t.Context(), elsewhere.ID, row(broker.LogLogout, "anna")); err != nil {
		t.Fatal(err)
	}
	if err := w.node.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.node.db.ExecContext(t.Context(), `UPDATE session SET kept_at = kept_at - 60000`); err != nil { // else the copies are too young to tell
		t.Fatal(err)
	}
	w.refresh()
	w.server.Kill()
	w.until(mode.Leased, 10*time.Second)
	if _, err := w.Session(t.Context(), runs); err != nil {
		t.Errorf("the one that runs: %v", err)
	}
	if _, err := w.Session(t.Context(), ended); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("the one that has ended: %v", err)
	}
}

// TestLeasesSwitchedOff: a cluster without leases is not served from them, though copies are there (LS6).
func TestLeasesSwitchedOff(t *testing.T) {
	w := newServing(t, broker.OutageLeases, time.Hour)
	w.refresh()
	setup, version, err := w.primary.Setup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	setup.Leases.Enabled = new(false)
	if _, err := w.primary.ReplaceSetup(t.Context(), setup, version, row(broker.LogSetup, "")); err != nil {
		t.Fatal(err)
	}
	if out, err := w.syncLeases(t.Context(), false); err != nil || out.Held != 2 {
		t.Fatal(out, err)
	}
	if st := w.LeaseStatus(); st.Usable || !strings.Contains(st.Why, "switched off") {
		t.Errorf("%+v", st)
	}
	if err := w.SetForce(t.Context(), &mode.Force{On: true, By: "a test"}); !errors.Is(err, ErrNothingToServeFrom) {
		t.Errorf("%v", err)
	}
}

// TestUnfitSetup: a setup that no broker could serve with does not replace the one before, and the leases
// are copied all the same.
func TestUnfitSetup(t *testing.T) {
	server, unfit := startServer(t), errors.New("nobody could")
	var fits atomic.Bool
	fits.Store(true)
	w := newWorldWith(t, &world{server: server, dsn: server.DSN, outage: leasesAlone(), change: func(o *Options) {
		o.Check = func(broker.Setup) error {
			if fits.Load() {
				return nil
			}
			return unfit
		}
	}})
	w.refresh()
	fits.Store(false)
	w.give("bert")
	if out, err := w.syncLeases(t.Context(), false); !errors.Is(err, unfit) || out.Held != 2 {
		t.Errorf("%+v, %v", out, err)
	}
	if st := w.LeaseStatus(); st.Setup != 1 || !st.Usable || !strings.Contains(st.Error, "setup of version 2") {
		t.Errorf("%+v", st)
	}
}

// TestAnotherCluster: leases of the cluster that this broker was a member of before do not count.
func TestAnotherCluster(t *testing.T) {
	w := newServing(t, broker.OutageLeases, time.Hour)
	w.refresh()
	w.leases.joined(broker.Cluster{Name: "us", Secret: [32]byte{1}})
	if st := w.LeaseStatus(); st.Usable || !strings.Contains(st.Why, "another cluster") {
		t.Errorf("%+v", st)
	}
	if _, err := w.node.db.ExecContext(t.Context(), `UPDATE lease SET user = 'left over'`); err != nil {
		t.Fatal(err)
	}
	if out, err := w.syncLeases(t.Context(), false); err != nil || !out.Anew || out.Held != 2 || !w.LeaseStatus().Usable {
		t.Errorf("%+v, %v", out, err)
	}
}
