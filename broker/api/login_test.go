package api_test

import (
	"cmp"
	"context"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/api"
	"switchpoint/internal/covers"
)

// script answers logins in the place of a broker: what a busy cluster, an expired password and another
// cluster lead to.
type script struct {
	mu    sync.Mutex
	login func(broker.LoginRequest) broker.LoginResult
	polls []broker.LoginResult // in order; the last one repeats
	asked []string             // ids
	seen  []broker.LoginRequest
}

func (c *script) Login(_ context.Context, req broker.LoginRequest) broker.LoginResult {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, req)
	return c.login(req)
}

func (c *script) LoginOutcome(_ context.Context, id string) broker.LoginResult {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, id)
	return c.polls[min(len(c.asked), len(c.polls))-1]
}

func (c *script) last() broker.LoginRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[len(c.seen)-1]
}

// always gives the same outcome.
func always(r broker.LoginResult) func(broker.LoginRequest) broker.LoginResult {
	return func(broker.LoginRequest) broker.LoginResult { return r }
}

const waitingID = "sw1.1.c29tZSBzZWNyZXQgdGhhdCBub2JvZHkgZ3Vlc3Nlcw"

func queued(position int, after time.Duration) broker.LoginResult {
	return broker.LoginResult{Waiting: &broker.Waiting{ID: waitingID, Position: position, RetryAfter: after}}
}

func prompted(code string) broker.LoginResult {
	return broker.LoginResult{Prompt: &broker.Prompt{Kind: broker.PromptNewPassword, Text: "Please choose a new one.", Code: code}}
}

// TestSteps: each outcome of a login step has its status, its fields and no others.
func TestSteps(t *testing.T) {
	covers.Req(t, "LG5")
	t.Parallel()
	for name, c := range map[string]struct {
		res    broker.LoginResult
		status int
		want   string
	}{
		"prompt":     {prompted(broker.CodePasswordExpired), 200, `{"result":"prompt","prompt":{"kind":"new-password","text":"Please choose a new one.","code":"password-expired"},`},
		"waiting":    {queued(12, 2500*time.Millisecond), 202, `{"result":"waiting","poll":"/api/v1/login/` + waitingID + `","position":12,"reason":{"code":"queued","text":"Many people are signing in right now. Your place in the queue is kept.","retry_after":3},`},
		"next":       {queued(0, 0), 202, `{"result":"waiting","poll":"/api/v1/login/` + waitingID + `","reason":{"code":"queued","text":"Many people are signing in right now. Your place in the queue is kept.","retry_after":1},`},
		"redirect":   {broker.LoginResult{Redirect: "https://cb.us.company.com"}, 200, `{"result":"redirect","redirect":{"url":"https://cb.us.company.com"},`},
		"ticket":     {broker.LoginResult{Redirect: "https://cb.us.company.com", Ticket: "st1.a.b"}, 200, `{"result":"redirect","redirect":{"url":"https://cb.us.company.com","ticket":"st1.a.b"},`},
		"offers":     {broker.LoginResult{Token: "sp1.1.x"}, 200, `{"result":"offers","token":"sp1.1.x",`},
		"refused":    {broker.LoginResult{Refusal: &broker.Refusal{Code: broker.CodeBusy, Text: "Later.", RetryAfter: 90 * time.Second, Ref: "1-ab", Position: 4000}}, 503, `{"result":"refused","position":4000,"reason":{"code":"busy","text":"Later.","retry_after":90,"ref":"1-ab"},`},
		"no desktop": {broker.LoginResult{Refusal: &broker.Refusal{Code: broker.CodeNoDesktop, Text: "None."}}, 403, `{"result":"refused","reason":{"code":"no-desktop","text":"None."},`},
	} {
		status, out := api.LoginAnswer(c.res)
		text, err := json.Marshal(out)
		if err != nil || status != c.status || !strings.HasPrefix(string(text), c.want+`"broker":`) {
			t.Errorf("%s: %d %s, want %d %s", name, status, text, c.status, c.want)
		}
	}
}

// TestQueuedLogin waits over HTTP and gets its session from the place that it was told.
func TestQueuedLogin(t *testing.T) {
	t.Parallel()
	s := start(t, config{plain: true})
	c := &script{login: always(queued(7, 2*time.Second)), polls: []broker.LoginResult{queued(3, time.Second), {Token: "sp1.1.x"}}}
	s.SetLogins(c)
	var res api.LoginResponse
	r := s.call(t, "POST", "/api/v1/login", annaBody, map[string]string{"Idempotency-Key": "k"}, &res)
	if r.StatusCode != 202 || r.Header.Get("Retry-After") != "2" || res.Position != 7 || res.Broker.Name != "broker-1" || c.last().Key != "k" {
		t.Fatalf("%d %v %+v", r.StatusCode, r.Header, res)
	}
	for i, want := range []int{202, 200} {
		poll := res.Poll
		if i > 0 {
			poll = "/api/v1/login/" + waitingID
		}
		res = api.LoginResponse{}
		if r := s.call(t, "GET", poll, "", nil, &res); r.StatusCode != want || r.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("poll %d: %d %+v", i, r.StatusCode, res)
		}
	}
	if res.Token != "sp1.1.x" || c.asked[0] != waitingID {
		t.Errorf("%+v, asked %v", res, c.asked)
	}
}

// TestPollAnyBroker: a real login waits for a slow directory; the broker that has it and another one of
// the cluster both tell how it ended, and again when the answer was lost.
func TestPollAnyBroker(t *testing.T) {
	covers.Req(t, "LG1")
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	db := filepath.Join(t.TempDir(), "broker.db")
	a := start(t, config{db: db, id: 1, config: broker.Config{AnswerWithin: 50 * time.Millisecond}})
	b := start(t, config{db: db, id: 2, config: broker.Config{AnswerWithin: 50 * time.Millisecond}, askWaiting: func(_ context.Context, name string, q broker.WaitingQuestion) (broker.WaitingAnswer, error) {
		if name != "broker-1" {
			t.Errorf("%s is asked", name)
		}
		return a.broker.AnswerWaiting(q)
	}})
	setup := localSetup(t)
	setup.Directories = []broker.Directory{directoryAt(t, "silent", silent.Addr().String())}
	a.fill(t, setup)
	var first api.LoginResponse
	res := a.call(t, "POST", "/api/v1/login", annaBody, map[string]string{"Idempotency-Key": "k"}, &first)
	if res.StatusCode != 202 || first.Result != api.ResultWaiting || res.Header.Get("Retry-After") == "" {
		t.Fatalf("%d %+v", res.StatusCode, first)
	}
	ended := func(s *site) (out api.LoginResponse) {
		waitFor(t, "the login ends", func() bool {
			out = api.LoginResponse{}
			s.call(t, "GET", first.Poll, "", nil, &out)
			return out.Result != api.ResultWaiting && (out.Reason == nil || out.Reason.Code != broker.CodeLoginUnknown) // b learns of a within 2 s
		})
		return out
	}
	// The directory is silent, but anna is a local user: she is signed in.
	other, own := ended(b), ended(a)
	if own.Result != api.ResultOffers || own.Token == "" || other.Token != own.Token || other.Broker.Name != "broker-2" {
		t.Errorf("%+v, through the other %+v", own, other)
	}
	if res := b.call(t, "GET", "/api/v1/offers", "", bearer(own.Token), nil); res.StatusCode != 200 {
		t.Errorf("the session: %d", res.StatusCode)
	}
}

// TestUnknownPoll: an id that no broker knows, or that is none, is refused as a login step.
func TestUnknownPoll(t *testing.T) {
	t.Parallel()
	s := start(t, config{plain: true})
	for _, id := range []string{waitingID, "x", "sw1.1.", strings.Repeat("a", 4000), "%00", "..%2f"} {
		var res api.LoginResponse
		r := s.call(t, "GET", "/api/v1/login/"+id, "", nil, &res)
		if r.StatusCode != 404 || res.Result != api.ResultRefused || res.Reason.Code != broker.CodeLoginUnknown || res.Broker.Name == "" {
			t.Errorf("%.20s: %d %+v", id, r.StatusCode, res)
		}
	}
}

// TestOneProof: a login names its user by password or by ticket, never by both.
func TestOneProof(t *testing.T) {
	t.Parallel()
	s := start(t, config{plain: true})
	c := &script{login: always(broker.LoginResult{Token: "sp1.1.x"})}
	s.SetLogins(c)
	for _, body := range []string{
		`{}`, `{"client":{"name":"tc"}}`, `{"directory":"corp"}`, `{"new_password":"n"}`, `{"user":"anna","ticket":"st1.a.b"}`,
		`{"password":"p","ticket":"st1.a.b"}`, `{"new_password":"n","ticket":"st1.a.b"}`, `{"directory":"corp","ticket":"st1.a.b"}`,
	} {
		var no api.ErrorResponse
		if r := s.call(t, "POST", "/api/v1/login", body, nil, &no); r.StatusCode != 400 || no.Reason.Code != "bad-request" || len(c.seen) != 0 {
			t.Errorf("%s: %d %+v", body, r.StatusCode, no)
		}
	}
	for body, want := range map[string]broker.LoginRequest{
		`{"ticket":"st1.a.b"}`: {Ticket: "st1.a.b"},
		`{"user":"a","password":"p","new_password":"n","directory":"corp"}`: {User: "a", Password: "p", NewPassword: "n", Directory: "corp"},
		`{"user":"a"}`: {User: "a"},
		`{"user":"a","password":"p","client":{"name":"tc","version":"2"}}`:           {User: "a", Password: "p", ClientName: "tc 2"},
		`{"ticket":"st1.a.b","client":{"name":"tc"}}`:                                {Ticket: "st1.a.b", ClientName: "tc"},
		`{"user":"a","password":"p","new_password":"","directory":"","client":null}`: {User: "a", Password: "p"},
	} {
		if r := s.call(t, "POST", "/api/v1/login", body, nil, nil); r.StatusCode != 200 {
			t.Errorf("%s: %d", body, r.StatusCode)
			continue
		}
		got := c.last()
		if got.Arrived.IsZero() || got.ClientAddr != "127.0.0.1" {
			t.Errorf("%s: %+v", body, got)
		}
		got.Arrived, got.ClientAddr = time.Time{}, ""
		if got != want {
			t.Errorf("%s: %+v, want %+v", body, got, want)
		}
	}
}

// refusalCodes are the constants of broker/refusal.go.
func refusalCodes(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../refusal.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := make(map[string]bool)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			if strings.HasPrefix(name.Name, "Code") && i < len(spec.Values) {
				text, err := strconv.Unquote(spec.Values[i].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				codes[text] = true
			}
		}
		return true
	})
	if len(codes) < 20 {
		t.Fatalf("only %d codes were found", len(codes))
	}
	return slices.Sorted(maps.Keys(codes))
}

// TestEveryCodeHasAStatus: a refusal is never 500 because somebody forgot it here.
func TestEveryCodeHasAStatus(t *testing.T) {
	t.Parallel()
	for _, code := range refusalCodes(t) {
		status := cmp.Or(api.StatusOf(code), http.StatusInternalServerError)
		if (status == http.StatusInternalServerError) != (code == broker.CodeInternal) {
			t.Errorf("%s has status %d", code, status)
		}
	}
}
