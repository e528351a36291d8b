package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"switchpoint/admin"
	"switchpoint/broker"
	"switchpoint/configs"
	"switchpoint/directory/demodir"
	"switchpoint/internal/covers"
	"switchpoint/peer"
)

const securedNode = `
[node]
name = "broker1"
datacenter = "us"
state_dir = "state"
[[datacenter]]
name = "us"
[[monitor]]
name = "is_alive"
kind = "tcp"
[admin]
listen = "127.0.0.1:0"
cert = "node.pem"
key = "node.key"
token_file = "token"
[peer]
listen = "127.0.0.1:0"
[[peer.trust]]
name = "other"
cluster = "us"
key = %q
address = "127.0.0.1:1"
[broker]
cluster = "us"
site_id = 1
listen = ["127.0.0.1:0"]
cert = "node.pem"
key = "node.key"
seed = "setup.toml"
trusted_proxies = ["127.0.0.1"]
`

const securedSetup = `
[[directory]]
name = "corp"
servers = ["ldap://%[1]s"]
base_dn = "` + demodir.BaseDN + `"
bind_dn = "` + demodir.ServiceDN + `"
bind_password = "file:ldap"
[directory.redirect]
attribute = "distinguishedName"
match = "contains"
rules = "OU=US > us"
[[destination]]
name = "us"
url = "https://cb.us.company.com"
address = "%[1]s"
cluster = "elsewhere"
monitor = "is_alive"
[limits]
failures = 3
[[user]]
name = "lucy"
password = %[2]q
[[center]]
name = "racks"
kind = "csv"
csv = "name,ip\nr1,10.1.0.1\n"
[[desktop_pool]]
name = "own"
kind = "assigned"
[[desktop_pool.rule]]
attribute = "center"
match = "eq"
value = "racks"
[[desktop_pool]]
name = "floor"
kind = "pooled"
check = "none"
[[desktop]]
name = "floor-1"
pool = "floor"
host = "10.0.0.1"
[[policy]]
name = "all"
desktop_pools = ["floor"]
`

const securedToken = "a-long-bearer-token-of-the-admin"

// secured is a running node with a broker, a peer listener and the admin API on TCP.
type secured struct {
	*app
	t      *testing.T
	cfg    *configs.Config
	dir    string
	state  string
	client *http.Client // trusts the node's certificate, follows no redirect
}

func startSecured(t *testing.T) *secured {
	t.Helper()
	dir := shortDir(t)
	ca, err := newAuthority(dir)
	if err == nil {
		err = ca.Issue("node", "127.0.0.1")
	}
	if err != nil {
		t.Fatal(err)
	}
	hash, err := broker.HashPassword("lucy-secret")
	if err != nil {
		t.Fatal(err)
	}
	other, err := peer.LoadIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"token": securedToken, "ldap": demodir.ServicePassword, "setup.toml": fmt.Sprintf(securedSetup, serveDemoDirectory(t), hash)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, cfg := newNode(t, dir, fmt.Sprintf(securedNode, other.PublicKey()))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, nil) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	untilReady(t, cfg)
	until(t, "the broker serves", func() bool { return a.broker.NotServing() == "" })
	text, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &secured{
		app: a, t: t, cfg: cfg, dir: dir, state: cfg.Node.StateDir,
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: 30 * time.Second},
	}
}

func (s *secured) url(path string) string      { return "https://" + s.api.Addr().String() + path }
func (s *secured) adminURL(path string) string { return "https://" + s.admin.Addr().String() + path }

// send makes one request and reads the answer.
func (s *secured) send(method, where string, body io.Reader, header map[string]string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, where, body)
	if err != nil {
		s.t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, where, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res, string(text)
}

// login is a step of the API from a client at that address, behind the trusted proxy.
func (s *secured) login(from, user, password string) (status int, out map[string]any) {
	s.t.Helper()
	body, err := json.Marshal(map[string]string{"user": user, "password": password})
	if err != nil {
		s.t.Fatal(err)
	}
	res, text := s.send("POST", s.url("/api/v1/login"), bytes.NewReader(body), map[string]string{"Content-Type": "application/json", "X-Forwarded-For": from})
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		s.t.Fatalf("%d %s: %v", res.StatusCode, text, err)
	}
	return res.StatusCode, out
}

// TestSecuredNode goes through SE1 word by word at a node as it runs.
func TestSecuredNode(t *testing.T) {
	covers.Req(t, "SE1")
	s := startSecured(t)
	t.Run("TLS", s.tlsEverywhere)
	t.Run("tokens", s.onlyHashesStored)
	t.Run("pages", s.cookiesAndForms)
	t.Run("admin", s.adminAccess)
	t.Run("xmlrpc", s.anonymousMethods)
}

// tlsEverywhere: no listener of the node speaks plain text or an old TLS; peers are known by their keys.
func (s *secured) tlsEverywhere(t *testing.T) {
	for name, address := range map[string]string{"broker": s.api.Addr().String(), "admin": s.admin.Addr().String(), "peer": s.peer.Addr().String()} {
		plain := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		if res, err := plain.Get("http://" + address + "/healthz"); err == nil {
			res.Body.Close()
			if res.StatusCode != http.StatusBadRequest { // net/http's way to say that this is a TLS port
				t.Errorf("%s answers plain text with %d", name, res.StatusCode)
			}
		}
		if c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
			c.Close()
			t.Errorf("%s speaks TLS 1.1", name)
		}
	}
	if got := s.peerHandshake(t, &tls.Config{InsecureSkipVerify: true}); got == nil {
		t.Error("a peer without a key is let in")
	}
	if got := s.peerHandshake(t, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); got == nil {
		t.Error("peers speak TLS 1.2")
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(s.dir, "node.pem"), filepath.Join(s.dir, "node.key"))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.peerHandshake(t, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}); got == nil {
		t.Error("a peer with a key that nobody trusts is let in")
	}
	setup := fmt.Sprintf(securedSetup, "dc1.company.com:389", "") // passwords would go there in the clear
	if _, err := configs.ParseSetup("x.toml", []byte(setup), []string{"is_alive"}, "us"); err == nil || !strings.Contains(err.Error(), "unencrypted") {
		t.Errorf("a directory without TLS: %v", err)
	}
	if d := (broker.Config{Database: broker.Database{Kind: broker.KindPostgres}}).WithDefaults().Database; d.TLS == broker.DatabaseTLSOff || !strings.Contains(databaseURL(d), "sslmode=verify-full") {
		t.Errorf("the database is reached by %q", d.TLS)
	}
}

// peerHandshake connects to the peer listener and reads; TLS 1.3 tells a refused key after the handshake.
func (s *secured) peerHandshake(t *testing.T, c *tls.Config) error {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", s.peer.Addr().String(), c)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	_, err = conn.Read(make([]byte, 1))
	return err
}

// onlyHashesStored: a token has the form sp1.SITE.SECRET, and the database holds nothing to make it of.
func (s *secured) onlyHashesStored(t *testing.T) {
	_, out := s.login("192.0.2.7", "lucy", "lucy-secret")
	token, _ := out["token"].(string)
	m := regexp.MustCompile(`^sp1\.1\.([A-Za-z0-9_-]{43})$`).FindStringSubmatch(token)
	if m == nil {
		t.Fatalf("token %q in %v", token, out)
	}
	secret, err := base64.RawURLEncoding.DecodeString(m[1])
	if err != nil || len(secret) != 32 {
		t.Fatal(secret, err)
	}
	hash := sha256.Sum256(secret)
	found := 0
	for _, c := range s.cells(t) {
		for what, needle := range map[string][]byte{"token": []byte(m[1]), "secret": secret, "password": []byte("lucy-secret")} {
			if bytes.Contains(c.value, needle) {
				t.Errorf("%s holds the %s", c.column, what)
			}
		}
		if bytes.Equal(c.value, hash[:]) || bytes.Equal(c.value, hashOfToken(token)) {
			found++
		}
	}
	if found == 0 {
		t.Error("no hash of the token is stored")
	}
	files := 0
	err = filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if files++; bytes.Contains(text, []byte(m[1])) || bytes.Contains(text, secret) {
			t.Errorf("%s holds the token", path)
		}
		return err
	})
	if err != nil || files < 5 {
		t.Errorf("%d files, %v", files, err)
	}
}

func hashOfToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

type cell struct {
	column string
	value  []byte
}

// cells are all values of all tables.
func (s *secured) cells(t *testing.T) (out []cell) {
	t.Helper()
	db := s.database(t)
	for _, table := range column1(t, db, `SELECT name FROM sqlite_schema WHERE type = 'table'`) {
		out = append(out, cellsOf(t, db, table)...)
	}
	return out
}

func cellsOf(t *testing.T, db *sql.DB, table string) (out []cell) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT * FROM "`+table+`"`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values := make([]sql.RawBytes, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			out = append(out, cell{table + "." + names[i], bytes.Clone(v)})
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func (s *secured) database(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(s.state, "broker.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func column1(t *testing.T, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// cookiesAndForms signs in with a browser's requests: what every answer and every cookie must have, and
// what a form without its token gets.
func (s *secured) cookiesAndForms(t *testing.T) {
	page, text := s.send("GET", s.url("/signin"), nil, nil)
	s.strict(t, "the sign-in page", page)
	csrf := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(text)
	if csrf == nil {
		t.Fatalf("no form token in %s", text)
	}
	form := func(token string) io.Reader {
		return strings.NewReader(url.Values{"user": {"lucy"}, "password": {"lucy-secret"}, "csrf": {token}}.Encode())
	}
	header := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	own := cookieHeader(page)
	for name, c := range map[string]struct{ cookie, token string }{
		"no token": {own, ""}, "no cookie": {"", csrf[1]}, "a token of another browser": {own, base64.RawURLEncoding.EncodeToString(make([]byte, 32))},
	} {
		header["Cookie"] = c.cookie
		if res, _ := s.send("POST", s.url("/signin"), form(c.token), header); res.StatusCode != http.StatusForbidden || strings.Contains(fmt.Sprint(res.Header["Set-Cookie"]), "__Host-session") {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
	header["Cookie"] = own
	in, _ := s.send("POST", s.url("/signin"), form(csrf[1]), header)
	if in.StatusCode != http.StatusSeeOther || !strings.Contains(fmt.Sprint(in.Header["Set-Cookie"]), "__Host-session") {
		t.Fatalf("sign-in: %d %v", in.StatusCode, in.Header)
	}
	desktops, _ := s.send("GET", s.url("/desktops"), nil, map[string]string{"Cookie": own + "; " + cookieHeader(in)})
	s.strict(t, "the desktops", desktops)
	if desktops.StatusCode != http.StatusOK {
		t.Errorf("the desktops: %d", desktops.StatusCode)
	}
	for _, path := range []string{"/connect", "/signout"} { // signed in, and no token
		if res, _ := s.send("POST", s.url(path), strings.NewReader(""), map[string]string{"Cookie": own + "; " + cookieHeader(in), "Content-Type": "application/x-www-form-urlencoded"}); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s without a token: %d", path, res.StatusCode)
		}
	}
	cookies := append(page.Header["Set-Cookie"], in.Header["Set-Cookie"]...)
	for _, c := range cookies {
		for _, want := range []string{"__Host-", "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Strict"} {
			if !strings.Contains(c, want) {
				t.Errorf("cookie %q lacks %s", strings.SplitN(c, "=", 2)[0], want)
			}
		}
	}
	if len(cookies) < 2 {
		t.Errorf("%d cookies", len(cookies))
	}
	for _, path := range []string{"/", "/style.css", "/api/v1/nothing", "/nothing", "/index.pl?action=is_alive", "/api/v1/offers"} {
		res, _ := s.send("GET", s.url(path), nil, nil)
		s.strict(t, path, res)
	}
}

// strict looks at the policy of an answer: nothing is allowed but what the page itself needs.
func (s *secured) strict(t *testing.T, what string, res *http.Response) {
	t.Helper()
	policy := res.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action "} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy of %s lacks %s: %q", what, want, policy)
		}
	}
	for _, loose := range []string{"unsafe", "*", "data:", "http:", "blob:"} {
		if strings.Contains(policy, loose) {
			t.Errorf("the policy of %s has %s: %q", what, loose, policy)
		}
	}
	if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers of %s: %v", what, res.Header)
	}
}

func cookieHeader(res *http.Response) string {
	var out []string
	for _, c := range res.Cookies() {
		out = append(out, c.Name+"="+c.Value)
	}
	return strings.Join(out, "; ")
}

// adminAccess: the socket is its owner's, and on TCP nobody without the token learns more than whether the
// process lives and serves.
func (s *secured) adminAccess(t *testing.T) {
	for path, want := range map[string]os.FileMode{filepath.Join(s.state, admin.SocketName): 0o600, s.state: 0o700, filepath.Join(s.state, "broker.db"): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
	anonymous := map[string]bool{"GET /healthz": true, "GET /readyz": true}
	asked := []string{"GET /healthz", "GET /readyz", "GET /metrics", "GET /debug/pprof/", "GET /debug/pprof/profile?seconds=1", "GET /", "GET /nothing", "POST /healthz", "GET /healthz/../metrics"}
	for pattern := range s.routes() {
		method, path, _ := strings.Cut(pattern, " ")
		asked = append(asked, method+" /admin/v1/"+path)
	}
	for _, bearer := range []string{"", "Bearer", "Bearer wrong", "Basic " + securedToken, "Bearer " + securedToken + "x", "Bearer " + securedToken[1:]} {
		for _, what := range asked {
			method, path, _ := strings.Cut(what, " ")
			res, text := s.send(method, s.adminURL(path), strings.NewReader(""), map[string]string{"Authorization": bearer})
			if anonymous[what] {
				if res.StatusCode != http.StatusOK {
					t.Errorf("%s without a token: %d %s", what, res.StatusCode, text)
				}
				continue
			}
			if refused := res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusMethodNotAllowed || res.StatusCode == http.StatusTemporaryRedirect; !refused {
				t.Errorf("%s with %q: %d", what, bearer, res.StatusCode)
			}
		}
	}
	for _, path := range []string{"/console", "/console/", "/console/cluster", "/console/jobs"} { // pages lead to the form that asks for the token
		res, text := s.send("GET", s.adminURL(path), nil, nil)
		if res.StatusCode == http.StatusOK && strings.Contains(text, "broker1") && !strings.Contains(text, `type="password"`) {
			t.Errorf("%s without a token: %d", path, res.StatusCode)
		}
	}
	if res, text := s.send("GET", s.adminURL("/admin/v1/status"), nil, map[string]string{"Authorization": "Bearer " + securedToken}); res.StatusCode != http.StatusOK || !strings.Contains(text, "broker1") {
		t.Errorf("with the token: %d %s", res.StatusCode, text)
	}
}

// anonymousMethods: of XML-RPC, two methods are for everybody.
func (s *secured) anonymousMethods(t *testing.T) {
	call := func(method string, header map[string]string) (*http.Response, string) {
		header["Content-Type"] = "text/xml"
		return s.send("POST", s.url("/RPC2"), strings.NewReader(`<?xml version="1.0"?><methodCall><methodName>`+method+`</methodName></methodCall>`), header)
	}
	_, list := call("system.listMethods", map[string]string{})
	methods := regexp.MustCompile(`<string>([a-zA-Z.]+)</string>`).FindAllStringSubmatch(list, -1)
	if len(methods) < 4 {
		t.Fatalf("methods: %s", list)
	}
	for _, m := range methods {
		res, text := call(m[1], map[string]string{})
		if open := m[1] == "broker.isAlive" || m[1] == "system.listMethods"; open != (res.StatusCode == http.StatusOK) || !open && res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s for everybody: %d %s", m[1], res.StatusCode, text)
		}
		if res, text := call(m[1], map[string]string{"Authorization": "Bearer " + securedToken}); res.StatusCode != http.StatusOK || strings.Contains(text, "<fault>") {
			t.Errorf("%s with the token: %d %s", m[1], res.StatusCode, text)
		}
	}
}
