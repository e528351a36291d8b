package api_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/agent"
	"switchpoint/broker/api"
	"switchpoint/internal/covers"
)

// caFile is the certificate of the site, for a client.
func (s *site) caFile() string {
	return filepath.Join(s.certDir, "cert.pem")
}

// desktop is a machine whose agent runs.
type desktop struct {
	mu       sync.Mutex
	sessions []agent.Session
}

func (d *desktop) set(users ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions = nil
	for _, u := range users {
		d.sessions = append(d.sessions, agent.Session{User: u, State: agent.Active})
	}
}

func (d *desktop) list(context.Context) ([]agent.Session, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.sessions), nil
}

// startAgent runs an agent that waits no longer than 20 ms.
func startAgent(t *testing.T, c agent.Config, d *desktop) (stop func()) {
	t.Helper()
	a, err := agent.New(agent.Options{Config: c, Version: "1.0", Sessions: d.list, Wait: func(ctx context.Context, wait time.Duration) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(wait, 20*time.Millisecond)):
			return nil
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// TestAgent is the life of an agent: over TLS it enrols, reports, frees the desktop of its user who has
// left, and goes on with another broker of the cluster when its own is gone.
func TestAgent(t *testing.T) {
	covers.Req(t, "BR1", "BR5")
	t.Parallel()
	db := filepath.Join(t.TempDir(), "broker.db")
	a, b := start(t, config{db: db, id: 1}), start(t, config{db: db, id: 2})
	setup := localSetup(t)
	setup.Desktops[2].State = "maintenance" // one is left
	a.fill(t, setup)
	token, err := a.broker.NewEnrolToken(t.Context(), "", "floor", time.Hour, "test")
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "token")
	ca := filepath.Join(t.TempDir(), "both.pem")
	both := slices.Concat(readFile(t, a.caFile()), readFile(t, b.caFile()))
	for path, text := range map[string][]byte{secret: []byte(token + "\n"), ca: both} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var d desktop
	startAgent(t, agent.Config{Brokers: []string{a.url, b.url}, CA: ca, Desktop: "FLOOR-1", Token: "file:" + secret, StateDir: t.TempDir()}, &d)
	status := func() broker.AgentStatus {
		list, err := b.broker.Agents(t.Context(), "floor-1")
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return broker.AgentStatus{}
		}
		return list[0]
	}
	waitFor(t, "the agent reports", func() bool { return status().Fresh })
	if s := status(); s.Version != "1.0" || s.Address != "127.0.0.1" || s.Pool != "floor" {
		t.Errorf("%+v", s)
	}
	var in api.LoginResponse
	a.call(t, "POST", "/api/v1/login", `{"user":"bert","password":"p"}`, nil, &in)
	var c api.ConnectResponse
	if res := a.call(t, "POST", "/api/v1/connect", `{"offer":"`+in.Offers[0].ID+`"}`, bearer(in.Token), &c); res.StatusCode != 200 || c.Desktop != "floor-1" {
		t.Fatalf("%d %+v", res.StatusCode, c)
	}
	d.set(`UK\Bert`)
	waitFor(t, "his session is seen", func() bool { return len(status().Sessions) == 1 })
	running := func() bool {
		var list api.OffersResponse
		b.call(t, "GET", "/api/v1/offers", "", bearer(in.Token), &list)
		return list.Offers[0].State == broker.OfferRunning
	}
	if !running() {
		t.Error("his desktop is not offered as running")
	}
	a.stop() // the agent's broker, as likely as not
	d.set()
	waitFor(t, "the desktop is free again, through the other broker", func() bool { return !running() })
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestAgentRefused: what is wrong gets its status and code.
func TestAgentRefused(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	s.fill(t, localSetup(t))
	key := broker.AgentKey{Desktop: "0190a5b0-0000-7000-8000-000000000000"}.String()
	session := `{"user":"anna","state":"active"}`
	for name, c := range map[string]struct {
		path, key, body string
		status          int
		code            string
	}{
		"no token":          {agent.PathEnrol, "", `{}`, 401, broker.CodeEnrolRefused},
		"a bad token":       {agent.PathEnrol, "", `{"token":"spe1.x","desktop":"floor-1"}`, 401, broker.CodeEnrolRefused},
		"no JSON":           {agent.PathEnrol, "", `token`, 400, "bad-request"},
		"no key":            {agent.PathHeartbeat, "", `{}`, 401, broker.CodeAgentUnknown},
		"half a key":        {agent.PathHeartbeat, key[:40], `{}`, 401, broker.CodeAgentUnknown},
		"a key of nobody":   {agent.PathHeartbeat, key, `{"load":0.5,"sessions":[],"of_a_later_version":1}`, 401, broker.CodeAgentUnknown},
		"a body too large":  {agent.PathHeartbeat, key, `{"version":"` + strings.Repeat("x", agent.MaxBody) + `"}`, 413, "too-large"},
		"too many sessions": {agent.PathHeartbeat, key, `{"sessions":[` + strings.Repeat(session+",", agent.MaxSessions) + session + `]}`, 400, "bad-request"},
		"an unknown state":  {agent.PathHeartbeat, key, `{"sessions":[{"user":"anna","state":"asleep"}]}`, 400, "bad-request"},
		"a load below zero": {agent.PathHeartbeat, key, `{"load":-1}`, 400, "bad-request"},
		"another path":      {"/agent/v2/heartbeat", key, `{}`, 404, "not-found"},
	} {
		var header map[string]string
		if c.key != "" {
			header = bearer(c.key)
		}
		var no api.ErrorResponse
		if res := s.call(t, "POST", c.path, c.body, header, &no); res.StatusCode != c.status || no.Reason.Code != c.code || no.Reason.Text == "" {
			t.Errorf("%s: %d %+v", name, res.StatusCode, no)
		}
	}
}

// TestAgentPage sends the requests of docs/agent.md and compares the answers with those beside them.
func TestAgentPage(t *testing.T) {
	covers.Req(t, "BR5")
	t.Parallel()
	s := start(t, config{})
	setup := localSetup(t)
	setup.Desktops[1].Name = "uk-floor-1"
	s.fill(t, setup)
	token, err := s.broker.NewEnrolToken(t.Context(), "uk-floor-1", "", 0, "test")
	if err != nil {
		t.Fatal(err)
	}
	page := string(readFile(t, "../../docs/agent.md"))
	fill := strings.NewReplacer("spe1.TOKEN", token)
	sent := 0
	for part := range strings.SplitSeq(page, "```http\n") {
		request, rest, ok := strings.Cut(part, "\n```\n")
		if sent++; sent == 1 || !ok { // what stands before the first
			continue
		}
		_, answer, _ := strings.Cut(rest, "```json\n")
		answer, _, _ = strings.Cut(answer, "\n```")
		head, body, _ := strings.Cut(fill.Replace(request), "\n\n")
		lines := strings.Split(head, "\n")
		method, path, _ := strings.Cut(lines[0], " ")
		header := make(map[string]string)
		for _, l := range lines[1:] {
			k, v, _ := strings.Cut(l, ": ")
			header[k] = v
		}
		var want, got map[string]any
		if err := json.Unmarshal([]byte(answer), &want); err != nil {
			t.Fatalf("%s: %v", answer, err)
		}
		if res := s.call(t, method, path, body, header, &got); res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %v", request, res.StatusCode, got)
		}
		if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) || got["interval"] != want["interval"] || want["desktop"] != got["desktop"] {
			t.Errorf("%s is answered %v, and documented as %v", request, got, want)
		}
		if key, ok := got["key"].(string); ok {
			fill = strings.NewReplacer("spa1.DESKTOP.SECRET", key)
		}
	}
	if sent != 3 {
		t.Errorf("the page has %d requests", sent-1)
	}
	if list, err := s.broker.Agents(t.Context(), ""); err != nil || len(list) != 1 || list[0].Sessions[0].User != `CORP\anna` || list[0].Address != "10.2.1.1" {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestConnectWaits: a connect to a desktop that is off is answered with 202 and where to ask again.
func TestConnectWaits(t *testing.T) {
	covers.Req(t, "BR6")
	t.Parallel()
	s := start(t, config{})
	setup := localSetup(t)
	setup.Powers = []broker.Power{{Name: "wake", Kind: broker.PowerWOL, Broadcast: "127.0.0.1:9"}}
	setup.DesktopPools[0].Check, setup.DesktopPools[0].Power = "dial", "wake"
	setup.Desktops[0].Host, setup.Desktops[0].Port = "127.0.0.1", 1
	s.fill(t, setup)
	var in api.LoginResponse
	s.call(t, "POST", "/api/v1/login", annaBody, nil, &in)
	header := bearer(in.Token)
	header["Idempotency-Key"] = "one"
	for range 2 {
		var c api.ConnectResponse
		res := s.call(t, "POST", "/api/v1/connect", `{"offer":"`+in.Offers[0].ID+`"}`, header, &c)
		if res.StatusCode != 202 || c.Result != api.ResultWaiting || c.Poll != "/api/v1/connect" || c.Reason == nil || c.Reason.RetryAfter != 2 ||
			res.Header.Get("Retry-After") != "2" || c.Broker.Name == "" || c.Desktop != "" {
			t.Fatalf("%d %+v", res.StatusCode, c)
		}
	}
}
