package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/broker"
)

// operations are those of a node that remembers what it was told.
func operations(did *[]string, fails *error) Operations {
	act := func(format string, args ...any) (string, error) {
		if *fails != nil {
			return "", *fails
		}
		*did = append(*did, fmt.Sprintf(format, args...))
		return "done: " + (*did)[len(*did)-1], nil
	}
	drained := &broker.Drain{By: "ada", Why: "<b>kernel</b>"}
	return Operations{
		Status: func(context.Context) ([]string, error) { return []string{"mode: hostcache"}, *fails },
		Force: func(_ context.Context, on bool, long time.Duration, why, by string) (string, error) {
			return act("force %v for %s: %s, by %s", on, long, why, by)
		},
		Release: func(_ context.Context, by string) (string, error) { return act("release by %s", by) },
		Drained: func() *broker.Drain { return drained },
		Drain: func(_ context.Context, long time.Duration, why, by string) (string, error) {
			return act("drain for %s: %s, by %s", long, why, by)
		},
		EndDrain: func(_ context.Context, by string) (string, error) { return act("end drain by %s", by) },
		Blocks: func(context.Context) ([]broker.LimitBlock, error) {
			return make([]broker.LimitBlock, maxBlocksShown+3), *fails
		},
		Block: func(_ context.Context, user string, long time.Duration, why, by string) (string, error) {
			return act("block %s for %s: %s, by %s", user, long, why, by)
		},
		Lift: func(_ context.Context, user, address, by string) (string, error) {
			return act("lift %s at %s by %s", user, address, by)
		},
		Maintenance: func(_ context.Context, name, why, by string) (string, error) {
			return act("down %s: %s, by %s", name, why, by)
		},
		EndMaintenance: func(_ context.Context, name, by string) (string, error) { return act("up %s by %s", name, by) },
		Assign: func(_ context.Context, a broker.Assignment, why, by string) (string, error) {
			return act("give %s to %s of %s: %s, by %s", a.Desktop, a.User, a.Directory, why, by)
		},
	}
}

// TestOperationsPage: every form does what it says, once, and what is wrong in one is said.
func TestOperationsPage(t *testing.T) {
	var did []string
	var fails error
	c, err := newConsole(Options{
		Name: "node-1", Log: slog.New(slog.DiscardHandler), Pages: []Page{OperationsPage(operations(&did, &fails))}, Notice: func() string { return "as of <yesterday>" },
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &tab{t: t, h: c.handler(), cookies: make(map[string]string), from: "10.9.8.7:1234", host: "localhost"}
	page := b.do(http.MethodGet, "/console/operations", nil)
	for _, want := range []string{"as of &lt;yesterday&gt;", "mode: hostcache", "drained by ada: &lt;b&gt;kernel&lt;/b&gt;", "3 more are not shown"} {
		if page.status != http.StatusOK || !strings.Contains(page.body, want) {
			t.Errorf("no %q: %d %s", want, page.status, page.body)
		}
	}
	const by = "the console on the admin socket"
	for _, f := range []struct {
		form   string
		values url.Values
		want   string
	}{
		{"outage", url.Values{"do": {"begin"}, "for": {"1h"}, "why": {"work"}}, "force true for 1h0m0s: work, by " + by},
		{"outage", url.Values{"do": {"avoid"}}, "force false for 0s: , by " + by},
		{"outage", url.Values{"do": {"release"}}, "release by " + by},
		{"drain", url.Values{"for": {" 30m "}}, "drain for 30m0s: , by " + by},
		{"drain", url.Values{"do": {"end"}}, "end drain by " + by},
		{"block", url.Values{"user": {" anna "}, "why": {"left"}}, "block anna for 0s: left, by " + by},
		{"lift", url.Values{"user": {"anna"}, "address": {"192.0.2.1"}}, "lift anna at 192.0.2.1 by " + by},
		{"maintenance", url.Values{"desktop": {"pc"}, "why": {"fan"}}, "down pc: fan, by " + by},
		{"maintenance", url.Values{"desktop": {"pc"}, "do": {"end"}}, "up pc by " + by},
		{"assign", url.Values{"desktop": {"pc"}, "user": {"anna"}, "directory": {"corp"}}, "give pc to anna of corp: , by " + by},
	} {
		did = nil
		f.values.Set("csrf", csrfOf(page.body))
		if a := b.do(http.MethodPost, "/console/operations/"+f.form, f.values); a.status != http.StatusSeeOther || len(did) != 1 || did[0] != f.want {
			t.Errorf("%s %v: %d, did %q, want %q", f.form, f.values, a.status, did, f.want)
		}
	}
	for form, values := range map[string]url.Values{
		"outage": {"do": {"else"}}, "drain": {"for": {"-1h"}}, "block": {"user": {"  "}}, "lift": {}, "maintenance": {}, "assign": {"user": {"anna"}},
	} {
		did = nil
		values.Set("csrf", csrfOf(page.body))
		if a := b.do(http.MethodPost, "/console/operations/"+form, values); a.status != http.StatusBadRequest || len(did) != 0 {
			t.Errorf("%s %v: %d, did %q", form, values, a.status, did)
		}
	}
	if a := b.do(http.MethodPost, "/console/operations/drain", url.Values{}); a.status != http.StatusForbidden || len(did) != 0 {
		t.Errorf("without the token of the form: %d, did %q", a.status, did)
	}
	fails = fmt.Errorf("%w: it waits", broker.ErrUnavailable)
	if a := b.do(http.MethodPost, "/console/operations/block", url.Values{"csrf": {csrfOf(page.body)}, "user": {"anna"}}); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "it waits") {
		t.Errorf("what cannot be done now: %d %s", a.status, a.body)
	}
}

// csrfOf finds the token of the forms of a page.
func csrfOf(page string) string {
	_, rest, _ := strings.Cut(page, `name="csrf" value="`)
	token, _, _ := strings.Cut(rest, `"`)
	return token
}

// TestNotedAnswer: a line that belongs to an answer travels beside it, and an error has none.
func TestNotedAnswer(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	h := routes(Options{Metrics: prometheus.NewRegistry(), Ready: func() error { return nil }, Routes: map[string]Operation{
		"GET noted": func(context.Context, Request) (any, error) {
			return Noted{Value: []string{"x"}, Note: "as of now"}, nil
		},
		"GET plain":  func(context.Context, Request) (any, error) { return Noted{Value: []string{"x"}}, nil },
		"GET broken": func(context.Context, Request) (any, error) { return nil, errors.New("broken") },
	}})
	l, err := listenSocket(socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	_ = server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	for path, want := range map[string]string{"noted": "as of now", "plain": "", "broken": ""} {
		var note string
		client := NewClient(socket)
		client.Note = func(text string) { note = text }
		var out []string
		err := client.Do(t.Context(), http.MethodGet, path, nil, &out)
		if note != want || (err == nil) != (len(out) == 1) || (err == nil) != (path != "broken") {
			t.Errorf("%s: note %q, %v, %v", path, note, out, err)
		}
	}
}
