package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/redirect"
)

// example is a request that was sent to a broker, and what it answered.
type example struct {
	op, name     string // of the operation, of the example
	body, answer string // JSON; what is different every time has been replaced
	status       int
}

// volatile are the parts of answers that are different every time, with what stands in the examples.
var volatile = []struct{ pattern, shown string }{
	{`sp1\.(\d+)\.[A-Za-z0-9_-]{43}`, "sp1.$1.c2Vzc2lvbi10b2tlbi1vZi10aGlzLWV4YW1wbGUtLi4"},
	{`sw1\.(\d+)\.[A-Za-z0-9_-]{43}`, "sw1.$1.aWQtb2YtYS13YWl0aW5nLWxvZ2luLWV4YW1wbGUtLi4"},
	{`st1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`, "st1.cGF5bG9hZA.c2lnbmF0dXJl"},
	{`spa1\.[A-Za-z0-9_.-]+`, "spa1.DESKTOP.SECRET"},
	{`spe1\.[A-Za-z0-9_-]+`, "spe1.TOKEN"},
	{`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`, "01997f3a-5b1c-7d2e-8f40-1a2b3c4d5e6f"},
	{`"ref": ?"(\d+)-[0-9A-Z]{10}"`, `"ref":"$1-K7M2X9Q4TZ"`},
}

func steady(text string) string {
	for _, v := range volatile {
		text = regexp.MustCompile(v.pattern).ReplaceAllString(text, v.shown)
	}
	return strings.TrimSpace(text)
}

// player sends examples and keeps them.
type player struct {
	t   *testing.T
	out map[string][]example
}

// play sends one and gives the answer as it came.
func (p *player) play(s *site, op, name, method, path, body string, header map[string]string) string {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := s.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if !*update {
		documented(p.t, method, path, res, text)
	}
	p.out[op] = append(p.out[op], example{op: op, name: name, body: steady(body), answer: steady(string(text)), status: res.StatusCode})
	return string(text)
}

func part(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(into); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}

// playExamples sends every example of the file to brokers: a user of the house, one whose home is
// elsewhere, one whose directory does not answer. The steps that need an expired password, a full queue
// and a second cluster come from a script.
func playExamples(t *testing.T) map[string][]example {
	t.Helper()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := start(t, config{plain: true, config: broker.Config{AnswerWithin: 2 * time.Second}})
	setup := localSetup(t)
	home := demoDirectory(t)
	home.Redirect = &redirect.Config{Attribute: "distinguishedName", Match: "contains", Rules: "OU=US > us"}
	setup.Directories = []broker.Directory{home, directoryAt(t, "silent", silent.Addr().String())}
	setup.Assignments[0].Directory = broker.LocalDirectory
	setup.Destinations = []redirect.Destination{{Name: "us", URL: "https://cb.us.company.com", Cluster: "us", Monitor: "alive"}}
	s.fill(t, setup)
	p := &player{t: t, out: make(map[string][]example)}
	p.logins(s)
	p.sessions(s)
	p.agents(s)
	p.steps(s)
	return p.out
}

const pathLogin = "/api/v1/login"

func (p *player) logins(s *site) {
	p.t.Helper()
	key := map[string]string{"Idempotency-Key": "6f1c0e1a"}
	p.play(s, "login", "redirect", "POST", pathLogin, `{"user":"alice","password":"alice-demo","directory":"corp","client":{"name":"tc-17","version":"4.2"}}`, nil)
	p.play(s, "login", "wrong password", "POST", pathLogin, `{"user":"anna","password":"wrong","directory":"local"}`, key)
	p.play(s, "login", "directory does not answer", "POST", pathLogin, `{"user":"carl","password":"p","directory":"silent"}`, nil)
	p.play(s, "login", "unknown field", "POST", pathLogin, `{"user":"anna","passwrd":"p"}`, nil)
	p.play(s, "login", "forged ticket", "POST", pathLogin, `{"ticket":"st1.cGF5bG9hZA.c2lnbmF0dXJl"}`, nil)
	p.play(s, "loginOutcome", "unknown", "GET", pathLogin+"/"+waitingID, "", nil)
}

func (p *player) sessions(s *site) {
	p.t.Helper()
	key := map[string]string{"Idempotency-Key": "0b7d43c2"}
	var in struct {
		Token  string                `json:"token"`
		Offers []struct{ ID string } `json:"offers"`
	}
	part(p.t, p.play(s, "login", "offers", "POST", pathLogin, `{"user":"anna","password":"p","directory":"local"}`, key), &in)
	p.play(s, "login", "key of somebody else", "POST", pathLogin, `{"user":"bert","password":"p","directory":"local"}`, key)
	auth := bearer(in.Token)
	p.play(s, "offers", "offers", "GET", "/api/v1/offers", "", auth)
	auth["Idempotency-Key"] = "9e5a7c11"
	p.play(s, "connect", "assigned desktop", "POST", "/api/v1/connect", `{"offer":"`+in.Offers[0].ID+`"}`, auth)
	p.play(s, "connect", "key of another desktop", "POST", "/api/v1/connect", `{"offer":"`+in.Offers[1].ID+`"}`, auth)
	delete(auth, "Idempotency-Key")
	p.play(s, "connect", "not offered", "POST", "/api/v1/connect", `{"offer":"x"}`, auth)
	p.play(s, "logout", "signed out", "POST", "/api/v1/logout", "", auth)
	p.play(s, "offers", "ended", "GET", "/api/v1/offers", "", auth)
}

func (p *player) agents(s *site) {
	p.t.Helper()
	token, err := s.broker.NewEnrolToken(p.t.Context(), "", "floor", time.Hour, "test")
	if err != nil {
		p.t.Fatal(err)
	}
	var enrolled struct{ Key string }
	part(p.t, p.play(s, "agentEnrol", "pool", "POST", "/agent/v1/enrol", `{"token":"`+token+`","desktop":"floor-1"}`, nil), &enrolled)
	p.play(s, "agentEnrol", "unknown token", "POST", "/agent/v1/enrol", `{"token":"spe1.TOKEN"}`, nil)
	report := `{"version":"1.4.0","address":"10.2.1.1","load":0.25,"sessions":[{"user":"CORP\\anna","state":"active"}]}`
	p.play(s, "agentHeartbeat", "report", "POST", "/agent/v1/heartbeat", report, bearer(enrolled.Key))
	p.play(s, "agentHeartbeat", "unknown key", "POST", "/agent/v1/heartbeat", report, bearer("spa1.x.y"))
}

// steps are those of a broker whose users come to it on a bad day.
func (p *player) steps(s *site) {
	p.t.Helper()
	expired := broker.LoginResult{Prompt: &broker.Prompt{Kind: broker.PromptNewPassword, Text: "Your password has expired. Please choose a new one.", Code: broker.CodePasswordExpired}}
	s.SetLogins(&script{login: always(expired)})
	p.play(s, "login", "expired password", "POST", pathLogin, `{"user":"dora","password":"old"}`, nil)
	s.SetLogins(&script{login: always(broker.LoginResult{Redirect: "https://cb.us.company.com", Ticket: "st1.cGF5bG9hZA.c2lnbmF0dXJl"})})
	p.play(s, "login", "redirect with ticket", "POST", pathLogin, `{"user":"alice","password":"alice-demo"}`, nil)
	s.SetLogins(&welcoming{Broker: s.broker})
	p.play(s, "login", "ticket", "POST", pathLogin, `{"ticket":"st1.good.ticket","client":{"name":"tc-17","version":"4.2"}}`, nil)
	s.SetLogins(&script{login: always(queued(12, 2*time.Second)), polls: []broker.LoginResult{queued(3, time.Second)}})
	p.play(s, "login", "queue", "POST", pathLogin, `{"user":"dora","password":"old","new_password":"new"}`, nil)
	p.play(s, "loginOutcome", "queue", "GET", pathLogin+"/"+waitingID, "", nil)
}
