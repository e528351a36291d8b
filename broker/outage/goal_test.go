package outage

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
	"switchpoint/internal/covers"
)

// beyond is more desktops than the original's host cache takes in one zone: 10,000.
const beyond = 12_000

// TestEverybodyGetsIn: whoever has a desktop gets to it without the database, also who has never been there,
// so that no lease of the last two weeks could help, and however many they are; who holds a pooled one gets
// to it again.
func TestEverybodyGetsIn(t *testing.T) {
	covers.Req(t, "HC1", "HC8")
	server := startServer(t)
	w := newWorldWith(t, &world{server: server, dsn: server.DSN,
		outage: broker.Outage{Mode: broker.OutageHostCache, Profile: broker.OutageFast, CacheEvery: time.Hour, CacheMaxAge: time.Hour}})
	setup, version, err := w.primary.Setup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	user := func(i int) string { return fmt.Sprintf("user-%05d", i) }
	for i := range beyond {
		name := user(i) + "-pc"
		setup.Desktops = append(setup.Desktops, broker.Desktop{Name: name, Pool: "own", Host: name + ".company.com"})
		setup.Assignments = append(setup.Assignments, broker.Assignment{User: user(i), Directory: broker.LocalDirectory, Desktop: name})
	}
	if _, err := w.primary.ReplaceSetup(t.Context(), setup.WithDefaults(), version, row(broker.LogSetup, "")); err != nil {
		t.Fatal(err)
	}
	holder, offers, _, _ := w.login("carl")
	held, err := w.connect(holder, offers[0])
	if err != nil {
		t.Fatal(err)
	}
	w.lose()
	for i := 0; i < beyond; i += 199 {
		s, offers, _, _ := w.login(user(i))
		if c, err := w.connect(s, offers[0]); err != nil || c.Name != user(i)+"-pc" {
			t.Fatalf("%s: %+v, %v", user(i), c, err)
		}
	}
	again, offers, _, _ := w.login("carl")
	if c, err := w.connect(again, offers[0]); err != nil || c.ID != held.ID {
		t.Errorf("the desktop that he holds: %+v, %v", c, err)
	}
	if s := w.LeaseStatus(); s.Usable {
		t.Errorf("the host cache alone is to serve: %+v", s)
	}
}

// TestRoles: each broker has a host cache that is its own. Nobody else may read the file, what one broker does
// in an outage does not show in the other's, and nobody administers it.
func TestRoles(t *testing.T) {
	covers.Req(t, "HC3")
	server := startServer(t)
	a := newWorldOn(t, server)
	b := newWorldWith(t, &world{server: server, dsn: server.DSN, site: 2, change: func(o *Options) { o.Name = "other" }})
	if _, err := b.cache.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.lose() // with its own
	b.until(mode.HostCache, 20*time.Second)
	for _, w := range []*world{a, b} {
		files, err := filepath.Glob(filepath.Join(w.dir, "*.db*"))
		if err != nil || len(files) < 2 {
			t.Fatalf("%v, %v", files, err)
		}
		for _, f := range files {
			if i, err := os.Stat(f); err != nil || i.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", filepath.Base(f), i.Mode(), err)
			}
		}
	}
	_, _, hash, _ := a.login("anna")
	if _, err := a.Session(t.Context(), hash); err != nil {
		t.Errorf("her session where it was made: %v", err)
	}
	if s, err := b.Session(t.Context(), hash); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("the same session at the other broker: %+v, %v", s, err)
	}
	setup, version, err := a.Setup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.ReplaceSetup(t.Context(), setup, version, row(broker.LogSetup, "")); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("a new setup in an outage: %v", err)
	}
}

// loglines is a log that may be read while it is written.
type loglines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *loglines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// ids are the events of the original that have been logged, in their order.
func (l *loglines) ids(t *testing.T) (list []int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for lines := bufio.NewScanner(strings.NewReader(l.text.String())); lines.Scan(); {
		var line struct {
			ID int `json:"event_id"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.ID != 0 {
			list = append(list, line.ID)
		}
	}
	return list
}

// TestRecoveryAsTheOriginal: the events of an outage come in the original's order, and what desktops reported
// in it is not written back: they report to the database as soon as it is there.
func TestRecoveryAsTheOriginal(t *testing.T) {
	covers.Req(t, "HC6")
	log := new(loglines)
	server := startServer(t)
	w := newWorldWith(t, &world{server: server, dsn: server.DSN, change: func(o *Options) { o.Log = slog.New(slog.NewJSONHandler(log, nil)) }})
	ctx := t.Context()
	token, key := [32]byte{1}, [32]byte{2}
	if err := w.primary.AddEnrolToken(ctx, broker.EnrolToken{Hash: token, Desktop: "s1", Life: time.Hour}, row(broker.LogAgent, "")); err != nil {
		t.Fatal(err)
	}
	agent, err := w.primary.EnrolAgent(ctx, broker.Enrolment{TokenHash: token, KeyHash: func(string) [32]byte { return key }, Log: row(broker.LogAgent, "")})
	if err != nil {
		t.Fatal(err)
	}
	beat := func(version string) {
		t.Helper()
		orders, err := w.AgentBeats(ctx, []broker.AgentBeat{{Desktop: agent.ID, KeyHash: key, AgentReport: broker.AgentReport{Version: version}}})
		if err != nil || !orders[0].Known {
			t.Fatalf("%+v, %v", orders, err)
		}
	}
	reported := func(where interface {
		Agents(context.Context, string) ([]broker.AgentStatus, error)
	}) string {
		t.Helper()
		list, err := where.Agents(ctx, "s1")
		if err != nil || len(list) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		return list[0].Version
	}
	beat("before")
	w.lose()
	w.login("anna") // there is something to merge
	beat("between")
	if v := reported(w); v != "between" {
		t.Errorf("the files know the report %q", v)
	}
	server.Start()
	w.until(mode.Normal, time.Minute)
	eventually(t, "the host cache is kept up to date again", 15*time.Second, func() bool { return slices.Contains(log.ids(t), eventSyncAgain) })
	if v := reported(w.primary); v != "before" {
		t.Errorf("the database has the report %q: it was written back", v)
	}
	beat("after")
	if v := reported(w.primary); v != "after" {
		t.Errorf("the database has the report %q", v)
	}
	want := []int{503, 504, 1201, 3501, 2007, 2008, 1200, 3503, 3500, 3004, 3000}
	if got := log.ids(t); !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	if out, err := w.cache.Sync(ctx); err != nil || out.Result == "" {
		t.Errorf("it is kept up to date again: %+v, %v", out, err)
	}
}
