package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"switchpoint/broker/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted answers login steps from a script, in order; the last one repeats.
func scripted(t *testing.T, cluster string, steps ...api.LoginResponse) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	var n atomic.Int32
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	step := func(w http.ResponseWriter, _ *http.Request) {
		i := min(int(n.Add(1))-1, len(steps)-1)
		res := steps[i]
		res.Broker = api.Broker{Name: cluster + "-1", SiteID: 1, Cluster: cluster}
		if res.Result == api.ResultRefused {
			w.WriteHeader(http.StatusUnauthorized)
		}
		answer(w, res)
	}
	mux.HandleFunc("POST /api/v1/login", step)
	mux.HandleFunc("GET /poll", step)
	mux.HandleFunc("POST /api/v1/connect", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer tok" || r.Header.Get("Idempotency-Key") == "" {
			w.WriteHeader(http.StatusUnauthorized)
			answer(w, api.ErrorResponse{Reason: api.Reason{Code: "no-session"}})
			return
		}
		answer(w, api.ConnectResponse{Desktop: "desk", Host: "10.0.0.1", Port: 3389, Protocol: "rdp"})
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s, &n
}

func offers() api.LoginResponse {
	return api.LoginResponse{Result: api.ResultOffers, Token: "tok", Offers: []api.Offer{{ID: "1", Name: "desk"}}}
}

func redirectTo(url string) api.LoginResponse {
	return api.LoginResponse{Result: api.ResultRedirect, Redirect: &api.Redirect{URL: url}}
}

func TestLoginAtHome(t *testing.T) {
	s, _ := scripted(t, "uk", offers())
	out, err := Login(t.Context(), Options{URL: s.URL, User: "bob", Password: "secret-word"})
	if err != nil || out.Desktop.Desktop != "desk" || out.Broker.Cluster != "uk" || out.Via != netip.MustParseAddr("127.0.0.1") {
		t.Fatalf("%+v, %v", out, err)
	}
	for _, h := range out.Hops {
		if strings.Contains(h.Detail, "secret-word") || strings.Contains(h.Detail, "tok") {
			t.Errorf("a hop tells a secret: %+v", h)
		}
	}
}

func TestOffersOnly(t *testing.T) {
	s, _ := scripted(t, "uk", offers())
	out, err := Login(t.Context(), Options{URL: s.URL, User: "bob", Password: "p", OffersOnly: true})
	if err != nil || out.Desktop != nil || len(out.Offers) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
}

func TestRedirectHome(t *testing.T) {
	us, _ := scripted(t, "us", offers())
	uk, _ := scripted(t, "uk", redirectTo(us.URL+"/ignored?path=1"))
	out, err := Login(t.Context(), Options{URL: uk.URL, User: "alice", Password: "p"})
	if err != nil || out.Broker.Cluster != "us" {
		t.Fatalf("%+v, %v", out, err)
	}
}

func TestRedirectsThatAreRefused(t *testing.T) {
	for name, target := range map[string]string{
		"an empty URL": "", "another scheme": "ldap://x/", "a name that nobody knows": "http://cb.nowhere.invalid",
	} {
		s, _ := scripted(t, "uk", redirectTo(target))
		out, err := Login(t.Context(), Options{URL: s.URL, User: "u", Password: "p", DNS: []string{"127.0.0.1:1"}})
		if err == nil {
			t.Errorf("%s: %+v", name, out)
		}
	}
}

// TestLoop: two clusters that send a user to each other end the login at the second visit.
func TestLoop(t *testing.T) {
	var first *httptest.Server
	mux := http.NewServeMux()
	second := httptest.NewServer(mux)
	t.Cleanup(second.Close)
	first, _ = scripted(t, "first", redirectTo(second.URL))
	mux.HandleFunc("POST /api/v1/login", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(redirectTo(second.URL))
	})
	if _, err := Login(t.Context(), Options{URL: first.URL, User: "u", Password: "p"}); err == nil || !strings.Contains(err.Error(), "loop") {
		t.Fatal(err)
	}
}

// TestNeverTwice: a password goes to no cluster twice, by whatever name the way leads back.
func TestNeverTwice(t *testing.T) {
	var first, second *httptest.Server
	var asked [2]atomic.Int32
	serve := func(i int, cluster string, home func() string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked[i].Add(1)
			res := redirectTo(home())
			res.Broker.Cluster = cluster
			_ = json.NewEncoder(w).Encode(res)
		}))
		t.Cleanup(s.Close)
		return s
	}
	first = serve(0, "uk", func() string { return second.URL })
	for _, cluster := range []string{"us", "", "uk"} {
		asked[0].Store(0)
		asked[1].Store(0)
		second = serve(1, cluster, func() string { return strings.ToUpper(first.URL[:4]) + first.URL[4:] })
		_, err := Login(t.Context(), Options{URL: first.URL + "/", User: "u", Password: "p"})
		if err == nil || !strings.Contains(err.Error(), "loop") || asked[0].Load() != 1 || asked[1].Load() != 1 {
			t.Errorf("cluster %q: asked %d and %d times, %v", cluster, asked[0].Load(), asked[1].Load(), err)
		}
	}
}

func TestStartURL(t *testing.T) {
	for _, raw := range []string{"cb.company.com", "ldap://cb", "https://", "https://bob:pw@cb", "https://cb/path", "https://cb/?q=1", "://"} {
		if u, err := startURL(raw); err == nil || strings.Contains(err.Error(), "pw") {
			t.Errorf("%q is %v, %v", raw, u, err)
		}
	}
	if u, err := startURL("https://cb.company.com:8443/"); err != nil || u.String() != "https://cb.company.com:8443" {
		t.Error(u, err)
	}
}

// TestSRVStaysInTheDomain: who can forge a DNS answer cannot have the password sent to himself.
func TestSRVStaysInTheDomain(t *testing.T) {
	for target, want := range map[string]string{
		"cb.company.com.": "https://cb.company.com:8443", "Company.com.": "https://company.com:8443",
		"evil.com.": "", "evilcompany.com.": "", "company.com.evil.com.": "", ".": "",
	} {
		u, err := srvURL("company.com", &net.SRV{Target: target, Port: 8443})
		if got := fmt.Sprint(u); (want == "") != (err != nil) || err == nil && got != want {
			t.Errorf("%s is %s, %v", target, got, err)
		}
	}
}

// TestPollStaysAtTheBroker: a place to ask that would change the host is refused.
func TestPollStaysAtTheBroker(t *testing.T) {
	for _, poll := range []string{"", "@127.0.0.1:1/", ".evil.com/", "0/"} {
		s, n := scripted(t, "uk", api.LoginResponse{Result: api.ResultWaiting, Poll: poll})
		_, err := Login(t.Context(), Options{URL: s.URL, User: "bob", Password: "p"})
		if err == nil || !strings.Contains(err.Error(), "no path") || n.Load() != 1 {
			t.Errorf("poll at %q: %v", poll, err)
		}
	}
}

func TestPlainText(t *testing.T) {
	err := &RefusedError{Reason: api.Reason{Code: "x", Text: "a\x1b[2Jb"}}
	if got := err.Error(); got != "refused (x): a?[2Jb" {
		t.Errorf("%q", got)
	}
}

// TestNoDowngrade: a redirect from https to http would carry the password in the clear.
func TestNoDowngrade(t *testing.T) {
	l := &login{}
	s := &session{login: l, base: "https://cb.company.com"}
	_, err := s.redirect(redirectTo("http://cb.us.company.com"), visited{}, time.Now())
	if err == nil || !strings.Contains(err.Error(), "in the clear") {
		t.Fatal(err)
	}
}

func TestWaiting(t *testing.T) {
	s, n := scripted(t, "uk", api.LoginResponse{Result: api.ResultWaiting, Poll: "/poll", Reason: &api.Reason{RetryAfter: 1}}, offers())
	out, err := Login(t.Context(), Options{URL: s.URL, User: "bob", Password: "p"})
	if err != nil || out.Desktop == nil || n.Load() != 2 {
		t.Fatalf("%+v, %v, %d steps", out, err, n.Load())
	}
}

func TestRefused(t *testing.T) {
	s, _ := scripted(t, "uk", api.LoginResponse{Result: api.ResultRefused, Reason: &api.Reason{Code: "sign-in-failed", Text: "no"}})
	_, err := Login(t.Context(), Options{URL: s.URL, User: "bob", Password: "p"})
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Reason.Code != "sign-in-failed" || refused.Broker.Name != "uk-1" {
		t.Fatal(err)
	}
}

// TestRetriesALostConnection: the same Idempotency-Key goes out again when the connection dies.
func TestRetriesALostConnection(t *testing.T) {
	var keys []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		if len(keys) == 1 {
			panic(http.ErrAbortHandler)
		}
		res := offers()
		res.Offers = nil
		_ = json.NewEncoder(w).Encode(res)
	}))
	t.Cleanup(s.Close)
	_, err := Login(t.Context(), Options{URL: s.URL, User: "u", Password: "p"})
	if err == nil || !strings.Contains(err.Error(), "no desktop is offered") {
		t.Fatal(err)
	}
	if len(keys) != 2 || keys[0] == "" || keys[0] != keys[1] {
		t.Fatalf("keys %q", keys)
	}
}

// TestDeadNameServer: a server that does not answer is skipped, and named when all are dead.
func TestDeadNameServer(t *testing.T) {
	_, _, err := Resolve(t.Context(), []string{"127.0.0.1:1", "127.0.0.1:2"}, netip.Addr{}, "cb.company.com")
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") || !strings.Contains(err.Error(), "127.0.0.1:2") {
		t.Fatal(err)
	}
	if _, err := Login(t.Context(), Options{}); err == nil {
		t.Fatal("neither URL nor domain was accepted")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(200, []byte(`{"result":"offers"}`))
	f.Add(503, []byte(`{"reason":{"code":"busy"}}`))
	f.Add(502, []byte(`<html>`))
	f.Fuzz(func(t *testing.T, status int, text []byte) {
		var res api.LoginResponse
		if err := decode(status, text, &res); err == nil && status >= 400 && res.Result == "" {
			t.Errorf("status %d and %q count as an answer", status, text)
		}
	})
}

// TestConnectWaits: a desktop that is being started is asked for again, with the same key.
func TestConnectWaits(t *testing.T) {
	for _, poll := range []string{"/api/v1/connect", "@127.0.0.1:1/"} {
		var keys []string
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/api/v1/login" {
				_ = json.NewEncoder(w).Encode(offers())
				return
			}
			keys = append(keys, r.Header.Get("Idempotency-Key"))
			if len(keys) < 3 {
				w.WriteHeader(http.StatusAccepted)
				_ = json.NewEncoder(w).Encode(api.ConnectResponse{Result: api.ResultWaiting, Poll: poll, Reason: &api.Reason{Code: "desktop-starting", Text: "soon", RetryAfter: 1}})
				return
			}
			_ = json.NewEncoder(w).Encode(api.ConnectResponse{Desktop: "desk"})
		}))
		t.Cleanup(s.Close)
		out, err := Login(t.Context(), Options{URL: s.URL, User: "u", Password: "p"})
		if poll[0] != '/' {
			if err == nil || !strings.Contains(err.Error(), "no path") {
				t.Errorf("poll at %q: %v", poll, err)
			}
			continue
		}
		if err != nil || out.Desktop.Desktop != "desk" || len(keys) != 3 || keys[0] == "" || keys[0] != keys[1] || keys[0] != keys[2] {
			t.Errorf("%+v, %v, keys %q", out, err, keys)
		}
		starts := 0
		for _, h := range out.Hops {
			if h.Step == "start" {
				starts++
			}
		}
		if starts != 1 {
			t.Errorf("%d hops of the start", starts)
		}
	}
}
