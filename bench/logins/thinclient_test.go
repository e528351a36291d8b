package logins

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/broker/api"
)

// fakeBroker answers as a broker does, over TLS when there is a certificate; the first of a client's
// questions may be answered with waiting.
type fakeBroker struct {
	waits  int // answers "waiting" to so many first polls
	status int // in place of all other answers to a login
	code   string

	mu      sync.Mutex
	sources map[string]bool // addresses of clients
	keys    map[string]bool
	steps   map[string]int
	resumed int // requests on resumed TLS connections
	conns   map[string]bool
}

func (f *fakeBroker) serve(t testing.TB) (addr, ca string) {
	t.Helper()
	f.sources, f.keys, f.steps, f.conns = make(map[string]bool), make(map[string]bool), make(map[string]int), make(map[string]bool)
	dir := t.TempDir()
	a, err := newAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Issue("broker", steered); err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := a.Files("broker")
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(f.answer))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), a.CAFile()
}

func (f *fakeBroker) answer(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	step := r.Method + " " + r.URL.Path
	f.steps[step]++
	f.sources[r.RemoteAddr[:strings.LastIndexByte(r.RemoteAddr, ':')]] = true
	f.conns[r.RemoteAddr] = true
	if r.TLS.DidResume {
		f.resumed++
	}
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		if f.keys[key] {
			f.status = http.StatusConflict
		}
		f.keys[key] = true
	}
	waiting := strings.HasPrefix(step, "POST /api/v1/login") && f.waits > 0 || strings.HasPrefix(step, "GET /api/v1/login/") && f.steps[step] < f.waits
	f.mu.Unlock()
	switch {
	case waiting:
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(api.LoginResponse{Result: api.ResultWaiting, Poll: "/api/v1/login/" + strings.TrimPrefix(r.RemoteAddr, "127."), Reason: &api.Reason{}})
	case strings.Contains(step, "/login") && f.status != 0:
		w.WriteHeader(f.status)
		_ = json.NewEncoder(w).Encode(api.LoginResponse{Result: api.ResultRefused, Reason: &api.Reason{Code: f.code}})
	case strings.Contains(step, "/login"):
		var body api.LoginRequest
		if r.Method == http.MethodPost && (json.NewDecoder(r.Body).Decode(&body) != nil || body.Password != strings.Replace(body.User, "user", "Passw0rd-", 1)) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(api.LoginResponse{Result: api.ResultOffers, Token: "tok", Offers: []api.Offer{{ID: "1"}}})
	case r.Header.Get("Authorization") != "Bearer tok":
		w.WriteHeader(http.StatusUnauthorized)
	case step == "GET /api/v1/offers":
		_ = json.NewEncoder(w).Encode(api.OffersResponse{Offers: []api.Offer{{ID: "2"}}})
	case step == "POST /api/v1/connect":
		var body api.ConnectRequest
		_ = json.NewDecoder(r.Body).Decode(&body)
		_ = json.NewEncoder(w).Encode(api.ConnectResponse{Desktop: "d", Host: "h-" + body.Offer})
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// play runs thin clients against it.
func (f *fakeBroker) play(t *testing.T, o task) *Result {
	t.Helper()
	addr, ca := f.serve(t)
	o.Role, o.Users, o.Name, o.CA, o.TLS, o.Targets = roleClients, 5, steered, ca, true, []string{addr}
	if o.Rate == 0 && o.Clients == 0 {
		o.Rate, o.Count = 200, 20
	}
	r, err := runClients(t.Context(), o, func(string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestThinClients(t *testing.T) {
	f := &fakeBroker{}
	r := f.play(t, task{Journey: true, Key: true})
	if r.OK != 20 || r.Failed != 0 || r.Journey == nil || r.Journey.P50 < r.Login.P50 {
		t.Errorf("%+v", r)
	}
	if len(f.sources) != 5 || !f.sources["127.64.0.1"] || len(f.keys) != 40 {
		t.Errorf("clients %v, %d keys", f.sources, len(f.keys))
	}
	if len(f.conns) != 20 || f.resumed > 0 {
		t.Errorf("%d connections for 20 logins, %d requests on resumed ones", len(f.conns), f.resumed)
	}
	for step, want := range map[string]int{"POST /api/v1/login": 20, "GET /api/v1/offers": 20, "POST /api/v1/connect": 20, "POST /api/v1/logout": 20} {
		if f.steps[step] != want {
			t.Errorf("%s: %d, want %d", step, f.steps[step], want)
		}
	}
	f = &fakeBroker{}
	r = f.play(t, task{Journey: true, Stay: true, Kept: 3})
	if r.OK != 20 || len(f.sources) != 3 || f.steps["POST /api/v1/logout"]+f.steps["GET /api/v1/offers"] != 0 {
		t.Errorf("%+v, %v", r, f.steps)
	}
}

// TestThinClientsWait: who is told to wait asks until there is an outcome.
func TestThinClientsWait(t *testing.T) {
	f := &fakeBroker{waits: 3}
	if r := f.play(t, task{}); r.OK != 20 || r.Waited != 20 || r.Broken != 0 {
		t.Errorf("%+v", r)
	}
}

func TestThinClientsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		f          *fakeBroker
		busy, fail int
	}{
		"busy":    {&fakeBroker{status: http.StatusServiceUnavailable, code: "busy"}, 20, 0},
		"stopped": {&fakeBroker{status: http.StatusServiceUnavailable, code: "stopped"}, 0, 20},
		"wrong":   {&fakeBroker{status: http.StatusUnauthorized, code: "sign-in-failed"}, 0, 20},
	} {
		if r := c.f.play(t, task{Busy: true}); r.OK != 0 || r.Busy != c.busy || r.Failed != c.fail {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := (&fakeBroker{status: http.StatusServiceUnavailable, code: "busy"}).play(t, task{}); r.Failed != 20 || r.Errors["login: refused (503, busy)"] != 20 {
		t.Errorf("busy where that is no answer: %+v", r)
	}
}

// TestThinClientsTrust: a certificate of somebody else is refused.
func TestThinClientsTrust(t *testing.T) {
	addr, _ := (&fakeBroker{}).serve(t)
	dir := t.TempDir()
	if _, err := newAuthority(dir); err != nil {
		t.Fatal(err)
	}
	o := task{Users: 1, Name: steered, CA: filepath.Join(dir, "ca.pem"), TLS: true, Targets: []string{addr}, Rate: 100, Count: 3}
	r, err := runClients(t.Context(), o, func(string) error { return nil })
	if err != nil || r.Failed != 3 || r.Errors["TLS: tls: failed to verify certificate: x509: certificate signed by unknown authority"]+len(r.Errors) < 1 {
		t.Errorf("%+v, %v", r, err)
	}
	o.Targets = []string{"127.0.0.1:1"}
	if r, err := runClients(t.Context(), o, func(string) error { return nil }); err != nil || r.Errors["connect: connect: connection refused"] != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestPerform: a process of the run, from its task to its result.
func TestPerform(t *testing.T) {
	addr, ca := (&fakeBroker{}).serve(t)
	text, err := json.Marshal(task{Role: roleClients, Users: 5, Name: steered, CA: ca, TLS: true, Targets: []string{addr}, Rate: 200, Count: 10})
	if err != nil {
		t.Fatal(err)
	}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	wg.Go(func() { err = Perform(ctx, string(text), in, &lineCloser{&printed, out}) })
	if _, err := fmt.Fprintln(out, "go"); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	_ = in.Close()
	lines := strings.Split(strings.TrimSpace(printed.String()), "\n")
	var r Result
	if err != nil || len(lines) != 2 || lines[0] != `{"ready":true}` || json.Unmarshal([]byte(lines[1]), &r) != nil || r.OK != 10 {
		t.Errorf("%q, %v", lines, err)
	}
	for _, bad := range []string{"{", `{"role":"quux"}`} {
		if err := Perform(ctx, bad, strings.NewReader(""), &printed); err == nil {
			t.Errorf("the task %s is taken", bad)
		}
	}
}

// lineCloser ends the process's input when its result is written.
type lineCloser struct {
	to    *strings.Builder
	input *os.File
}

func (l *lineCloser) Write(b []byte) (int, error) {
	if strings.Contains(string(b), `"offered"`) {
		defer l.input.Close()
	}
	return l.to.Write(b)
}

// BenchmarkThinClient is one login on a connection of its own: what the client costs, server included.
func BenchmarkThinClient(b *testing.B) {
	addr, ca := (&fakeBroker{}).serve(b)
	c, err := newClients(task{Users: 5, Name: steered, CA: ca, TLS: true, Targets: []string{addr}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		at := time.Now()
		v := visit{n: n, due: at, sample: &sample{}, elapsed: func() time.Duration { return time.Since(at) }}
		if err := c.visit(b.Context(), v); err != nil {
			b.Fatal(err)
		}
	}
}
