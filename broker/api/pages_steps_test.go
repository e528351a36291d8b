package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/redirect"
)

// from gets a path as a browser that says where it comes from (Fetch Metadata).
func (s *site) from(t *testing.T, place, method, path string) page {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if place != "" {
		req.Header.Set("Sec-Fetch-Site", place)
	}
	res, err := s.client.Do(req)
	return read(t, res, err)
}

// cookies are those that an answer sets, by name.
func (p page) cookies(t *testing.T) map[string]*http.Cookie {
	t.Helper()
	out := make(map[string]*http.Cookie)
	for _, line := range p.header.Values("Set-Cookie") {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			t.Fatal(err)
		}
		out[c.Name] = c
	}
	return out
}

// TestPageWaiting: a login in the queue goes on by itself, and its id stands in the cookie alone.
func TestPageWaiting(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	s.fill(t, localSetup(t))
	c := &script{login: always(queued(12, 2*time.Second)), polls: []broker.LoginResult{queued(1, 0), queued(0, 0), {Token: "sp1.1.x"}}}
	s.SetLogins(c)
	p := s.post(t, "/signin", url.Values{"csrf": {s.get(t, "/signin").csrf(t)}, "user": {"anna"}, "password": {"a-word"}})
	for _, want := range []string{"<strong>12</strong> people are before you", `role="status" aria-live="polite"`, "waited for 0 seconds", `href="/waiting"`} {
		if !strings.Contains(p.body, want) {
			t.Errorf("no %s in %s", want, p.body)
		}
	}
	cookie := p.cookies(t)["__Host-login"]
	if p.status != 200 || p.header.Get("Refresh") != "2; url=/waiting" || cookie == nil || !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" {
		t.Fatalf("%d %v %+v", p.status, p.header, cookie)
	}
	if strings.Contains(p.body, "sw1.") || strings.Contains(p.body, "a-word") || strings.Contains(p.body, "<script") || strings.Contains(cookie.Value, "a-word") {
		t.Errorf("the page tells a secret: %s", p.body)
	}
	if home := s.get(t, "/"); home.header.Get("Location") != "/waiting" {
		t.Errorf("%+v", home)
	}
	for _, want := range []string{"<strong>1</strong> person is before you", "You are next"} {
		if p = s.get(t, "/waiting"); p.status != 200 || !strings.Contains(p.body, want) || p.header.Get("Refresh") != "1; url=/waiting" {
			t.Errorf("%d %v %s, want %s", p.status, p.header, p.body, want)
		}
	}
	p = s.get(t, "/waiting")
	if set := p.cookies(t); p.status != 303 || p.header.Get("Location") != "/desktops" || set["__Host-session"].Value != "sp1.1.x" || set["__Host-login"].MaxAge >= 0 {
		t.Errorf("%+v", p)
	}
	for _, id := range c.asked {
		if id != waitingID {
			t.Errorf("asked for %q", id)
		}
	}
	if p := s.get(t, "/waiting"); p.status != 303 || len(c.asked) != 3 {
		t.Errorf("nothing waits any more: %+v", p)
	}
}

// TestPageWaitingEnds: a refusal, a prompt and a redirect come out of the queue as they do without it.
func TestPageWaitingEnds(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	for name, c := range map[string]struct {
		end    broker.LoginResult
		status int
		want   string
	}{
		"refused": {broker.LoginResult{Refusal: &broker.Refusal{Code: broker.CodeSignInFailed, Text: "Not right.", Ref: "1-ab"}}, 401, `Reference 1-ab`},
		"lost":    {broker.LoginResult{Refusal: &broker.Refusal{Code: broker.CodeLoginUnknown, Text: "Sign in again."}}, 404, `Sign in again.`},
		"prompt":  {prompted(broker.CodePasswordMustChange), 200, `name="new"`},
	} {
		s.SetLogins(&script{login: always(queued(1, 0)), polls: []broker.LoginResult{c.end}})
		s.post(t, "/signin", url.Values{"csrf": {s.get(t, "/signin").csrf(t)}, "user": {"anna"}, "password": {"p"}})
		p := s.get(t, "/waiting")
		if p.status != c.status || !strings.Contains(p.body, c.want) || !strings.Contains(p.body, `value="anna"`) || p.cookies(t)["__Host-login"].MaxAge >= 0 {
			t.Errorf("%s: %+v", name, p)
		}
	}
	s.SetLogins(&script{login: always(queued(1, 0)), polls: []broker.LoginResult{{Redirect: "https://cb.us.company.com:8443/", Ticket: "st1.a.b"}}})
	s.post(t, "/signin", url.Values{"csrf": {s.get(t, "/signin").csrf(t)}, "user": {"anna"}, "password": {"p"}})
	if p := s.get(t, "/waiting"); p.status != 303 || p.header.Get("Location") != "https://cb.us.company.com:8443/signin?ticket=st1.a.b" || p.header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%+v", p)
	}
}

// TestPageNewPassword: the page asks for all three and holds none of them.
func TestPageNewPassword(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	s.fill(t, localSetup(t))
	c := &script{login: func(r broker.LoginRequest) broker.LoginResult {
		switch r.NewPassword {
		case "":
			return prompted(broker.CodePasswordExpired)
		case "poor":
			return broker.LoginResult{Prompt: &broker.Prompt{Kind: broker.PromptNewPassword, Text: "Not good enough.", Code: broker.CodePasswordPolicy}}
		}
		return broker.LoginResult{Token: "sp1.1.x"}
	}}
	s.SetLogins(c)
	p := s.post(t, "/signin", url.Values{"csrf": {s.get(t, "/signin").csrf(t)}, "user": {"anna"}, "password": {"old-word"}})
	for _, want := range []string{
		"<h1>New password</h1>", `role="alert"`, "Please choose a new one.", `value="anna"`, `<label for="password">`, `<label for="new">`, `<label for="again">`,
		`autocomplete="username"`, `autocomplete="current-password"`, `autocomplete="new-password"`, `action="/newpassword"`,
	} {
		if !strings.Contains(p.body, want) {
			t.Errorf("no %s in %s", want, p.body)
		}
	}
	if p.status != 200 || strings.Contains(p.body, "old-word") {
		t.Errorf("%d %s", p.status, p.body)
	}
	form := func(old, first, again string) url.Values {
		return url.Values{"csrf": {p.csrf(t)}, "user": {"anna"}, "password": {old}, "new": {first}, "again": {again}}
	}
	for want, f := range map[string]url.Values{
		"not the same":             form("old-word", "a", "b"),
		"choose a new password":    form("old-word", "", ""),
		"another one than the old": form("old-word", "old-word", "old-word"),
	} {
		if no := s.post(t, "/newpassword", f); no.status != 400 || !strings.Contains(no.body, want) || strings.Contains(no.body, "old-word") || len(c.seen) != 1 {
			t.Errorf("%s: %d %s", want, no.status, no.body)
		}
	}
	if no := s.post(t, "/newpassword", form("old-word", "poor", "poor")); no.status != 200 || !strings.Contains(no.body, "Not good enough.") || strings.Contains(no.body, "poor") {
		t.Errorf("%d %s", no.status, no.body)
	}
	in := s.post(t, "/newpassword", form("old-word", "new-word", "new-word"))
	if got := c.last(); in.status != 303 || in.header.Get("Location") != "/desktops" || got.User != "anna" || got.Password != "old-word" || got.NewPassword != "new-word" || got.Ticket != "" {
		t.Errorf("%+v, %+v", in, got)
	}
	forged := form("old-word", "new-word", "new-word")
	forged.Set("csrf", "x")
	if no := s.post(t, "/newpassword", forged); no.status != 403 || len(c.seen) != 3 {
		t.Errorf("a forged form: %d", no.status)
	}
}

// TestPageTicket: a ticket signs in at once where it comes from a cluster of this company, and asks where
// anybody may have made the link.
func TestPageTicket(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	s.fill(t, localSetup(t))
	c := &script{login: func(r broker.LoginRequest) broker.LoginResult {
		if r.Ticket == "st1.good.ticket" {
			return broker.LoginResult{Token: "sp1.1.x"}
		}
		return broker.LoginResult{Refusal: &broker.Refusal{Code: broker.CodeTicket, Text: "Please sign in with your password.", Ref: "1-ab"}}
	}}
	s.SetLogins(c)
	for _, place := range []string{"", "same-site", "same-origin"} {
		p := s.from(t, place, http.MethodGet, "/signin?ticket=st1.good.ticket")
		if p.status != 303 || p.header.Get("Location") != "/desktops" || p.header.Get("Cache-Control") != "no-store" || p.cookies(t)["__Host-session"].Value != "sp1.1.x" {
			t.Errorf("from %q: %+v", place, p)
		}
	}
	spent := len(c.seen)
	for _, place := range []string{"cross-site", "none"} {
		p := s.from(t, place, http.MethodGet, "/signin?ticket=st1.good.ticket")
		if p.status != 200 || len(c.seen) != spent || p.cookies(t)["__Host-session"] != nil || p.field("ticket")[0] != "st1.good.ticket" {
			t.Errorf("from %q: %+v", place, p)
			continue
		}
		if yes := s.post(t, "/signin", url.Values{"csrf": {p.csrf(t)}, "ticket": p.field("ticket")}); yes.status != 303 || yes.header.Get("Location") != "/desktops" {
			t.Errorf("the yes: %+v", yes)
		}
		if forged := s.post(t, "/signin", url.Values{"csrf": {"x"}, "ticket": p.field("ticket")}); forged.status != 403 {
			t.Errorf("a yes that nobody gave: %+v", forged)
		}
		spent = len(c.seen)
	}
	if p := s.from(t, "", http.MethodHead, "/signin?ticket=st1.good.ticket"); p.status != 200 || len(c.seen) != spent {
		t.Errorf("a HEAD has used the ticket up: %+v", p)
	}
	if p := s.get(t, "/signin?ticket=st1.used"); p.status != 401 || !strings.Contains(p.body, "sign in with your password") || !strings.Contains(p.body, "Reference 1-ab") || len(p.field("csrf")) != 1 {
		t.Errorf("a used one: %+v", p)
	}
	spent = len(c.seen)
	for _, query := range []string{"ticket=", "ticket=a&ticket=b", "ticket=" + strings.Repeat("a", 3000), "ticket=%3Cscript%3E", "ticket=%zz", "ticket=a%00"} {
		if p := s.get(t, "/signin?"+query); p.status != 401 || !strings.Contains(p.body, `role="alert"`) || strings.Contains(p.body, "<script") || len(c.seen) != spent {
			t.Errorf("%.20s: %d %s", query, p.status, p.body)
		}
	}
	if p := s.get(t, "/signin?lang=en"); p.status != 200 || strings.Contains(p.body, `role="alert"`) {
		t.Errorf("another parameter: %d %s", p.status, p.body)
	}
}

// TestPageRedirectTicket: the browser is sent home with its ticket, to that host and to no other path.
func TestPageRedirectTicket(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	setup := localSetup(t)
	setup.Destinations = []redirect.Destination{{Name: "us", URL: "https://cb.us.company.com:8443/", Cluster: "us", Monitor: "alive"}}
	s.fill(t, setup)
	for home, want := range map[string]string{
		"https://cb.us.company.com:8443/": "https://cb.us.company.com:8443/signin?ticket=st1.a-_.b",
		"https://cb.us.company.com":       "https://cb.us.company.com/signin?ticket=st1.a-_.b",
	} {
		s.SetLogins(&script{login: always(broker.LoginResult{Redirect: home, Ticket: "st1.a-_.b"})})
		p := s.post(t, "/signin", url.Values{"csrf": {s.get(t, "/signin").csrf(t)}, "user": {"alice"}, "password": {"p"}})
		if p.status != 303 || p.header.Get("Location") != want || p.header.Get("Referrer-Policy") != "no-referrer" || p.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%+v", p)
		}
	}
}

// TestLinkFromPortal: a link on a page of another site finds the user signed in, although the browser
// sends no strict cookie with it.
func TestLinkFromPortal(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	s.fill(t, localSetup(t))
	for _, path := range []string{"/", "/desktops", "/waiting"} {
		if p := s.from(t, "cross-site", http.MethodGet, path); p.status != 200 || p.header.Get("Refresh") != "0; url="+path {
			t.Errorf("%s: %+v", path, p)
		}
		if p := s.from(t, "same-origin", http.MethodGet, path); p.status != 303 || p.header.Get("Location") != "/signin" {
			t.Errorf("%s, asked again: %+v", path, p)
		}
	}
}

// TestStrangeCookies: a waiting cookie that no broker has made is none.
func TestStrangeCookies(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	c := &script{login: always(queued(1, 0)), polls: []broker.LoginResult{queued(1, 0)}}
	s.SetLogins(c)
	for _, value := range []string{"x", "a~b~c", "~1~", "a~1~!", "a b~1~", strings.Repeat("a", 200) + "~1~", "a~1~" + strings.Repeat("YQ", 600)} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/waiting", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Cookie", "__Host-login="+value)
		res, err := s.client.Do(req)
		if p := read(t, res, err); p.status != 303 || len(c.asked) > 0 {
			t.Errorf("%.20q: %d, asked %v", value, p.status, c.asked)
		}
	}
}
