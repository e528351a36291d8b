package gtm

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
)

// runServer runs a server until stop is called, which waits for it.
func runServer(t *testing.T, o Options, table *Table) (s *Server, stop func()) {
	t.Helper()
	o.Listen = []string{"127.0.0.1:0"}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.SetTable(table)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return s, stop
}

// lines is what a server logs.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) count(parts ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		hit := true
		for _, p := range parts {
			hit = hit && strings.Contains(line, p)
		}
		if hit {
			n++
		}
	}
	return n
}

// outlivesRestart: a real broker dies, by rise and fall of its probes, and comes back; its datacenter
// stays out, over a restart of the server too, until an operator releases it, and an operator's override
// outlives the restart as well. The log tells each turn once.
func outlivesRestart(t *testing.T) {
	us, err := net.Listen("tcp", "127.0.5.1:0")
	if err != nil {
		t.Fatal(err)
	}
	uk, err := net.Listen("tcp", "127.0.5.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer uk.Close()
	member := func(l net.Listener) []Member {
		a := l.Addr().(*net.TCPAddr)
		return []Member{{Address: a.IP.String(), Port: uint16(a.Port)}}
	}
	cfg := Config{
		Listen: []string{"127.0.0.1:0"}, Datacenter: "us", Datacenters: []string{"us", "uk", "de"},
		Zones: []Zone{{Origin: "company.com", NS: []string{"ns.example.net"}}},
		Names: []Name{{Name: "cb.company.com", Monitor: "alive", ManualResume: true, Pools: []Pool{
			{Datacenter: "us", Members: member(us)}, {Datacenter: "uk", Members: member(uk)},
			{Datacenter: "de", Members: member(uk)},
		}}},
	}
	engine := startEngine(t, cfg.Checks())
	table, err := Compile(cfg, engine.Ref)
	if err != nil {
		t.Fatal(err)
	}
	log := &lines{}
	o := Options{
		Snapshot: engine.Snapshot, Subscribe: engine.Subscribe, StateDir: t.TempDir(), Name: "one",
		Log: slog.New(slog.NewTextHandler(log, nil)),
	}
	s, stop := runServer(t, o, table)
	rule := func() string { return s.View().Name(0).Pools[0].Rule }
	waitFor(t, "both datacenters", func() bool { return rule() == "in" })
	us.Close()
	waitFor(t, "us to go out", func() bool { return rule() == "down" })
	if us, err = net.Listen("tcp", us.Addr().String()); err != nil {
		t.Fatal(err)
	}
	defer us.Close()
	waitFor(t, "us to be held", func() bool { return rule() == "manual resume" })
	waitFor(t, "the memory", func() bool {
		b, err := os.ReadFile(filepath.Join(o.StateDir, memoryFile))
		return err == nil && bytes.Contains(b, []byte(`"held":true`))
	})
	note := steer.Note{Owner: "ann", Reason: "repaired", At: time.Now()}
	word := steer.Override{Pattern: "*/de", State: "maintenance", Until: time.Now().Add(time.Hour), Note: note}
	if _, _, err := s.Operate(t.Context(), "ann", Force(word), false); err != nil {
		t.Fatal(err)
	}
	stop()

	s, _ = runServer(t, o, table)
	if s.View().Name(0).Pools[0].Held == false || rule() != "manual resume" {
		t.Fatalf("after the restart: %+v", s.View().Name(0).Pools[0])
	}
	for what, n := range map[string]int{"pool is out": 1, "pool is in": 0, "is not applied": 0} {
		if got := log.count(what, "level=WARN", "datacenter=us"); got != n {
			t.Errorf("%q was logged %d times, want %d\n%s", what, got, n, log.buf.String())
		}
	}
	if de := s.View().Name(0).Pools[2]; de.Rule != "forced out" || !strings.HasPrefix(de.Why, "forced maintenance by ann: repaired (until ") {
		t.Errorf("the override after the restart: %+v", de)
	}
	var removed []steer.Override
	if _, _, err := s.Operate(t.Context(), "ann", Release("*/us", note, &removed), false); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "us to be back", func() bool { return rule() == "in" })
	if got := log.count("pool is in", "name=cb.company.com", "datacenter=us"); got != 1 {
		t.Errorf("%d lines say that us is in", got)
	}
}

// TestBrokenMemory: a file that cannot be read is set aside and told of; the server starts.
func TestBrokenMemory(t *testing.T) {
	for what, text := range map[string]string{"garbage": "{", "another form": `{"version":99,"mode":"primary","names":[]}`, "a field too many": `{"version":1,"x":1}`} {
		dir, log := t.TempDir(), &lines{}
		path := filepath.Join(dir, memoryFile)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k := newKeeper(dir, slog.New(slog.NewTextHandler(log, nil)))
		if v := k.restore(); v != nil {
			t.Errorf("%s was taken", what)
		}
		aside, err := filepath.Glob(path + ".broken-*")
		if err != nil || len(aside) != 1 || log.count("set aside") != 1 {
			t.Errorf("%s: set aside %v, %v; log %s", what, aside, err, log.buf.String())
		}
		if v := k.restore(); v != nil || log.count("") != 1 {
			t.Errorf("%s: the second start is not clean", what)
		}
	}
}

// TestMemoryIsWrittenWhenNew: not for a view that remembers the same; a failure is told once, and
// its end.
func TestMemoryIsWrittenWhenNew(t *testing.T) {
	table := demoTable(t)
	states := map[bool]healthcheck.State{true: healthcheck.Up, false: healthcheck.Down}
	now := time.Now()
	view := func(up bool) *steer.View {
		return steer.Direct(table.steering, nil, steer.Circumstances{Now: now, Status: func(healthcheck.Ref) healthcheck.Status {
			return healthcheck.Status{State: states[up]}
		}})
	}
	dir, log := t.TempDir(), &lines{}
	k := newKeeper(dir, slog.New(slog.NewTextHandler(log, nil)))
	path := filepath.Join(dir, memoryFile)
	if !k.write(view(true)) {
		t.Fatal(log.buf.String())
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if !k.write(view(true)) {
		t.Error("the same again failed")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the same was written again")
	}
	k.dir = filepath.Join(dir, "gone")
	for range 2 {
		if k.write(view(false)) {
			t.Error("it was written to a directory that is gone")
		}
	}
	if log.count("is not kept") != 1 {
		t.Errorf("failures: %s", log.buf.String())
	}
	k.dir = dir
	if !k.write(view(false)) || log.count("is kept again") != 1 {
		t.Errorf("afterwards: %s", log.buf.String())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m steer.Memory
	if err := json.Unmarshal(b, &m); err != nil || len(m.Names) != 1 || m.Names[0].Pools[0].In {
		t.Errorf("%s: %v", b, err)
	}
}
