package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/api"
	"switchpoint/internal/covers"
	"switchpoint/redirect"
)

// stuckBody is that of a client that cannot follow a redirect.
const stuckBody = `{"user":"anna","password":"p","client":{"name":"tc","version":"1","no_redirect":true}}`

// twoClusters are the uk, whose logins a test makes, and the us, where anna is at home.
func twoClusters(t *testing.T) (uk, us *site) {
	t.Helper()
	us = start(t, config{cluster: "us"})
	us.fill(t, localSetup(t))
	uk = start(t, config{})
	setup := localSetup(t)
	setup.Destinations = []redirect.Destination{
		{Name: "us-home", URL: us.url, Cluster: "us", CA: us.caFile()},
		{Name: "old", URL: "https://old.company.com", Cluster: "old", Plain: true},
	}
	uk.fill(t, setup)
	return uk, us
}

func homeAt(name, url, ticket string) broker.LoginResult {
	return broker.LoginResult{Home: name, Redirect: url, Ticket: ticket, Ref: "1-ab"}
}

// TestNoRedirect: a client that cannot follow a redirect is at home all the same, through the broker that it
// knows, until it signs out.
func TestNoRedirect(t *testing.T) {
	covers.Req(t, "RD8")
	t.Parallel()
	uk, us := twoClusters(t)
	uk.SetLogins(&script{login: always(homeAt("us-home", us.url, "st1.a.b"))}) // the us does not take it: it wants the password
	var in api.LoginResponse
	if r := uk.call(t, "POST", pathLogin, stuckBody, nil, &in); r.StatusCode != 200 || in.Result != api.ResultOffers || len(in.Offers) != 2 || in.Broker.Cluster != "us" {
		t.Fatalf("%d %+v", r.StatusCode, in)
	}
	if _, direct, ok := api.OfHome(in.Token); !ok || direct == "" {
		t.Fatalf("token %q", in.Token)
	}
	var list api.OffersResponse
	if r := uk.call(t, "GET", "/api/v1/offers", "", bearer(in.Token), &list); r.StatusCode != 200 || len(list.Offers) != 2 || list.Broker.Cluster != "us" {
		t.Errorf("%d %+v", r.StatusCode, list)
	}
	var c api.ConnectResponse
	header := bearer(in.Token)
	header["Idempotency-Key"] = "one"
	if r := uk.call(t, "POST", "/api/v1/connect", `{"offer":"`+in.Offers[0].ID+`"}`, header, &c); r.StatusCode != 200 || c.Desktop == "" || c.Broker.Cluster != "us" {
		t.Errorf("%d %+v", r.StatusCode, c)
	}
	var no api.ErrorResponse
	if r := uk.call(t, "POST", "/api/v1/connect", `{"offer":`, bearer(in.Token), &no); r.StatusCode != 400 || no.Reason.Code != "bad-request" {
		t.Errorf("%d %+v", r.StatusCode, no)
	}
	if r := uk.call(t, "POST", "/api/v1/logout", "", bearer(in.Token), nil); r.StatusCode != 204 {
		t.Errorf("status %d", r.StatusCode)
	}
	if r := uk.call(t, "GET", "/api/v1/offers", "", bearer(in.Token), &no); r.StatusCode != 401 || no.Reason.Code != broker.CodeSessionExpired {
		t.Errorf("%d %+v", r.StatusCode, no)
	}
}

// TestNoRedirectWaits: a queue before the redirect, and one at home, are waited for at the broker that the
// client knows.
func TestNoRedirectWaits(t *testing.T) {
	t.Parallel()
	uk, us := twoClusters(t)
	there := &script{login: always(queued(5, time.Second)), polls: []broker.LoginResult{queued(2, 3*time.Second), {Token: "sp1.2.x"}}}
	us.SetLogins(there)
	uk.SetLogins(&script{login: always(queued(7, time.Second)), polls: []broker.LoginResult{homeAt("us-home", us.url, "st1.a.b")}})
	var res api.LoginResponse
	if r := uk.call(t, "POST", pathLogin, stuckBody, nil, &res); r.StatusCode != 202 || res.Poll != pathLogin+"/"+waitingID+"?no_redirect=1" {
		t.Fatalf("%d %+v", r.StatusCode, res)
	}
	want := pathLogin + "/" + api.AtHome("us-home", waitingID)
	for i, position := range []int{5, 2} {
		poll := res.Poll
		res = api.LoginResponse{}
		r := uk.call(t, "GET", poll, "", nil, &res)
		if r.StatusCode != 202 || res.Poll != want || res.Position != position || res.Broker.Cluster != "us" || r.Header.Get("Retry-After") != []string{"1", "3"}[i] {
			t.Fatalf("%d %v %+v", r.StatusCode, r.Header, res)
		}
	}
	if q := there.last(); q.Ticket != "st1.a.b" || q.User != "" || q.ClientName != "" && q.ClientName != "tc 1" {
		t.Errorf("the us was asked for %+v", q)
	}
	if r := uk.call(t, "GET", want, "", nil, &res); r.StatusCode != 200 || res.Token != api.AtHome("us-home", "sp1.2.x") {
		t.Errorf("%d %+v", r.StatusCode, res)
	}
}

// TestRedirectAllTheSame: where this broker cannot or need not go for the client, the client has the redirect.
func TestRedirectAllTheSame(t *testing.T) {
	t.Parallel()
	uk, us := twoClusters(t)
	us.SetLogins(&script{login: always(homeAt("de", "https://cb.de.company.com", "st1.c.d"))})
	for name, c := range map[string]struct {
		body string
		res  broker.LoginResult
		want string
	}{
		"it can follow":               {annaBody, homeAt("us-home", us.url, "st1.a.b"), us.url},
		"no ticket":                   {stuckBody, homeAt("us-home", us.url, ""), us.url},
		"a plain destination":         {stuckBody, homeAt("old", "https://old.company.com", "st1.a.b"), "https://old.company.com"},
		"no destination of the setup": {stuckBody, homeAt("elsewhere", "https://elsewhere.example", "st1.a.b"), "https://elsewhere.example"},
		"further on":                  {stuckBody, homeAt("us-home", us.url, "st1.a.b"), "https://cb.de.company.com"},
	} {
		uk.SetLogins(&script{login: always(c.res)})
		var res api.LoginResponse
		if r := uk.call(t, "POST", pathLogin, c.body, nil, &res); r.StatusCode != 200 || res.Result != api.ResultRedirect || res.Redirect.URL != c.want {
			t.Errorf("%s: %d %+v", name, r.StatusCode, res)
		}
	}
}

// TestHomeIsAway: what cannot be passed on is refused with the reason, and a token of nobody's is none.
func TestHomeIsAway(t *testing.T) {
	t.Parallel()
	uk, us := twoClusters(t)
	uk.SetLogins(&script{login: always(homeAt("us-home", us.url, "st1.a.b"))})
	us.SetLogins(&script{login: always(broker.LoginResult{Token: "sp1.2.x"})})
	var in api.LoginResponse
	uk.call(t, "POST", pathLogin, stuckBody, nil, &in)
	us.stop()
	var no api.ErrorResponse
	for name, c := range map[string]struct {
		token  string
		status int
		code   string
	}{
		"the home":                       {in.Token, 403, broker.CodeHomeUnavailable},
		"a destination that has gone":    {api.AtHome("de", "sp1.2.x"), 403, broker.CodeHomeUnavailable},
		"one that is plain":              {api.AtHome("old", "sp1.2.x"), 403, broker.CodeHomeUnavailable},
		"no name":                        {"home1.!.sp1.2.x", 401, broker.CodeSessionExpired},
		"a path in the place of a token": {"home1.dXMtaG9tZQ.../../x", 401, broker.CodeSessionExpired},
	} {
		if r := uk.call(t, "GET", "/api/v1/offers", "", bearer(c.token), &no); r.StatusCode != c.status || no.Reason.Code != c.code {
			t.Errorf("%s: %d %+v", name, r.StatusCode, no)
		}
	}
	var res api.LoginResponse
	r := uk.call(t, "POST", pathLogin, stuckBody, nil, &res)
	if r.StatusCode != http.StatusForbidden || res.Reason == nil || res.Reason.Code != broker.CodeHomeUnavailable || res.Reason.Ref != "1-ab" || res.Broker.Cluster != "uk" {
		t.Errorf("%d %+v", r.StatusCode, res)
	}
	if r := uk.call(t, "GET", pathLogin+"/"+api.AtHome("us-home", waitingID), "", nil, &res); r.StatusCode != http.StatusForbidden || res.Reason.Code != broker.CodeHomeUnavailable {
		t.Errorf("%d %+v", r.StatusCode, res)
	}
}

func FuzzOfHome(f *testing.F) {
	for _, seed := range []string{"", "home1.", "home1..", api.AtHome("us", "sp1.1.x"), "home1.dXM.a/b", "home1.dX M.a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, secret, ok := api.OfHome(text)
		if !ok {
			return
		}
		if strings.ContainsAny(secret, "/?#% \r\n\x00") {
			t.Errorf("%q is no secret", secret)
		}
		if again, same, ok := api.OfHome(api.AtHome(name, secret)); !ok || again != name || same != secret {
			t.Errorf("%q, %q, %v from %q, %q", again, same, ok, name, secret)
		}
	})
}
