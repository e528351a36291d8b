package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"switchpoint/broker"
)

// TestSignIn: without a session there is nothing but the form; the token makes one, once.
func TestSignIn(t *testing.T) {
	b := newTab(t, newFake(), newGate(testToken))
	for _, path := range []string{"/console/", "/console/cluster", "/console/jobs?state=pending", "/console/nothing"} {
		if a := b.get(path); a.status != http.StatusSeeOther || !strings.HasPrefix(a.to(), "/console/signin?next=") || strings.Contains(a.body, "broker-1") {
			t.Errorf("%s for a stranger: %d to %q", path, a.status, a.to())
		}
	}
	form := b.get("/console/signin?next=%2Fconsole%2Fjobs%3Fstate%3Dpending")
	if strings.Contains(form.body, "broker-1") || strings.Contains(form.body, "/console/jobs\"") {
		t.Errorf("the sign-in form tells a stranger of the cluster: %s", form.body)
	}
	next := form.field(t, "next")
	wrong := b.post("/console/signin", "/console/signin", url.Values{"token": {testToken + "x"}})
	if wrong.status != http.StatusUnauthorized || b.cookies[cookieSession] != "" {
		t.Errorf("a wrong token: %d", wrong.status)
	}
	before := b.cookies[cookieForm]
	in := b.post("/console/signin", "/console/signin", url.Values{"token": {testToken + "\n"}, "next": {next}})
	if in.status != http.StatusSeeOther || in.to() != "/console/jobs?state=pending" {
		t.Errorf("%d to %q", in.status, in.to())
	}
	for _, c := range in.header.Values("Set-Cookie") {
		for _, need := range []string{"__Host-", "Path=/", "HttpOnly", "Secure", "SameSite=Strict"} {
			if !strings.Contains(c, need) {
				t.Errorf("the cookie %q has no %s", c, need)
			}
		}
	}
	if strings.Contains(strings.Join(in.header.Values("Set-Cookie"), ""), testToken) || b.cookies[cookieForm] == before {
		t.Error("the token is in a cookie, or what was known before the sign-in still counts")
	}
	b.get("/console/jobs").needs(t, "Job Queue", "Sign out")
	if a := b.get("/console/"); a.to() != "/console/cluster" {
		t.Errorf("the start: %d to %q", a.status, a.to())
	}
	if a := b.get("/console/nothing"); a.status != http.StatusNotFound {
		t.Errorf("an unknown page: %d", a.status)
	}
	old := b.cookies[cookieSession]
	if a := b.post("/console/jobs", "/console/signout", url.Values{}); a.to() != "/console/signin" || b.cookies[cookieSession] != "" {
		t.Errorf("sign-out: %d to %q", a.status, a.to())
	}
	b.cookies[cookieSession] = old
	if a := b.get("/console/jobs"); a.status != http.StatusSeeOther {
		t.Errorf("the old cookie after the sign-out: %d", a.status)
	}
}

func TestSafeNext(t *testing.T) {
	for next, want := range map[string]string{
		"/console/jobs?page=2": "/console/jobs?page=2", "/console/": "/console/",
		"": "/console/", "/admin/v1/status": "/console/", "https://evil.example/console/": "/console/", "//evil.example/console/x": "/console/",
		`/\evil.example/console/`: "/console/", "/console/../metrics": "/console/", "/console/%2e%2e/metrics": "/console/",
		"/console/signin?next=/console/signin": "/console/", "/console/\r\nx: y": "/console/", "javascript:alert(1)": "/console/",
	} {
		if got := safeNext(next); got != want {
			t.Errorf("%q: %q, want %q", next, got, want)
		}
	}
}

// TestSessionEnds: after 30 minutes without use, after 8 hours in any case; and a page that refreshes
// itself is no use.
func TestSessionEnds(t *testing.T) {
	for name, c := range map[string]struct {
		step time.Duration
		path string
		ends time.Duration
	}{
		"unused":     {31 * time.Minute, "/console/jobs", 31 * time.Minute},
		"in use":     {20 * time.Minute, "/console/jobs", 8 * time.Hour},
		"refreshing": {10 * time.Minute, "/console/jobs?refresh=on", 30 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTab(t, newFake(), newGate(testToken))
				b.signIn()
				began := time.Now()
				for b.get(c.path).status == http.StatusOK && time.Since(began) < 9*time.Hour {
					time.Sleep(c.step)
				}
				if got := time.Since(began); got != c.ends {
					t.Errorf("the session ended after %s, want %s", got, c.ends)
				}
			})
		})
	}
}

func TestSessionsAreBounded(t *testing.T) {
	var s sessions
	now := epoch()
	first := s.begin(now)
	second := s.begin(now.Add(time.Second))
	for i := range maxSessions - 2 {
		s.begin(now.Add(time.Duration(i+2) * time.Second))
	}
	now = now.Add(time.Minute)
	if !s.check(first, now.Add(time.Second), true) { // used last, so it stays
		t.Fatal("a session ended too early")
	}
	s.begin(now.Add(2 * time.Second))
	if !s.check(first, now.Add(3*time.Second), false) || s.check(second, now.Add(3*time.Second), false) || len(s.live) != maxSessions {
		t.Errorf("%d sessions; not the one that was unused for the longest time has gone", len(s.live))
	}
}

// TestSignInFailuresAreLimited: five wrong tokens a minute for each client; the right one does not
// help then, and other clients are not held up.
func TestSignInFailuresAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(testToken)
		b := newTab(t, newFake(), g)
		try := func(token string) answer {
			return b.post("/console/signin", "/console/signin", url.Values{"token": {token}})
		}
		for i := range maxFailures {
			if a := try("wrong"); a.status != http.StatusUnauthorized {
				t.Fatalf("failure %d: %d", i+1, a.status)
			}
		}
		if a := try(testToken); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
			t.Errorf("after %d failures: %d", maxFailures, a.status)
		}
		b.from = "10.9.8.8:99"
		b.signIn()
		b.from = "10.9.8.7:5"
		time.Sleep(failureWindow)
		if a := try(testToken); a.status != http.StatusSeeOther {
			t.Errorf("a minute later: %d", a.status)
		}
	})
}

func TestFailuresAreBounded(t *testing.T) {
	var f failures
	now := epoch()
	wrong := func() bool { return false }
	for i := range 3 * maxClients {
		f.try(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now.Add(time.Duration(i)*time.Millisecond), wrong)
	}
	if len(f.by) > maxClients {
		t.Errorf("%d clients are remembered", len(f.by))
	}
	one, other := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	for range maxFailures {
		f.try(one, now, wrong)
	}
	asked := func() bool { t.Error("a client that must wait was let try"); return true }
	if ok, wait := f.try(other, now, asked); ok || wait != failureWindow {
		t.Errorf("%v, %v", ok, wait)
	}
	if ok, wait := f.try(netip.MustParseAddr("2001:db8:0:1::1"), now, func() bool { return true }); !ok || wait != 0 {
		t.Error("IPv6 clients are not counted by their /64")
	}
}

// TestFormsNeedTheirToken: nothing changes without the token of this browser and this session.
func TestFormsNeedTheirToken(t *testing.T) {
	f := newFake()
	g := newGate(testToken)
	b, other := newTab(t, f, g), newTab(t, f, g)
	b.signIn()
	other.signIn()
	foreign := other.get("/console/jobs").field(t, "csrf")
	own := b.get("/console/jobs").field(t, "csrf")
	forms := map[string]url.Values{
		"/console/cluster/remove": {"site": {"2"}}, "/console/cluster/columns": {"do": {"reset"}},
		"/console/jobs/cancel": {"id": {"j1"}}, "/console/jobs/run": {"id": {"j1"}}, "/console/signout": {},
	}
	for path, form := range forms {
		for _, token := range []string{"", "x", foreign, own[:len(own)-1]} {
			form.Set("csrf", token)
			if a := b.do(http.MethodPost, path, form); a.status != http.StatusForbidden {
				t.Errorf("%s with the token %q: %d", path, token, a.status)
			}
		}
		form.Del("csrf")
		if a := b.do(http.MethodPost, path+"?csrf="+url.QueryEscape(own), form); a.status != http.StatusForbidden {
			t.Errorf("%s with the token in its address: %d", path, a.status)
		}
	}
	if a := b.do(http.MethodGet, "/console/jobs/cancel?id=j1&csrf="+url.QueryEscape(own), nil); a.status != http.StatusOK {
		t.Errorf("asking to cancel: %d", a.status)
	}
	if len(f.did) > 0 || b.get("/console/jobs").status != http.StatusOK {
		t.Errorf("forged forms did %v", f.did)
	}
	b.cookies[cookieSession] = "x"
	if a := b.do(http.MethodPost, "/console/jobs/cancel", url.Values{"csrf": {own}, "id": {"j1"}}); a.status != http.StatusForbidden || len(f.did) > 0 {
		t.Errorf("without a session: %d, %v", a.status, f.did)
	}
	big := url.Values{"csrf": {own}, "id": {strings.Repeat("x", maxForm)}}
	b.signIn()
	if a := b.do(http.MethodPost, "/console/jobs/cancel", big); a.status != http.StatusBadRequest {
		t.Errorf("a form that is too large: %d", a.status)
	}
}

// TestConsoleHeaders: no page may run a script, be framed, or be kept.
func TestConsoleHeaders(t *testing.T) {
	b := newTab(t, newFake(), newGate(testToken))
	b.signIn()
	for _, path := range []string{"/console/signin", "/console/cluster", "/console/cluster/columns", "/console/cluster/remove?site=2", "/console/jobs", "/console/jobs/job?id=j1", "/console/jobs/cancel?id=j1", "/console/nothing"} {
		a := b.get(path)
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
			"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		for _, never := range []string{"<script", "style=", " onclick", "javascript:", "http://", "https://", "ZgotmplZ"} {
			if strings.Contains(a.body, never) {
				t.Errorf("%s has %q", path, never)
			}
		}
		for _, need := range []string{`lang="en"`, `name="viewport"`, "<h1>", "<title>"} {
			if !strings.Contains(a.body, need) {
				t.Errorf("%s has no %s", path, need)
			}
		}
	}
	if a := b.get("/console/style.css"); a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), "text/css") {
		t.Errorf("the style: %d", a.status)
	}
}

// TestSocketConsole: on the socket nobody signs in; a browser that was led there under another name
// is sent away, and forms need their token all the same.
func TestSocketConsole(t *testing.T) {
	f := newFake()
	b := newTab(t, f, nil)
	b.get("/console/cluster").needs(t, "Cluster Management", "broker-1")
	if strings.Contains(b.get("/console/cluster").body, "Sign out") {
		t.Error("there is nothing to sign out of")
	}
	for host, want := range map[string]int{"localhost:9443": 200, "127.0.0.1:1": 200, "[::1]:80": 200, "[::1]": 200, "evil.example": 421, "localhost.evil.example": 421, "10.0.0.1": 421, "": 421} {
		b.host = host
		if a := b.get("/console/cluster"); a.status != want {
			t.Errorf("host %q: %d, want %d", host, a.status, want)
		}
	}
	b.host = "localhost"
	if a := b.do(http.MethodPost, "/console/cluster/remove", url.Values{"site": {"2"}}); a.status != http.StatusForbidden || len(f.did) > 0 {
		t.Errorf("without the token of a form: %d, %v", a.status, f.did)
	}
	b.post("/console/cluster/remove?site=2", "/console/cluster/remove", url.Values{"site": {"2"}})
	if fmt.Sprint(f.did) != "[remove 2 by the console on the admin socket]" {
		t.Errorf("did %q", f.did)
	}
}

// TestConsoleErrors: what the cluster refuses becomes a page with its reason and status.
func TestConsoleErrors(t *testing.T) {
	f := newFake()
	b := newTab(t, f, nil)
	token := b.get("/console/cluster/remove?site=2").field(t, "csrf")
	for want, err := range map[int]error{
		404: fmt.Errorf("remove broker: %w", broker.ErrNotFound), 409: fmt.Errorf("%w: it is running", broker.ErrConflict),
		400: fmt.Errorf("%w: it lasts too long", broker.ErrInvalid), 503: fmt.Errorf("ask: %w", broker.ErrUnavailable), 500: errors.New("it broke"),
	} {
		f.fails = err
		a := b.do(http.MethodPost, "/console/cluster/remove", url.Values{"csrf": {token}, "site": {"2"}})
		if a.status != want {
			t.Errorf("%v: %d", err, a.status)
		}
		a.needs(t, err.Error(), "Back to Cluster Management")
		if a := b.get("/console/jobs"); a.status != want {
			t.Errorf("the job queue with %v: %d", err, a.status)
		}
	}
	f.fails = nil
	for path, want := range map[string]int{
		"/console/cluster/remove?site=x": 400, "/console/cluster/remove?site=99": 404, "/console/cluster/remove": 400,
		"/console/jobs/job?id=none": 404, "/console/jobs/job": 400, "/console/jobs?page=0": 400, "/console/jobs?page=20": 400,
		"/console/jobs?state=odd": 400, "/console/jobs?order=payload": 400, "/console/jobs?site=-1": 400,
	} {
		if a := b.get(path); a.status != want {
			t.Errorf("%s: %d, want %d", path, a.status, want)
		}
	}
}
