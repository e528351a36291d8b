package conformance

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"switchpoint/broker/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve brings a server up until the test ends.
func serve(t *testing.T, o Options) *Server {
	t.Helper()
	o.Listen, o.RetryAfter, o.Slow = "127.0.0.1:0", 1, 300*time.Millisecond
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// rough is a client that does what a test tells it, right or wrong.
type rough struct {
	t    *testing.T
	s    *Server
	user string
	http *http.Client
	key  int
	// header is sent with every request; an empty value takes a header away.
	header map[string]string
	token  string
}

func newRough(t *testing.T, s *Server, user string) *rough {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CA())
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &rough{t: t, s: s, user: user, http: &http.Client{Transport: tr, Timeout: 20 * time.Second}, header: map[string]string{"User-Agent": "rough/1"}}
}

// answered is what came back; its status is 0 when the connection was cut.
type answered struct {
	api.LoginResponse
	status int
}

func (r *rough) send(method, url, body string, header ...string) answered {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	r.key++
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", r.user+"-"+string(rune('a'+r.key)))
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.http.Do(req)
	if err != nil {
		return answered{}
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	out := answered{status: res.StatusCode}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &out.LoginResponse); err != nil {
			r.t.Fatalf("%s: %v", text, err)
		}
	}
	if out.Token != "" {
		r.token = out.Token
	}
	return out
}

func (r *rough) body(more string) string {
	return `{"user":"` + r.user + `","password":"` + Password + `","client":{"name":"rough"}` + more + `}`
}

func (r *rough) login(header ...string) answered {
	r.t.Helper()
	return r.send(http.MethodPost, r.s.settings.here+"/api/v1/login", r.body(""), header...)
}

func (r *rough) at(url, body string) answered {
	r.t.Helper()
	return r.send(http.MethodPost, url+"/api/v1/login", body)
}

func (r *rough) connect(header ...string) answered {
	r.t.Helper()
	return r.send(http.MethodPost, r.s.settings.here+"/api/v1/connect", `{"offer":"`+offerID+`"}`, header...)
}

// wait is what a client does that heeds Retry-After.
func wait() { time.Sleep(1050 * time.Millisecond) }

// TestWrongClients: each mistake is found, and told at its level.
func TestWrongClients(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		user, level, want string
		do                func(r *rough)
	}{
		"no key":              {"offers", Must, "login has no Idempotency-Key", func(r *rough) { r.login("Idempotency-Key", "") }},
		"bad key":             {"offers", Must, "printable ASCII", func(r *rough) { r.login("Idempotency-Key", strings.Repeat("k", 201)) }},
		"one key for all":     {"offers", Must, "used for two actions", func(r *rough) { r.login("Idempotency-Key", "k"); r.connect("Idempotency-Key", "k") }},
		"no name":             {"offers", Should, "User-Agent", func(r *rough) { r.login("User-Agent", "") }},
		"no client name":      {"offers", Should, "client.name", func(r *rough) { r.at(r.s.URL(), `{"user":"offers","password":"`+Password+`"}`) }},
		"stays away":          {"offers", Must, "did not get to its desktop", func(r *rough) { r.login() }},
		"stumbles over more":  {"unknown-fields", Must, "did not get to its desktop", func(r *rough) { r.login() }},
		"another password":    {"offers", Must, "another password", func(r *rough) { r.at(r.s.URL(), `{"user":"offers","password":"guess"}`) }},
		"a field of its own":  {"offers", Must, `"colour" is not known`, func(r *rough) { r.at(r.s.URL(), r.body(`,"colour":"red"`)) }},
		"a form":              {"offers", Must, "not application/json", func(r *rough) { r.login(); r.connect("Content-Type", "text/plain") }},
		"no token":            {"offers", Must, "did not get to its desktop", func(r *rough) { r.login(); r.token = ""; r.connect() }},
		"an old token":        {"offers", Must, "newest login", func(r *rough) { r.login(); old := r.token; r.login(); r.token = old; r.connect() }},
		"secret in the URL":   {"offers", Must, "stands in the URL", func(r *rough) { r.send(http.MethodPost, r.s.URL()+"/api/v1/login?password="+Password, r.body("")) }},
		"prompt ignored":      {"new-password", Must, "without new_password", func(r *rough) { r.login(); r.login() }},
		"prompt half":         {"new-password", Must, "not the same request", func(r *rough) { r.login(); r.at(r.s.URL(), `{"user":"new-password","new_password":"n"}`) }},
		"polls too early":     {"waiting", Must, "Retry-After", func(r *rough) { r.send(http.MethodGet, r.s.URL()+r.login().Poll, "") }},
		"queues twice":        {"waiting", Must, "second login", func(r *rough) { r.login(); wait(); r.login() }},
		"does not ask":        {"waiting", Must, "nobody asked at poll", func(r *rough) { r.login() }},
		"no patience":         {"slow", Must, "while the first one was under way", func(r *rough) { r.http.Timeout = 100 * time.Millisecond; r.login(); r.login() }},
		"hammers":             {"busy", Must, "Retry-After", func(r *rough) { r.login("Idempotency-Key", "k"); r.login("Idempotency-Key", "k") }},
		"busy, another key":   {"busy", Must, "two sessions", func(r *rough) { r.login(); wait(); r.login() }},
		"cut, another key":    {"cut", Must, "two sessions", func(r *rough) { r.login(); r.login() }},
		"cut, another body":   {"cut", Must, "another request", func(r *rough) { r.login(); r.at(r.s.URL(), r.body(`,"directory":"corp"`)) }},
		"cut, gives up":       {"cut", Must, "did not get to its desktop", func(r *rough) { r.login() }},
		"starts two desktops": {"desktop-starting", Must, "second desktop", func(r *rough) { r.login(); r.connect(); wait(); r.connect() }},
		"does not let go":     {"session-ended", Must, "used again", func(r *rough) { r.login(); r.connect(); r.connect() }},
		"does not connect":    {"session-ended", Must, "did not connect", func(r *rough) { r.login() }},
		"tries passwords":     {"refused-sign-in-failed", Must, "locks accounts", func(r *rough) { r.login(); r.login() }},
		"tries after 429":     {"refused-too-many-failures", Must, "sent again", func(r *rough) { r.login(); wait(); r.login() }},
		"in the clear":        {"redirect-plain", Must, "plain http", func(r *rough) { r.at(r.login().Redirect.URL, r.body("")) }},
		"ticket in the clear": {"redirect-plain", Must, "plain http", func(r *rough) { red := r.login().Redirect; r.at(red.URL, `{"ticket":"`+red.Ticket+`"}`) }},
		"both":                {"redirect-ticket", Must, "either user and password or a ticket", func(r *rough) { red := r.login().Redirect; r.at(red.URL, r.body(`,"ticket":"`+red.Ticket+`"`)) }},
		"password for ticket": {"redirect-ticket", Must, "although there was a ticket", func(r *rough) { r.at(r.login().Redirect.URL, r.body("")) }},
		"same ticket again": {"ticket-refused", Must, "refused ticket was sent again", func(r *rough) {
			red := r.login().Redirect
			r.at(red.URL, `{"ticket":"`+red.Ticket+`"}`)
			r.at(red.URL, `{"ticket":"`+red.Ticket+`"}`)
		}},
		"ticket not tried": {"ticket-refused", Must, "was not used", func(r *rough) { r.at(r.login().Redirect.URL, r.body("")) }},
		"goes in circles":  {"redirect-loop", Must, "goes on for ever", func(r *rough) { r.at(r.at(r.login().Redirect.URL, r.body("")).Redirect.URL, r.body("")) }},
		"comes back":       {"redirect", Must, "goes on for ever", func(r *rough) { r.at(r.login().Redirect.URL, r.body("")); r.login() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, Options{Only: []string{c.user}})
			c.do(newRough(t, s, c.user))
			r := s.Report()
			result := r.Results[0]
			found := slices.ContainsFunc(result.Findings, func(f Finding) bool { return f.Level == c.level && strings.Contains(f.What, c.want) })
			if !found || (c.level == Must) != (result.Result == Failed) && c.want != "User-Agent" && c.want != "client.name" || r.Passed() {
				t.Errorf("%+v, strays %v", result, r.Strays)
			}
		})
	}
}

// TestRightClient: no finding where there is nothing to find, and each scenario can be played again.
func TestRightClient(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Only: []string{"offers", "waiting"}})
	r := newRough(t, s, "offers")
	r.login()
	if r.connect().status != 200 || r.send(http.MethodGet, s.URL()+"/api/v1/offers", "").status != 200 || r.send(http.MethodPost, s.URL()+"/api/v1/logout", "").status != 204 {
		t.Error("the way of every day does not work")
	}
	r = newRough(t, s, "waiting")
	res := r.login()
	for res.Result == api.ResultWaiting {
		wait()
		res = r.send(http.MethodGet, s.URL()+res.Poll, "")
	}
	r.connect()
	report := s.Report()
	if !report.Passed() || len(report.Results[0].Findings)+len(report.Results[1].Findings) > 0 || !s.Quiet(0) || s.Quiet(time.Hour) {
		t.Errorf("%+v", report)
	}
}

// TestStrays: requests that belong to no scenario are answered as by a broker, and listed without secrets.
func TestStrays(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{})
	r := newRough(t, s, "nobody")
	if got := r.login(); got.status != 401 || got.Reason.Code != "sign-in-failed" {
		t.Errorf("%+v", got)
	}
	if got := r.at(s.URL(), `{"ticket":"st1.forged.x"}`); got.status != 401 || got.Reason.Code != "ticket-refused" {
		t.Errorf("%+v", got)
	}
	if got := r.send(http.MethodGet, s.URL()+"/api/v1/login/sw1.1.a-secret-that-nobody-gave", ""); got.status != 404 || got.Reason.Code != "login-unknown" {
		t.Errorf("%+v", got)
	}
	r.token = "sp1.1.forged"
	if got := r.connect(); got.status != 401 || got.Reason.Code != "session-expired" {
		t.Errorf("%+v", got)
	}
	if got := r.send(http.MethodGet, s.URL()+"/api/v2/login", ""); got.status != 404 || got.Reason.Code != "not-found" {
		t.Errorf("%+v", got)
	}
	report := s.Report()
	if report.Passed() || report.Count(NotPlayed) != len(report.Results) || len(report.Strays) != 5 {
		t.Errorf("%+v", report)
	}
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil || strings.Contains(text.String(), "secret-that") || strings.Contains(text.String(), "forged") || !strings.Contains(text.String(), "0 passed, 0 failed, ") {
		t.Errorf("%v %s", err, text.String())
	}
	for range 100 {
		r.send(http.MethodGet, s.URL()+"/x", "")
	}
	if n := len(s.Report().Strays); n != maxStrays {
		t.Errorf("%d strays are kept", n)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	busy := serve(t, Options{})
	for name, o := range map[string]Options{
		"no port":         {Listen: "127.0.0.1"},
		"port too high":   {Listen: "127.0.0.1:65535"},
		"taken":           {Listen: busy.Addr().String()},
		"all addresses":   {Listen: ":0"},
		"unknown":         {Listen: "127.0.0.1:0", Only: []string{"offer"}},
		"no such file":    {Listen: "127.0.0.1:0", Cert: "/nowhere", Key: "/nowhere"},
		"half a key pair": {Listen: "127.0.0.1:0", Cert: "/nowhere"},
	} {
		if s, err := New(o); err == nil {
			s.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzExtended(f *testing.F) {
	f.Add([]byte(`{"a":[{"b":null}],"c":{"d":1}}`))
	f.Add([]byte(`[[[{}]]]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		out, err := withUnknown(text)
		if err == nil && !json.Valid(out) {
			t.Errorf("%q became %q", text, out)
		}
	})
}

// FuzzDecode: whatever a client sends, the server finds the fault in it and does not break.
func FuzzDecode(f *testing.F) {
	f.Add("application/json", []byte(`{"user":"offers","password":"x"}`))
	f.Add("text/plain", []byte(`{}`))
	f.Add("application/json", []byte(`{"usr":1}{}`))
	f.Fuzz(func(t *testing.T, media string, text []byte) {
		var in api.LoginRequest
		r := &http.Request{Header: http.Header{"Content-Type": {media}}}
		if fault := decode(r, bytes.NewReader(text), &in); fault == "" && !json.Valid(text) {
			t.Errorf("%q is no JSON and was accepted", text)
		}
	})
}
