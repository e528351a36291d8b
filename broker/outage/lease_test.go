package outage

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
	"switchpoint/internal/covers"
)

const fortnight = 14 * 24 * time.Hour

// newLeased is a broker that serves without its database from leases alone.
func newLeased(t *testing.T) *world {
	server := startServer(t)
	return newWorldWith(t, &world{server: server, dsn: server.DSN, outage: leasesAlone()})
}

func leasesAlone() broker.Outage {
	return broker.Outage{Mode: broker.OutageLeases, Profile: broker.OutageFast, CacheEvery: time.Hour, CacheMaxAge: time.Hour}
}

// gauge reads a metric without labels.
func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// launch connects as a broker does, which leaves a lease behind.
func (w *world) launch(s broker.Session, desktop, client string) (broker.Candidate, error) {
	log := row(broker.LogConnect, s.User)
	log.Session = s.ID
	id := broker.OfferID{Desktop: w.desktop(desktop)}
	return w.Connect(w.t.Context(), broker.ConnectRecord{Session: s, Offer: id, Log: log, Lease: broker.LeaseTerms{Life: fortnight, Client: client}})
}

// desktop is the id of a desktop, as the database or a lease has it.
func (w *world) desktop(name string) string {
	w.t.Helper()
	list, err := w.LocalLeases(w.t.Context(), broker.LeaseFilter{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range list {
		for _, d := range l.Desktops {
			if d.Name == name {
				return d.ID
			}
		}
	}
	offers, err := w.primary.Offers(w.t.Context(), broker.OfferQuery{Who: who(strings.TrimSuffix(name, "-pc"))})
	if err != nil || len(offers) != 1 || offers[0].Name != name {
		w.t.Fatalf("desktop %s: %+v, %v", name, offers, err)
	}
	return offers[0].ID.Desktop
}

// give makes users with a desktop of their own each, and has them connect to it.
func (w *world) give(users ...string) {
	w.t.Helper()
	setup, version, err := w.primary.Setup(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for i, u := range users {
		setup.Desktops = append(setup.Desktops, broker.Desktop{Name: u + "-pc", Pool: "own", Host: "192.0.2." + string(rune('6'+i)) + "0"})
		setup.Assignments = append(setup.Assignments, broker.Assignment{User: u, Directory: broker.LocalDirectory, Desktop: u + "-pc"})
	}
	if _, err := w.primary.ReplaceSetup(w.t.Context(), setup.WithDefaults(), version, row(broker.LogSetup, "")); err != nil {
		w.t.Fatal(err)
	}
	for _, u := range users {
		w.earn(u, u+"-pc", "")
	}
}

// earn has a user sign in and connect, while the database answers: on a busy machine it may seem to be away
// for a moment.
func (w *world) earn(user, desktop, client string) (s broker.Session, hash [32]byte) {
	w.t.Helper()
	eventually(w.t, user+" connects to "+desktop, time.Minute, func() bool {
		r, h := record(user)
		out, err := w.Login(w.t.Context(), r)
		if err != nil || out.Session == nil {
			return false
		}
		s, hash = *out.Session, h
		_, err = w.launch(s, desktop, client)
		return err == nil
	})
	return s, hash
}

func (w *world) refresh() LeaseSync {
	w.t.Helper()
	out, err := w.RefreshLeases(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// reasons is the explanation of the newest log row with this reference.
func (w *world) reasons(ref string) string {
	w.t.Helper()
	r, err := w.LogByRef(w.t.Context(), ref)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Join(r.Reason, "\n")
}

// TestLeasesServe: without a host cache, who has connected to a desktop of his own gets there without the
// database, and who has not is told so; also from a process that starts in the outage. Afterwards the
// database has all of it.
func TestLeasesServe(t *testing.T) {
	covers.Req(t, "LS1", "LS8")
	server, reg := startServer(t), prometheus.NewRegistry()
	w := newWorldWith(t, &world{server: server, dsn: server.DSN, outage: leasesAlone(), change: func(o *Options) { o.Metrics = reg }})
	before, beforeHash := w.earn("anna", "anna-pc", "")
	offers, err := w.primary.Offers(t.Context(), broker.OfferQuery{Who: before.Who, Grants: before.Grants})
	if err != nil || len(offers) != 2 {
		t.Fatal(offers, err)
	}
	log := row(broker.LogConnect, "anna")
	if _, err := w.primary.Connect(t.Context(), broker.ConnectRecord{Session: before, Offer: offers[1].ID, Log: log, Lease: broker.LeaseTerms{Life: fortnight}}); err != nil {
		t.Fatal(err) // pooled: it leaves no lease
	}
	if out := w.refresh(); out.Held != 2 || !out.Anew {
		t.Errorf("%+v", out)
	}
	if files, _ := filepath.Glob(w.dir + "/cache-*"); len(files) > 0 || w.LeaseStatus().Serving || !w.LeaseStatus().Usable {
		t.Errorf("%q, %+v", files, w.LeaseStatus())
	}
	if held, usable, age := gauge(t, reg, "switchpoint_lease_held"), gauge(t, reg, "switchpoint_lease_usable"), gauge(t, reg, "switchpoint_lease_age_seconds"); held != 2 ||
		usable != 1 || age < 0 || age > 60 {
		t.Errorf("metrics: %v held, usable %v, %v s old", held, usable, age)
	}

	w.server.Kill()
	killed := time.Now()
	r, hash := record("anna")
	out, err := w.Login(t.Context(), r)
	took := time.Since(killed)
	if err != nil || out.Session == nil || len(out.Offers) != 1 || out.Offers[0].Name != "anna-pc" {
		t.Fatalf("%+v, %v", out, err)
	}
	w.until(mode.Leased, 10*time.Second)
	t.Logf("first login after %s, leased after %s: %s", took.Round(time.Millisecond), time.Since(killed).Round(time.Millisecond), w.State().Reason)
	if why := w.reasons(r.Log.Ref); !strings.Contains(why, "served from leases") {
		t.Errorf("the explanation of the login: %q", why)
	}
	w.servesLeased(t, *out.Session, hash, beforeHash)
	if st, err := w.Status(t.Context()); err != nil || !st.Leases.Serving || st.Mode != mode.Leased || st.HostCache.File != "" {
		t.Errorf("%+v, %v", st, err)
	}

	w.stop()
	if files, _ := filepath.Glob(w.dir + "/leases.db*"); len(files) > 0 {
		t.Errorf("left behind: %q", files)
	}
	w.change = nil // the metrics are registered
	w.open()
	w.join()
	w.until(mode.Leased, 10*time.Second)
	w.servesLeased(t, *out.Session, hash, beforeHash)
	ended, _, endedHash, _ := w.login("anna")
	if err := w.logout(ended); err != nil {
		t.Error(err)
	}

	w.server.Start()
	w.until(mode.Normal, 60*time.Second)
	if n := w.node.unmerged(); n != 0 {
		t.Errorf("%d acts are left", n)
	}
	for _, h := range [][32]byte{hash, beforeHash} {
		if _, err := w.primary.Session(t.Context(), h); err != nil {
			t.Error(err)
		}
	}
	if _, err := w.primary.Session(t.Context(), endedHash); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("the session that has ended: %v", err)
	}
	if r, err := w.primary.LogByRef(t.Context(), r.Log.Ref); err != nil || !strings.Contains(strings.Join(r.Reason, "\n"), "served from leases") {
		t.Errorf("the log row of the outage: %+v, %v", r, err)
	}
	eventually(t, "the file of the outage is gone", 15*time.Second, func() bool {
		files, _ := filepath.Glob(w.dir + "/leases.db*")
		return w.files.Load() == nil && len(files) == 0
	})
}

// servesLeased asks all that a user of a leased broker asks.
func (w *world) servesLeased(t *testing.T, s broker.Session, hashes ...[32]byte) {
	t.Helper()
	for _, h := range hashes {
		if s, err := w.Session(t.Context(), h); err != nil || s.Who != who("anna") {
			t.Errorf("a session from before: %+v, %v", s, err)
		}
	}
	if offers, err := w.Offers(t.Context(), broker.OfferQuery{Who: s.Who, Grants: s.Grants}); err != nil || len(offers) != 1 {
		t.Errorf("her offers: %+v, %v", offers, err)
	}
	if yes, err := w.Assigned(t.Context(), broker.LocalDirectory, "anna"); err != nil || !yes {
		t.Errorf("assigned: %v, %v", yes, err)
	}
	id := broker.OfferID{Desktop: w.desktop("anna-pc")}
	if list, err := w.Candidates(t.Context(), s, id, 1); err != nil || len(list) != 1 || list[0].Check != "none" {
		t.Errorf("%+v, %v", list, err)
	}
	if c, err := w.launch(s, "anna-pc", ""); err != nil || c.Name != "anna-pc" || c.Host != "192.0.2.50" || c.Port != 3389 || c.Protocol != "rdp" {
		t.Errorf("her own desktop: %+v, %v", c, err)
	}
	if _, err := w.launch(s, "anna-pc", "any client"); err != nil {
		t.Errorf("a lease for all clients: %v", err)
	}
	r, _ := record("carl")
	if out, err := w.Login(t.Context(), r); err != nil || out.Session != nil {
		t.Errorf("a user without leases: %+v, %v", out, err)
	}
	if why := w.reasons(r.Log.Ref); !strings.Contains(why, "this user has none: it was not connected to within 14 days") {
		t.Errorf("his explanation: %q", why)
	}
	if _, err := w.StartTargets(t.Context(), []string{id.Desktop}); !errors.Is(err, broker.ErrNoStarts) {
		t.Errorf("a desktop that is off: %v", err)
	}
	if _, err := w.AgentBeats(t.Context(), make([]broker.AgentBeat, 1)); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("an agent: %v", err)
	}
	if setup, version, err := w.Setup(t.Context()); err != nil || version != 1 || len(setup.DesktopPools) != 2 || setup.DesktopPools[1].Check != "none" {
		t.Errorf("%+v, %d, %v", setup, version, err)
	}
	if list, err := w.Brokers(t.Context()); err != nil || len(list) != 1 || !list[0].Live {
		t.Errorf("%+v, %v", list, err)
	}
}
