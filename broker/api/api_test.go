package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/broker"
	"switchpoint/broker/api"
	"switchpoint/internal/covers"
)

// call makes one API request and decodes the answer into out.
func (s *site) call(t *testing.T, method, path, body string, header map[string]string, out any) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	documented(t, method, path, res, raw)
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			t.Fatalf("%s %s: %d %q: %v", method, path, res.StatusCode, raw, err)
		}
	}
	return res
}

func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

const annaBody = `{"user":"anna","password":"p","client":{"name":"tc","version":"1"}}`

// TestThinClient is the whole way of a thin client.
func TestThinClient(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	s.fill(t, localSetup(t))
	var in api.LoginResponse
	res := s.call(t, "POST", "/api/v1/login", annaBody, nil, &in)
	if res.StatusCode != 200 || in.Result != api.ResultOffers || len(in.Offers) != 2 || in.Reason != nil ||
		in.Broker != (api.Broker{Name: "broker-1", SiteID: 1, Cluster: "uk", Datacenter: "london"}) {
		t.Fatalf("%d %+v", res.StatusCode, in)
	}
	if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", res.Header)
	}
	var list api.OffersResponse
	if res := s.call(t, "GET", "/api/v1/offers", "", bearer(in.Token), &list); res.StatusCode != 200 || len(list.Offers) != 2 || list.Offers[0] != in.Offers[0] {
		t.Errorf("%d %+v", res.StatusCode, list)
	}
	var c api.ConnectResponse
	body := `{"offer":"` + in.Offers[0].ID + `"}`
	if res := s.call(t, "POST", "/api/v1/connect", body, bearer(in.Token), &c); res.StatusCode != 200 || c.Desktop != "anna-pc" || c.Host != "10.0.0.1" ||
		c.Port != 3389 || c.File.MIME != "application/x-rdp" || !strings.Contains(c.File.Text, "full address:s:10.0.0.1:3389") || c.Broker.Name != "broker-1" {
		t.Errorf("%d %+v", res.StatusCode, c)
	}
	if res := s.call(t, "POST", "/api/v1/logout", "", bearer(in.Token), nil); res.StatusCode != 204 {
		t.Errorf("logout: %d", res.StatusCode)
	}
	var no api.ErrorResponse
	if res := s.call(t, "GET", "/api/v1/offers", "", bearer(in.Token), &no); res.StatusCode != 401 || no.Reason.Code != broker.CodeSessionExpired {
		t.Errorf("after the logout: %d %+v", res.StatusCode, no)
	}
}

// TestRefusals: every wrong request gets its status, code and text, and never a stack trace.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	s.fill(t, localSetup(t))
	var in api.LoginResponse
	s.call(t, "POST", "/api/v1/login", annaBody, nil, &in)
	auth := bearer(in.Token)
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for _, c := range []struct {
		name, method, path, body string
		header                   map[string]string
		status                   int
		code                     string
	}{
		{"not JSON", "POST", "/api/v1/login", "user=anna", nil, 400, "bad-request"},
		{"empty body", "POST", "/api/v1/login", "", nil, 400, "bad-request"},
		{"half a body", "POST", "/api/v1/login", `{"user":`, nil, 400, "bad-request"},
		{"two values", "POST", "/api/v1/login", annaBody + annaBody, nil, 400, "bad-request"},
		{"unknown field", "POST", "/api/v1/login", `{"usr":"anna"}`, nil, 400, "bad-request"},
		{"wrong type", "POST", "/api/v1/login", `{"user":5}`, nil, 400, "bad-request"},
		{"a form", "POST", "/api/v1/login", "user=anna&password=p", form, 415, "unsupported-media-type"},
		{"too large", "POST", "/api/v1/login", `{"user":"` + strings.Repeat("a", 1<<20) + `"}`, nil, 413, "too-large"},
		{"bad key", "POST", "/api/v1/login", annaBody, map[string]string{"Idempotency-Key": strings.Repeat("k", 201)}, 400, "bad-request"},
		{"wrong method", "GET", "/api/v1/login", "", nil, 404, "not-found"},
		{"unknown path", "POST", "/api/v2/login", annaBody, nil, 404, "not-found"},
		{"no token", "GET", "/api/v1/offers", "", nil, 401, broker.CodeSessionExpired},
		{"bad token", "GET", "/api/v1/offers", "", bearer("sp1.1.x"), 401, broker.CodeSessionExpired},
		{"other scheme", "GET", "/api/v1/offers", "", map[string]string{"Authorization": "Basic " + in.Token}, 401, broker.CodeSessionExpired},
		{"bad offer", "POST", "/api/v1/connect", `{"offer":"x"}`, auth, 404, broker.CodeOfferUnknown},
		{"connect without JSON", "POST", "/api/v1/connect", "x", auth, 400, "bad-request"},
	} {
		var no api.ErrorResponse
		res := s.call(t, c.method, c.path, c.body, c.header, &no)
		if res.StatusCode != c.status || no.Reason.Code != c.code || no.Reason.Text == "" {
			t.Errorf("%s: %d %+v, want %d %s", c.name, res.StatusCode, no, c.status, c.code)
		}
	}
	var wrong api.LoginResponse
	res := s.call(t, "POST", "/api/v1/login", `{"user":"anna","password":"wrong-secret"}`, nil, &wrong)
	if res.StatusCode != 401 || wrong.Result != api.ResultRefused || wrong.Reason == nil || wrong.Reason.Code != broker.CodeSignInFailed || wrong.Reason.Ref == "" || wrong.Broker.Name == "" {
		t.Errorf("wrong password: %d %+v", res.StatusCode, wrong)
	}
}

// TestIdempotencyKey retries login and connect through two brokers of a cluster.
func TestIdempotencyKey(t *testing.T) {
	covers.Req(t, "LG4")
	t.Parallel()
	db := filepath.Join(t.TempDir(), "broker.db")
	a, b := start(t, config{db: db, id: 1}), start(t, config{db: db, id: 2})
	a.fill(t, localSetup(t))
	key := map[string]string{"Idempotency-Key": "first"}
	var one, two api.LoginResponse
	a.call(t, "POST", "/api/v1/login", annaBody, key, &one)
	for deadline := time.Now().Add(10 * time.Second); two.Token == "" && time.Now().Before(deadline); { // b learns of the setup within a second
		b.call(t, "POST", "/api/v1/login", annaBody, key, &two)
	}
	if one.Token == "" || two.Token != one.Token || two.Broker.Name != "broker-2" {
		t.Fatalf("one key, two outcomes: %+v and %+v", one, two)
	}
	var no api.LoginResponse
	if res := b.call(t, "POST", "/api/v1/login", `{"user":"bert","password":"p"}`, key, &no); res.StatusCode != 401 || no.Reason.Code != broker.CodeSignInFailed {
		t.Errorf("the key of anna for bert: %d %+v", res.StatusCode, no)
	}
	if res := b.call(t, "POST", "/api/v1/login", `{"user":"anna","password":"q"}`, key, &no); res.StatusCode != 401 {
		t.Errorf("the key with another password: %d %+v", res.StatusCode, no)
	}
	pooled := `{"offer":"` + one.Offers[1].ID + `"}`
	header := bearer(one.Token)
	header["Idempotency-Key"] = "second"
	var c, d api.ConnectResponse
	a.call(t, "POST", "/api/v1/connect", pooled, header, &c)
	b.call(t, "POST", "/api/v1/connect", pooled, header, &d)
	if c.Desktop == "" || c.Desktop != d.Desktop {
		t.Errorf("one key, two desktops: %+v and %+v", c, d)
	}
	var reused api.ErrorResponse
	if res := b.call(t, "POST", "/api/v1/connect", `{"offer":"`+one.Offers[0].ID+`"}`, header, &reused); res.StatusCode != 422 || reused.Reason.Code != broker.CodeKeyReused {
		t.Errorf("the key for another offer: %d %+v", res.StatusCode, reused)
	}
}

// TestClientAddress: the last untrusted hop counts, and what nobody vouches for does not (LG6).
func TestClientAddress(t *testing.T) {
	covers.Req(t, "LG6")
	t.Parallel()
	sites := make(map[string]*site)
	for _, c := range []struct {
		trusted []string
		header  string
		want    string
	}{
		{nil, "203.0.113.9", "127.0.0.1"},
		{[]string{"127.0.0.1"}, "", "127.0.0.1"},
		{[]string{"127.0.0.1"}, "203.0.113.9", "203.0.113.9"},
		{[]string{"127.0.0.1"}, "198.51.100.1, 203.0.113.9", "203.0.113.9"},
		{[]string{"127.0.0.0/8", "203.0.113.0/24"}, "198.51.100.1, 203.0.113.9", "198.51.100.1"},
		{[]string{"127.0.0.0/8"}, "198.51.100.1, unknown", "127.0.0.1"},
		{[]string{"127.0.0.0/8"}, "2001:db8::7", "2001:db8::7"},
		{[]string{"127.0.0.0/8"}, "::ffff:203.0.113.9", "203.0.113.9"},
		{[]string{"127.0.0.0/8"}, "203.0.113.9:51234", "203.0.113.9"},
		{[]string{"127.0.0.0/8"}, "[2001:db8::7]:443", "2001:db8::7"},
		// What a client writes itself stands before what the balancer adds.
		{[]string{"127.0.0.0/8"}, "127.0.0.1, 203.0.113.9", "203.0.113.9"},
		{[]string{"127.0.0.0/8"}, "127.0.0.1,127.0.0.2,203.0.113.9", "203.0.113.9"},
		{[]string{"127.0.0.0/8"}, "198.51.100.1, , 203.0.113.9", "203.0.113.9"},
		{[]string{"127.0.0.0/8"}, "198.51.100.1, ", "127.0.0.1"},
		{[]string{"127.0.0.0/8"}, "203.0.113.9, localhost", "127.0.0.1"},
		{[]string{"127.0.0.0/8"}, strings.Repeat("127.0.0.1,", 40) + "203.0.113.9", "203.0.113.9"},
		{[]string{"127.0.0.0/8"}, "203.0.113.9" + strings.Repeat(",127.0.0.1", 40), "127.0.0.1"},
		{[]string{"127.0.0.0/8"}, "fe80::1%eth0", "fe80::1"},
	} {
		s := sites[strings.Join(c.trusted, " ")]
		if s == nil {
			s = start(t, config{plain: true, config: broker.Config{TrustedProxies: c.trusted}})
			sites[strings.Join(c.trusted, " ")] = s
		}
		header := map[string]string{}
		if c.header != "" {
			header["X-Forwarded-For"] = c.header
		}
		var no api.LoginResponse
		s.call(t, "POST", "/api/v1/login", `{"user":"anna"}`, header, &no)
		row, err := s.broker.ExplainRef(t.Context(), no.Reason.Ref)
		if err != nil || row.ClientAddr != c.want {
			t.Errorf("trusted %v, header %q: %q, want %q (%v)", c.trusted, c.header, row.ClientAddr, c.want, err)
		}
	}
}

// TestOtherHeaders: the client's address is taken from no other header, and the hops of several headers
// are one list.
func TestOtherHeaders(t *testing.T) {
	covers.Req(t, "LG6")
	t.Parallel()
	s := start(t, config{plain: true, config: broker.Config{TrustedProxies: []string{"127.0.0.0/8"}}})
	for want, header := range map[string]http.Header{
		"127.0.0.1":   {"Forwarded": {"for=203.0.113.1"}, "X-Real-Ip": {"203.0.113.2"}, "True-Client-Ip": {"203.0.113.3"}, "X-Client-Ip": {"203.0.113.4"}},
		"203.0.113.9": {"X-Forwarded-For": {"198.51.100.1", "203.0.113.9"}},
		"203.0.113.7": {"X-Forwarded-For": {"198.51.100.1", "203.0.113.7, 127.0.0.5"}, "Connection": {"X-Forwarded-For"}},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/v1/login", strings.NewReader(`{"user":"anna"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		res, err := s.client.Do(req)
		var no api.LoginResponse
		if err := json.Unmarshal([]byte(read(t, res, err).body), &no); err != nil {
			t.Fatal(err)
		}
		row, err := s.broker.ExplainRef(t.Context(), no.Reason.Ref)
		if err != nil || row.ClientAddr != want {
			t.Errorf("%v: %q, want %q (%v)", header, row.ClientAddr, want, err)
		}
	}
}

// TestHugeHeader: a header of 1 MB is refused and the server goes on.
func TestHugeHeader(t *testing.T) {
	t.Parallel()
	s := start(t, config{plain: true})
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	go func() { // the server may close before it has read all
		conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nX-Big: "))
		conn.Write(bytes.Repeat([]byte("x"), 1<<20))
	}()
	answer := make([]byte, 64)
	n, err := io.ReadAtLeast(conn, answer, 12)
	if err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 431") {
		t.Errorf("%q, %v", answer[:n], err)
	}
	if res := s.call(t, "GET", "/signin", "", nil, nil); res.StatusCode != 200 {
		t.Errorf("afterwards: %d", res.StatusCode)
	}
}

// TestSlowBody: a client that holds its body back learns no more from the time of the answer.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	s := start(t, config{plain: true})
	s.fill(t, localSetup(t))
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	body := `{"user":"nobody","password":""}`
	if _, err := fmt.Fprintf(conn, "POST /api/v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(body)); err != nil {
		t.Fatal(err)
	}
	<-time.After(400 * time.Millisecond) // longer than the floor
	sent := time.Now()
	if _, err := io.WriteString(conn, body); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 12)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 401" {
		t.Fatalf("%q, %v", answer, err)
	}
	if took := time.Since(sent); took < 300*time.Millisecond {
		t.Errorf("answered %s after the body", took)
	}
}

// TestDrain: a request under way is answered although the server stops.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	s.fill(t, localSetup(t))
	status := make(chan int, 1)
	go func() { // a failed sign-in takes 300 ms
		res, err := s.client.Post(s.url+"/api/v1/login", "application/json", strings.NewReader(`{"user":"anna","password":"x"}`))
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		res.Body.Close()
		status <- res.StatusCode
	}()
	for deadline := time.Now().Add(5 * time.Second); s.broker.Alive().Active == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the login does not arrive")
		}
	}
	s.stop()
	if got := <-status; got != 401 {
		t.Errorf("the login was answered with %d", got)
	}
	if conn, err := net.DialTimeout("tcp", s.Addr().String(), time.Second); err == nil {
		conn.Close()
		t.Error("the port still takes connections")
	}
}

func TestNewFails(t *testing.T) {
	t.Parallel()
	s := start(t, config{plain: true})
	for name, o := range map[string]api.Options{
		"no broker":    {Listen: []string{"127.0.0.1:0"}},
		"port in use":  {Broker: s.broker, Listen: []string{"127.0.0.1:0", s.Addr().String()}},
		"no such cert": {Broker: s.broker, Listen: []string{"127.0.0.1:0"}, Cert: "/nowhere", Key: "/nowhere"},
		"bad prefix":   {Broker: s.broker, Listen: []string{"127.0.0.1:0"}, TrustedProxies: []string{"x"}},
	} {
		if _, err := api.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	s := start(t, config{metrics: reg})
	s.call(t, "GET", "/signin", "", nil, nil)
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	const want = `
# HELP switchpoint_broker_http_requests_total Requests by route and status; is_alive probes without HTTP version or Host are not counted.
# TYPE switchpoint_broker_http_requests_total counter
switchpoint_broker_http_requests_total{route="page",status="200"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "switchpoint_broker_http_requests_total"); err != nil {
		t.Error(err)
	}
}
