package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/api"
	"switchpoint/broker/client"
	"switchpoint/broker/outage/mode"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// lone is one broker on a PostgreSQL server, with a console.
type lone struct {
	t     *testing.T
	db    *realserver.PostgresServer
	dir   string
	ca    string
	text  string // of its configuration
	api   string
	app   *app
	state string
	stop  func()
	// before is the reference of a refusal that only the database has.
	before string
}

const loneSetup = inventorySetup + `
[limits]
failures = 3
[[policy]]
name = "everybody"
desktop_pools = ["floor"]
[[desktop]]
name = "spare"
host = "10.0.0.2"
`

func startLone(t *testing.T) *lone {
	t.Helper()
	ca := realserver.NewCA(t)
	cert, key := ca.Issue("admin")
	l := &lone{t: t, db: realserver.Postgres(t, realserver.PostgresOptions{}), dir: shortDir(t), ca: ca.CertFile, api: addresses(t, 1)[0]}
	hash, err := broker.HashPassword("right")
	if err != nil {
		t.Fatal(err)
	}
	setup := loneSetup
	for _, user := range []string{"anna", "bert", "carl", "eve"} {
		setup += fmt.Sprintf("[[user]]\nname = %q\npassword = %q\n", user, hash)
	}
	for name, text := range map[string]string{"db": "postgres-secret", "token": testToken + "\n", "setup.toml": setup, "racks.csv": "name,ip\nr1,10.1.0.1\nr2,10.1.0.2\n"} {
		if err := os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.text = strings.Replace(brokerNode, `"127.0.0.1:0"`, fmt.Sprintf("%q", l.api), 1) + fmt.Sprintf(`[broker.outage]
cache_every = "1h"
[broker.database]
kind = "postgres"
hosts = [%q]
user = "postgres"
password = "file:db"
tls = "off"
[admin]
listen = "127.0.0.1:0"
cert = %q
key = %q
token_file = "token"
`, l.db.Addr, cert, key)
	l.start()
	t.Cleanup(func() { l.stop() })
	return l
}

const testToken = "a-token-of-some-length"

// start runs the broker until stop.
func (l *lone) start() {
	l.t.Helper()
	a, cfg := newNode(l.t, l.dir, l.text)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, nil) }()
	l.app, l.state = a, cfg.Node.StateDir
	l.stop = func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
		l.stop = func() {}
	}
	untilReady(l.t, cfg)
}

// at enters a command.
func (l *lone) at(args string, code int, want ...string) string {
	l.t.Helper()
	return entered{args: args, code: code, want: want}.play(l.t, l.state)
}

func (l *lone) until(m mode.Mode) {
	l.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); l.app.outage.State().Mode != m; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("not in mode %s but %+v", m, l.app.outage.State())
		}
	}
}

// signIn gives the code of a refusal, or the names of the desktops that are offered.
func (l *lone) signIn(user, password string) string {
	l.t.Helper()
	out, err := client.SignIn(l.t.Context(), client.Options{
		URL: "http://" + l.api, User: user, Password: password, Client: api.Client{Name: "tc", Version: "4.2"}, Timeout: time.Minute,
	})
	if refused, ok := errors.AsType[*client.RefusedError](err); ok {
		return refused.Error() + " " + refused.Reason.Ref
	}
	if err != nil {
		l.t.Fatal(err)
	}
	defer out.Close()
	return fmt.Sprintf("%+v", out.Outcome)
}

// TestOperateWithoutDatabase: with the files of the node alone, its socket and its token, an operator reads
// everything and does what cannot wait, over the command line and the console; the database has it afterwards.
func TestOperateWithoutDatabase(t *testing.T) {
	covers.Req(t, "OP5", "SE2")
	l := startLone(t)
	for deadline := time.Now().Add(60 * time.Second); !strings.Contains(l.at("centers", 0), "racks: 2 desktops"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the center is not scanned")
		}
	}
	l.at("desktops maintenance r9", 1, `not found`)
	l.at("assignments add anna r1 --reason new", 0, "desktop r1 is user anna's own")
	l.at("assignments add bert r1", 1, `desktop "r1" is user "anna"'s`)
	l.at("limits block --user nobody --for 1h", 0, "user nobody may not sign in for 1h0m0s")
	l.at("limits lift --user nobody", 0, "the block of user nobody, by an operator is lifted")
	for range 3 {
		l.before = reference(l.signIn("eve", "wrong"))
	}
	if got := l.signIn("eve", "right"); !strings.Contains(got, "too many failed") {
		t.Fatalf("eve after three wrong passwords: %s", got)
	}
	waitFor(t, "her block is in the database", func() bool { return strings.Contains(l.at("limits", 0), "user-at-address eve") })
	l.at("hostcache sync", 0)

	l.db.Kill()
	l.until(mode.HostCache)
	t.Run("reads", l.reads)
	t.Run("acts", l.acts)
	t.Run("console", l.console)
	t.Run("start", l.startsAgain)

	l.db.Start()
	waitFor(t, "the database answers", func() bool {
		s, err := l.app.outage.Status(t.Context())
		return err == nil && s.Failing.IsZero()
	})
	l.at("outage force --off --reason over", 0, "has forced broker broker1 out of the outage")
	l.until(mode.Normal)
	l.at("desktops list", 0, "r2 own racks 10.1.0.2:3389 maintenance bert", "spare - - 10.0.0.2:3389 maintenance carl")
	l.at("limits", 0, "operator bert", "user-at-address eve")
	for _, did := range []string{"has put the desktop into maintenance: fan", "has blocked user bert", "has given desktop r2 to user bert", "has told broker broker1 to drain: drained by " + currentUser() + ": kernel", "the console at 127.0.0.1 has given desktop spare"} {
		if n := strings.TrimSpace(l.db.Exec(`SELECT count(*) FROM log WHERE reason LIKE '%` + did + `%' AND user_name <> ''`)); !regexp.MustCompile(`(?m)^\s*1$`).MatchString(n) {
			t.Errorf("%q stands in the log so often: %s", did, n)
		}
	}
}

// reference is that of a refusal.
func reference(refusal string) string { return regexp.MustCompile(`1-[0-9A-Z]+`).FindString(refusal) }

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// reads: every list but that of the jobs, said to be as of the cache.
func (l *lone) reads(t *testing.T) {
	l.t = t
	const asOf = "as of the host cache of 2"
	ref := reference(l.signIn("anna", "wrong"))
	for _, e := range []entered{
		{args: "cluster list", want: []string{"broker1", asOf}}, {args: "cluster status", want: []string{"Availability", asOf}},
		{args: "desktops", want: []string{"r1 own racks 10.1.0.1:3389 enabled anna", "floor-1 floor", asOf}}, {args: "desktops show r1", want: []string{asOf}},
		{args: "desktops pools", want: []string{"own 2 1 1 0", asOf}}, {args: "assignments export", want: []string{"anna,local,r1", asOf}},
		{args: "centers", want: []string{"racks: 2 desktops", asOf}}, {args: "agent list", code: 1, want: []string{"no agent has enrolled", asOf}},
		{args: "limits", want: []string{"user-at-address eve 127.0.0.1", asOf}}, {args: "export", want: []string{`name = "racks"`, asOf}},
		{args: "explain --user anna --client 127.0.0.1", want: []string{"anna", asOf}},
		{args: "outage", want: []string{"mode: hostcache"}}, {args: "hostcache", want: []string{"serves; current"}}, {args: "status", want: []string{"serving"}},
		{args: "jobs", code: 1, want: []string{"the job queue is in the database, and it has not answered since", "limits block and lift"}},
	} {
		e.play(t, l.state)
	}
	l.at("explain --ref "+ref, 0, "anna", asOf)
	l.at("explain --ref "+l.before, 1, "what happened before the outage is in the database")
}

// acts: what cannot wait is done, the rest says what is.
func (l *lone) acts(t *testing.T) {
	l.t = t
	const waits = "it has not answered since"
	l.at("desktops maintenance r2 --why fan", 0, "nobody is connected to desktop r2 anew")
	l.at("desktops release r1", 1, "is not in maintenance")
	l.at("assignments add bert r2 --reason substitute", 0, "desktop r2 is user bert's own", "as of the host cache of 2")
	l.at("assignments add carl r2", 1, `desktop "r2" is user "bert"'s`)
	l.at("assignments add carl floor-1", 1, "stands in pooled desktop pool")
	l.at("limits block --user BERT --for 5h --reason left", 0, "may not sign in for 5h0m0s")
	waitFor(t, "bert is blocked", func() bool { return strings.Contains(l.signIn("bert", "right"), "too many failed") })
	if got := l.signIn("carl", "right"); !strings.Contains(got, "floor") {
		t.Errorf("carl: %s", got)
	}
	l.at("drain --reason kernel --for 1h", 0, "broker broker1 is drained by "+currentUser()+": kernel, until")
	if status, m := l.alive(); status != http.StatusServiceUnavailable || m != "draining" {
		t.Errorf("is_alive of a drained broker: %d %s", status, m)
	}
	if got := l.signIn("carl", "right"); !strings.Contains(got, "floor") {
		t.Errorf("carl comes all the same: %s", got)
	}
	l.at("drain --off", 0, "takes logins again")
	l.at("drain --off", 1, "is not drained")
	if status, m := l.alive(); status != http.StatusOK || m != "hostcache" {
		t.Errorf("is_alive afterwards: %d %s", status, m)
	}
	setup := filepath.Join(l.dir, "other.toml")
	if err := os.WriteFile(setup, []byte(strings.Replace(loneSetup, "10.0.0.2", "10.0.0.3", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.dir, "more.csv"), []byte("user,desktop\ncarl,spare\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{
		"apply -f " + setup, "centers scan racks", "centers confirm racks", "cluster remove 2", "jobs run purge",
		"assignments import " + filepath.Join(l.dir, "more.csv"), "agent enrol-token r1", "agent clean r1",
	} {
		began := time.Now()
		l.at(args, 1, waits, "assignments add")
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s says so after %s", args, took)
		}
	}
}

func (l *lone) alive() (int, string) {
	l.t.Helper()
	res, err := http.Get("http://" + l.api + "/index.pl?action=is_alive")
	if err != nil {
		l.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode, res.Header.Get("X-Broker-Mode")
}

// console: the same for who has the token of the node.
func (l *lone) console(t *testing.T) {
	l.t = t
	base := "https://" + l.app.admin.Addr().String() + "/console/"
	get := consoleClient(t, l.ca)
	csrf := regexp.MustCompile(`name="csrf" value="([^"]+)"`)
	_, page := get(base+"operations", nil)
	status, page := get(base+"signin", url.Values{"csrf": {csrf.FindStringSubmatch(page)[1]}, "token": {testToken}, "next": {"/console/operations"}})
	for _, want := range []string{"as of the host cache of 2", "mode:        hostcache", "user bert, by an operator", "user eve at 127.0.0.1", "Serve without the database"} {
		if status != http.StatusOK || !strings.Contains(page, want) {
			t.Errorf("no %q: %d %s", want, status, page)
		}
	}
	post := func(what string, form url.Values, code int, want string) {
		t.Helper()
		form.Set("csrf", csrf.FindStringSubmatch(page)[1])
		if status, answer := get(base+"operations/"+what, form); status != code || !strings.Contains(answer, want) {
			t.Errorf("%s: %d, no %q in %s", what, status, want, answer)
		}
	}
	post("assign", url.Values{"desktop": {"spare"}, "user": {"carl"}}, http.StatusOK, "desktop spare is user carl&#39;s own")
	post("assign", url.Values{"desktop": {"spare"}, "user": {"anna"}}, http.StatusConflict, "is user &#34;carl&#34;&#39;s")
	post("maintenance", url.Values{"desktop": {"r1"}, "do": {"begin"}}, http.StatusOK, "nobody is connected to desktop r1 anew")
	post("maintenance", url.Values{"desktop": {"r1"}, "do": {"end"}}, http.StatusOK, "desktop r1 is again what its center says")
	post("maintenance", url.Values{"desktop": {"spare"}, "do": {"begin"}, "why": {"disk"}}, http.StatusOK, "nobody is connected to desktop spare anew")
	post("block", url.Values{"user": {"dora"}, "for": {"2h"}}, http.StatusOK, "user dora may not sign in for 2h0m0s")
	post("lift", url.Values{"user": {"dora"}}, http.StatusOK, "the block of user dora, by an operator is lifted")
	post("drain", url.Values{"why": {"fire"}}, http.StatusOK, "is drained by the console at 127.0.0.1: fire")
	post("drain", url.Values{"do": {"end"}}, http.StatusOK, "takes logins again")
	post("outage", url.Values{"do": {"begin"}, "for": {"1h"}, "why": {"work"}}, http.StatusOK, "into the outage by the console at 127.0.0.1")
	post("outage", url.Values{"do": {"release"}}, http.StatusOK, "has taken back the word")
	post("block", url.Values{"user": {"dora"}, "for": {"soon"}}, http.StatusBadRequest, "is no length of time")
	post("block", url.Values{"user": {" "}}, http.StatusBadRequest, "does not say whom")
	if status, page := get(base+"cluster", nil); status != http.StatusOK || !strings.Contains(page, "broker1") || !strings.Contains(page, "as of the host cache of 2") {
		t.Errorf("the brokers: %d %s", status, page)
	}
	if status, page := get(base+"jobs", nil); status != http.StatusServiceUnavailable || !strings.Contains(page, "the job queue is in the database") {
		t.Errorf("the jobs: %d %s", status, page)
	}
}

// startsAgain: a broker that starts without the database knows all blocks.
func (l *lone) startsAgain(t *testing.T) {
	l.t = t
	l.stop()
	l.start()
	l.until(mode.HostCache)
	for _, user := range []string{"eve", "bert"} {
		waitFor(t, user+" is blocked", func() bool { return strings.Contains(l.signIn(user, "right"), "too many failed") })
	}
	l.at("limits", 0, "operator bert", "user-at-address eve")
}
