package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/api"
	"switchpoint/broker/client"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// leaseSite is a cluster of two brokers over a real PostgreSQL server.
type leaseSite struct {
	t     *testing.T
	db    *realserver.PostgresServer
	setup string // its file
	api   []string
	state []string
}

const leaseSetup = `
[[desktop_pool]]
name = "own"
kind = "assigned"
check = "none"
[[desktop_pool]]
name = "floor"
kind = "pooled"
check = "none"
[[policy]]
name = "everybody"
desktop_pools = ["floor"]
`

func startLeaseSite(t *testing.T) *leaseSite {
	t.Helper()
	s := &leaseSite{t: t, db: realserver.Postgres(t, realserver.PostgresOptions{}), api: addresses(t, 2)}
	hash, err := broker.HashPassword("change-me")
	if err != nil {
		t.Fatal(err)
	}
	text := leaseSetup
	for i, user := range []string{"anna", "bert", "carl"} {
		text += fmt.Sprintf("[[user]]\nname = %q\npassword = %q\n", user, hash)
		text += fmt.Sprintf("[[desktop]]\nname = \"floor-%d\"\npool = \"floor\"\nhost = \"10.2.0.%d\"\n", i, i)
		if user != "carl" { // he has none of his own
			text += fmt.Sprintf("[[desktop]]\nname = \"desk-%s\"\npool = \"own\"\nhost = \"10.1.0.%d\"\n", user, i)
			text += fmt.Sprintf("[[assignment]]\nuser = %q\ndesktop = \"desk-%s\"\n", user, user)
		}
	}
	for i, listen := range s.api {
		s.start(i+1, listen, text)
	}
	return s
}

// start runs a broker until the test ends.
func (s *leaseSite) start(site int, listen, setup string) {
	s.t.Helper()
	dir := shortDir(s.t)
	for name, text := range map[string]string{"db": "postgres-secret", "setup.toml": setup} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	a, cfg := newNode(s.t, dir, fmt.Sprintf(`
[node]
name = "uk-broker-%d"
datacenter = "uk"
state_dir = "state"
[[datacenter]]
name = "uk"
[broker]
cluster = "uk"
site_id = %d
listen = [%q]
seed = "setup.toml"
[broker.outage]
cache_every = "1h"
[broker.database]
kind = "postgres"
hosts = [%q]
user = "postgres"
password = "file:db"
tls = "off"
`, site, site, listen, s.db.Addr))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, nil) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
	untilReady(s.t, cfg)
	s.setup, s.state = filepath.Join(dir, "setup.toml"), append(s.state, cfg.Node.StateDir)
}

// at enters a command at a broker.
func (s *leaseSite) at(site int, args string, code int, want ...string) string {
	s.t.Helper()
	return entered{args: args, code: code, want: want}.play(s.t, s.state[site-1])
}

// connect signs in at a broker and connects to the first desktop that is offered.
func (s *leaseSite) connect(site int, user, device string) {
	s.t.Helper()
	out, err := client.Login(s.t.Context(), client.Options{
		URL: "http://" + s.api[site-1], User: user, Password: "change-me", Client: api.Client{Name: device, Version: "4.2"}, Timeout: time.Minute,
	})
	if err != nil || out.Desktop == nil {
		s.t.Fatalf("%s at broker %d: %+v, %v", user, site, out, err)
	}
}

// left gives how long the launch lease of a user goes on, by the client that it counts for.
func (s *leaseSite) left(user string) map[string]time.Duration {
	s.t.Helper()
	var lines []leaseLine
	text := s.at(1, "leases list --json --kind launch --user "+user, 0)
	if err := json.Unmarshal([]byte(text), &lines); err != nil {
		s.t.Fatal(errors.Join(err, errors.New(text)))
	}
	out := make(map[string]time.Duration)
	for _, l := range lines {
		out[l.Client] = l.Expires.Sub(l.Recorded)
	}
	return out
}

// until waits for words in what a command prints.
func (s *leaseSite) until(site int, args, want string) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		text := s.at(site, args, 0)
		if strings.Contains(text, want) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: never %q:\n%s", args, want, text)
		}
	}
}

// TestLeasesCommands: a connect leaves leases behind, which an admin lists, removes and looks at in the
// copies of a broker, without the database too; settings count for the next connect at every broker.
func TestLeasesCommands(t *testing.T) {
	covers.Req(t, "LS5", "LS6", "LS7")
	s := startLeaseSite(t)
	steps := []struct {
		name string
		run  func(*leaseSite)
	}{{"list", (*leaseSite).lists}, {"copies", (*leaseSite).copies}, {"settings", (*leaseSite).settings}, {"remove", (*leaseSite).removes}, {"without the database", (*leaseSite).alone}}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			s.t = t
			step.run(s)
		})
	}
}

const (
	days14 = 14 * 24 * time.Hour
	days10 = 10 * 24 * time.Hour
)

// lists: a desktop of one's own leaves a launch and an enumeration, a pooled one nothing.
func (s *leaseSite) lists() {
	if text := s.at(1, "leases", 0); strings.Contains(text, "anna") {
		s.t.Errorf("before anybody has connected:\n%s", text)
	}
	s.connect(1, "anna", "tc-17")
	s.connect(2, "carl", "tc-18")
	list := s.at(2, "leases list", 0, "KIND USER DIRECTORY DESKTOP CLIENT STATE LEFT EXPIRES",
		"launch anna local desk-anna - usable 335h59m", "enumeration anna local desk-anna - usable 335h59m")
	if strings.Contains(list, "carl") {
		s.t.Errorf("a pooled desktop has left a lease:\n%s", list)
	}
	if got := s.left("anna"); len(got) != 1 || got[""] != days14 {
		s.t.Errorf("lives: %v", got)
	}
	s.at(1, "leases show Anna", 0, "enumeration of anna (local): usable for 335h59m", "pools: floor",
		"launch of anna (local): usable for 335h59m", "desktop: desk-anna, rdp to 10.1.0.0:3389, enabled, pool own")
	s.at(1, "leases show carl", 1, `there is no lease of user "carl"`)
	s.connect(1, "bert", "tc-18")
	for filter, want := range map[string][2]int{ // lines of anna and of bert
		"": {2, 2}, "--user anna": {2, 0}, "--user BERT": {0, 2}, "--directory local": {2, 2}, "--directory corp": {0, 0}, "--kind launch": {1, 1},
		"--kind enumeration --user bert": {0, 1}, "--desktop desk-bert": {0, 1}, "--desktop desk-carl": {0, 0}, "--client tc-18": {0, 0}, "--limit 1": {1, 0},
	} {
		text := s.at(1, "leases list --columns kind,user "+filter, 0)
		if got := [2]int{strings.Count(text+"\n", " anna\n"), strings.Count(text+"\n", " bert\n")}; got != want {
			s.t.Errorf("list %s: %v, want %v\n%s", filter, got, want, text)
		}
	}
	s.at(1, "leases list --kind application", 1, `kind "application" is neither enumeration nor launch`)
	s.at(1, "leases list --limit 0", 1, `limit "0" is not in 1..100000`)
	s.at(1, "leases list --columns colour", 2, `there is no column "colour"`)
}

// copies: a broker has its own, and the command brings them up to date.
func (s *leaseSite) copies() {
	s.at(2, "leases refresh", 0, "4 leases are held by this broker now")
	s.at(2, "leases list --local --kind launch", 0, "launch anna local desk-anna - usable", "launch bert local desk-bert - usable")
	s.at(2, "leases show anna --local", 0, "desktop: desk-anna, rdp to 10.1.0.0:3389")
}

// settings count for the next connect, at the other broker too; nobody restarts anything (LS7).
func (s *leaseSite) settings() {
	s.at(1, "leases settings", 0, "[leases] enabled true true default", "[leases] life 336h0m0s 336h0m0s default", "[leases] per_client false false default",
		"[broker.outage] mode auto auto default", "[broker.outage] cache_every 2m0s 1h0m0s this node's configuration file", "capability: this broker serves from leases")
	s.at(1, "leases settings --life 240h --per-client", 0, "change leases: life, per_client")
	s.at(1, "leases settings", 0, "[leases] enabled true true default", "[leases] life 336h0m0s 240h0m0s setup version 2", "[leases] per_client false true setup version 2")
	s.until(2, "leases settings", "[leases] life 336h0m0s 240h0m0s setup version 2")
	s.connect(2, "anna", "tc-17")
	if got := s.left("anna"); got["tc-17 4.2"] != days10 {
		s.t.Errorf("lives with a client: %v", got)
	}
	s.at(1, "leases list --client tc-17_4.2", 0, "launch anna local desk-anna tc-17 4.2 usable 239h59m")
	if kept := s.at(1, "export", 0, "life = \"240h0m0s\"", "per_client = true", "name = \"desk-anna\""); strings.Contains(kept, "enabled = ") {
		s.t.Errorf("what nobody has said is set:\n%s", kept)
	}
	s.at(1, "leases settings --life 240h", 0, "nothing to change")
	s.at(1, "leases settings --life 59m", 1, "leases.life: 59m0s is shorter than 1h0m0s; leave it out for the default")
	s.at(1, "leases settings --enabled=perhaps", 2, "perhaps")

	s.at(2, "leases settings --enabled=false --per-client=false --life 0s", 0, "change leases: enabled, life, per_client")
	s.at(1, "leases remove --all", 0, "leases are removed")
	s.until(1, "leases settings", "[leases] enabled true false setup version 3")
	s.connect(1, "anna", "tc-17")
	s.connect(2, "bert", "tc-18")
	if text := s.at(1, "leases", 0); strings.Contains(text, "anna") || strings.Contains(text, "bert") {
		s.t.Errorf("they are switched off:\n%s", text)
	}
	s.at(1, "apply -f "+s.setup, 0, "change leases: enabled")
	s.until(2, "leases settings", "[leases] enabled true true default")
	s.connect(1, "anna", "tc-17")
	s.connect(2, "bert", "tc-18")
	if got := s.left("anna"); len(got) != 1 || got[""] != days14 {
		s.t.Errorf("lives again: %v", got)
	}
}

// removes: one user's, which counts once, and stays to be seen; brokers drop their copies.
func (s *leaseSite) removes() {
	s.at(1, "leases remove", 2, "say which:")
	s.at(1, "leases remove --all --user anna", 2, "say which:")
	s.at(1, "leases remove --kind application", 1, "neither enumeration nor launch")
	s.at(2, "leases refresh", 0, "4 leases are held by this broker now")
	s.at(1, "leases remove --user Anna", 0, "2 leases are removed")
	s.at(1, "leases remove --user anna", 0, "0 leases are removed")
	if text := s.at(2, "leases", 0, "launch bert"); strings.Contains(text, "anna") {
		s.t.Errorf("they are still listed:\n%s", text)
	}
	s.at(2, "leases --removed --user anna --kind launch --columns user,state", 0, "anna removed")
	s.at(2, "leases show anna", 0, "launch of anna (local): removed 20")
	s.at(2, "leases refresh", 0, "2 leases are held by this broker now")
	if text := s.at(2, "leases --local", 0, "launch bert"); strings.Contains(text, "anna") {
		s.t.Errorf("its copy is still there:\n%s", text)
	}
	row := s.db.Exec(`SELECT reason FROM log WHERE kind = 'cluster' AND reason::text LIKE '%the leases of user%'`)
	if want := currentUser() + ` has removed the leases of user "anna"`; strings.Count(row, want) != 1 {
		s.t.Errorf("log rows %s, want one with %s", row, want)
	}
	s.connect(2, "anna", "tc-17")
	s.at(1, "leases list --user anna", 0, "launch anna local desk-anna - usable")
}

// alone: what a broker would serve from is to be seen when the database is not.
func (s *leaseSite) alone() {
	s.db.Pause()
	defer s.db.Resume()
	s.until(2, "outage", "mode: hostcache for")
	s.at(2, "leases", 1, "--local shows what this broker would serve from")
	s.at(2, "leases --local --kind launch", 0, "launch bert local desk-bert - usable")
	s.at(2, "outage status", 0, "leases: can serve; 2 held, copied")
	s.at(2, "leases settings", 0, "[leases] enabled")
	s.at(2, "leases remove --all", 1)
	s.at(2, "leases refresh", 1)
	s.at(2, "leases settings --enabled=false", 1)
	if text := s.at(2, "leases --local", 0); !regexp.MustCompile(`(?m)^launch bert`).MatchString(text) {
		s.t.Errorf("its copy is gone:\n%s", text)
	}
}

// TestLeasesOfAnEmbeddedDatabase: there they are recorded, listed and removed, but serve nobody.
func TestLeasesOfAnEmbeddedDatabase(t *testing.T) {
	dir := shortDir(t)
	if err := os.WriteFile(filepath.Join(dir, "setup.toml"), []byte(leaseSetup), 0o600); err != nil {
		t.Fatal(err)
	}
	a, cfg := newNode(t, dir, brokerNode)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, nil) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	untilReady(t, cfg)
	for _, e := range []entered{
		{args: "leases", want: []string{"KIND USER"}},
		{args: "leases settings", want: []string{"[broker.outage] mode off off default", "does not serve from leases: its database is embedded"}},
		{args: "leases settings --life 48h", want: []string{"change leases: life"}},
		{args: "leases remove --all", want: []string{"0 leases are removed"}},
		{args: "leases --local", code: 1, want: []string{"its database is embedded"}},
		{args: "leases refresh", code: 1, want: []string{"its database is embedded"}},
	} {
		e.play(t, cfg.Node.StateDir)
	}
}
