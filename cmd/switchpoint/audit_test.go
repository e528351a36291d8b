package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
	"switchpoint/internal/covers"
)

// auditRow is what a log row has to tell (BR4).
type auditRow struct {
	kind, code, user, client, reason string
	site                             int
	took                             int64
}

// log reads all rows.
func (s *secured) log(t *testing.T) (out []auditRow) {
	t.Helper()
	rows, err := s.database(t).QueryContext(t.Context(), `SELECT kind, code, user, client_addr, site_id, duration_us, reason FROM log ORDER BY at, id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var r auditRow
		if err := rows.Scan(&r.kind, &r.code, &r.user, &r.client, &r.site, &r.took, &r.reason); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// bearing makes a request of the API with a session's token.
func (s *secured) bearing(token, method, path string, body any) (status int, out map[string]any) {
	s.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	res, answer := s.send(method, s.url(path), bytes.NewReader(text), map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json", "X-Forwarded-For": "192.0.2.7"})
	if answer != "" {
		if err := json.Unmarshal([]byte(answer), &out); err != nil {
			s.t.Fatalf("%s %s: %d %s: %v", method, path, res.StatusCode, answer, err)
		}
	}
	return res.StatusCode, out
}

// TestEveryActIsWritten does whatever users and operators do, and reads what the log says of it: who, from
// where, through which broker, how long it took and why (BR4).
func TestEveryActIsWritten(t *testing.T) {
	covers.Req(t, "BR4")
	s := startSecured(t)
	s.cluster2Joined(t)

	// Users.
	_, in := s.login("192.0.2.7", "lucy", "lucy-secret")
	token, _ := in["token"].(string)
	offers, _ := in["offers"].([]any)
	if token == "" || len(offers) == 0 {
		t.Fatalf("sign-in: %v", in)
	}
	s.bearing(token, "GET", "/api/v1/offers", nil)
	if status, out := s.bearing(token, "POST", "/api/v1/connect", map[string]any{"offer": offers[0].(map[string]any)["id"]}); status != http.StatusOK {
		t.Fatalf("connect: %d %v", status, out)
	}
	if status, _ := s.bearing(token, "POST", "/api/v1/connect", map[string]any{"offer": "d:nothing"}); status < 400 {
		t.Error("a connect to nothing")
	}
	s.bearing(token, "POST", "/api/v1/logout", nil)
	if _, out := s.login("192.0.2.7", "alice", "alice-demo"); out["result"] != "redirect" {
		t.Errorf("alice: %v", out)
	}
	for range 4 {
		s.login("192.0.2.9", "lucy", "wrong")
	}

	// Operators, on the host itself.
	me := currentUser()
	node := s.state
	assignments := filepath.Join(s.dir, "assignments.csv")
	setup, err := os.ReadFile(filepath.Join(s.dir, "setup.toml"))
	if err == nil {
		err = os.WriteFile(assignments, []byte("user,directory,desktop\nlucy,local,r1\n"), 0o600)
	}
	changed := filepath.Join(s.dir, "changed.toml")
	if err == nil {
		err = os.WriteFile(changed, bytes.Replace(setup, []byte("failures = 3"), []byte("failures = 4"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the center is scanned", func() bool {
		return strings.Contains(entered{args: "centers"}.play(t, node), "racks: 1 desktops")
	})
	entered{args: "apply -f " + changed, want: []string{"change limits: failures"}}.play(t, node)
	entered{args: "assignments import " + assignments, want: []string{"1 new"}}.play(t, node)
	entered{args: "centers scan racks", want: []string{"job queue"}}.play(t, node)
	entered{args: "desktops maintenance r1 --why fan", want: []string{"r1"}}.play(t, node)
	entered{args: "desktops release r1", want: []string{"r1"}}.play(t, node)
	entered{args: "jobs run purge", want: []string{"purge"}}.play(t, node)
	jobs, err := s.broker.Jobs(t.Context(), broker.JobFilter{Kinds: []string{"purge"}, States: []broker.JobState{broker.JobPending, broker.JobRunning}})
	if err != nil || len(jobs) == 0 {
		t.Fatal(jobs, err)
	}
	entered{args: "jobs cancel " + jobs[0].ID, want: []string{"job " + jobs[0].ID}}.play(t, node)
	entered{args: "cluster remove 2", want: []string{"site id 2 is out of the cluster"}}.play(t, node)
	entered{args: "agent enrol-token --pool floor", want: []string{""}}.play(t, node)
	var blocks string
	until(t, "the block is listed", func() bool {
		blocks = entered{args: "limits"}.play(t, node)
		return strings.Contains(blocks, "user-at-address lucy 192.0.2.9")
	})
	entered{args: "limits lift", code: 2, want: []string{"say whom"}}.play(t, node)
	entered{args: "limits lift --user bert", code: 1, want: []string{"no such block holds"}}.play(t, node)
	entered{args: "limits lift --address 2001:db8:1::/64", code: 1, want: []string{"no such block holds"}}.play(t, node) // as the list writes it
	entered{args: "limits lift --address nowhere", code: 1, want: []string{`"nowhere" is no address`}}.play(t, node)
	entered{args: "limits lift --user LUCY --address 192.0.2.9", want: []string{"the block of user lucy at 192.0.2.9 is lifted"}}.play(t, node)
	until(t, "lucy may sign in again", func() bool {
		_, out := s.login("192.0.2.9", "lucy", "lucy-secret")
		return out["token"] != nil
	})
	// One over TCP, from a named person.
	if res, text := s.send("POST", s.adminURL("/admin/v1/jobs/run?kind=purge&by=anna"), strings.NewReader(""), map[string]string{"Authorization": "Bearer " + securedToken}); res.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", res.StatusCode, text)
	}
	entered{args: "cluster leave", want: []string{"has left the cluster"}}.play(t, node)

	rows := s.log(t)
	for _, want := range []auditRow{
		{kind: "login", user: "lucy", client: "192.0.2.7", reason: "local user"},
		{kind: "offers", user: "lucy", client: "192.0.2.7"},
		{kind: "connect", user: "lucy", client: "192.0.2.7"},
		{kind: "refused", code: broker.CodeOfferUnknown, user: "lucy", client: "192.0.2.7", reason: "offer"},
		{kind: "logout", user: "lucy", client: "192.0.2.7"},
		{kind: "redirect", user: "alice", client: "192.0.2.7", reason: "us"},
		{kind: "refused", code: broker.CodeSignInFailed, user: "lucy", client: "192.0.2.9", reason: "no local user with this password"},
		{kind: "refused", code: broker.CodeTooMany, user: "lucy", client: "192.0.2.9", reason: "user lucy at 192.0.2.9"},
		{kind: "setup", user: me, client: "local", reason: "change limits: failures"},
		{kind: "setup", user: me, client: "local", reason: "1 assignments were imported"},
		{kind: "cluster", user: me, client: "local", reason: "scan of center racks"},
		{kind: "setup", user: me, client: "local", reason: "into maintenance: fan"},
		{kind: "setup", user: me, client: "local", reason: "has ended the desktop's maintenance"},
		{kind: "cluster", user: me, client: "local", reason: "has made 1 purge jobs"},
		{kind: "cluster", user: me, client: "local", reason: "has cancelled the purge job"},
		{kind: "cluster", user: me, client: "local", reason: "has removed the broker with site id 2"},
		{kind: "agent", user: me, client: "local", reason: "enrolment token"},
		{kind: "cluster", user: me, client: "local", reason: "has lifted the block of user lucy at 192.0.2.9"},
		{kind: "cluster", user: "anna", client: "127.0.0.1", reason: "has made 1 purge jobs"},
		{kind: "cluster", user: me, client: "local", reason: "out of the cluster"},
	} {
		if !slices.ContainsFunc(rows, func(r auditRow) bool {
			return r.kind == want.kind && r.code == want.code && r.user == want.user && r.client == want.client && r.site == 1 && r.took > 0 && strings.Contains(r.reason, want.reason)
		}) {
			t.Errorf("no row %+v", want)
		}
	}
	if t.Failed() {
		for _, r := range rows {
			t.Logf("%+v", r)
		}
	}
}

// cluster2Joined makes a second broker known that has stopped again.
func (s *secured) cluster2Joined(t *testing.T) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(s.state, "broker.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	two, err := broker.New(t.Context(), broker.Options{
		Config: broker.Config{Cluster: "us", SiteID: 2, Listen: []string{"127.0.0.1:0"}}, Name: "broker2", Version: buildVersion(),
		Store: store, Monitors: []string{"is_alive"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := two.Run(ended); err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within 30 s: " + what)
		}
	}
}

// TestImpossibleSignIns: what cannot be a name or a password is refused like a wrong one, and reaches no
// directory; what is too large is not read (SE2).
func TestImpossibleSignIns(t *testing.T) {
	covers.Req(t, "SE2")
	s := startSecured(t)
	huge := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		user, password string
		status         int
	}{
		"1 MB password":        {"bob", huge, http.StatusRequestEntityTooLarge},
		"1 MB name":            {huge, "x", http.StatusRequestEntityTooLarge},
		"long password":        {"bob", strings.Repeat("x", 1025), http.StatusUnauthorized},
		"long name":            {strings.Repeat("x", 257), "bob-demo", http.StatusUnauthorized},
		"empty password":       {"bob", "", http.StatusUnauthorized},
		"empty name":           {"", "bob-demo", http.StatusUnauthorized},
		"blank name":           {" \t ", "bob-demo", http.StatusUnauthorized},
		"NUL in the password":  {"bob", "bob-demo\x00", http.StatusUnauthorized},
		"NUL in the name":      {"bob\x00", "bob-demo", http.StatusUnauthorized},
		"line end in the name": {"bob\r\n", "bob-demo", http.StatusUnauthorized},
		"escape in the name":   {"bob\x1b[2J", "bob-demo", http.StatusUnauthorized},
		"C1 in the name":       {"bob\u0085", "bob-demo", http.StatusUnauthorized},
		"filter in the name":   {"*)(uid=bob", "bob-demo", http.StatusUnauthorized},
	} {
		status, out := s.login("192.0.2.7", c.user, c.password)
		reason, _ := out["reason"].(map[string]any)
		if status != c.status || status == http.StatusUnauthorized && reason["code"] != broker.CodeSignInFailed {
			t.Errorf("%s: %d %.200s", name, status, fmt.Sprint(out))
		}
		if ref, _ := reason["ref"].(string); status == http.StatusUnauthorized && name != "filter in the name" {
			row, err := s.broker.ExplainRef(t.Context(), ref)
			if err != nil || slices.ContainsFunc(row.Reason, func(line string) bool { return strings.Contains(line, "directory corp") }) {
				t.Errorf("%s reached the directory: %v, %v", name, row.Reason, err)
			}
			if strings.ContainsFunc(row.User, func(r rune) bool { return r < 0x20 }) {
				t.Errorf("%s: control characters in the log: %q", name, row.User)
			}
		}
	}
	if _, out := s.login("192.0.2.8", "bob", "bob-demo"); out["token"] == nil {
		t.Errorf("bob himself: %v", out)
	}
}
