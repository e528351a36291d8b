package api_test

import (
	"context"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/directory"
	"switchpoint/directory/demodir"
	"switchpoint/redirect"
)

// demoDirectory serves the demo directory until the test ends.
func demoDirectory(t *testing.T) broker.Directory {
	t.Helper()
	d, err := demodir.New(demodir.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return directoryAt(t, "corp", d.Addr().String())
}

// downDirectory is one that nobody serves.
func downDirectory(t *testing.T) broker.Directory {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return directoryAt(t, "down", l.Addr().String())
}

func directoryAt(t *testing.T, name, address string) broker.Directory {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "bind")
	if err := os.WriteFile(secret, []byte(demodir.ServicePassword), 0o600); err != nil {
		t.Fatal(err)
	}
	return broker.Directory{Config: directory.Config{
		Name: name, Servers: []string{"ldap://" + address}, BaseDN: demodir.BaseDN,
		BindDN: demodir.ServiceDN, BindPassword: "file:" + secret, Timeout: time.Second,
	}}
}

// page is what a person sees.
type page struct {
	status int
	header http.Header
	body   string
}

func (s *site) get(t *testing.T, path string) page {
	t.Helper()
	res, err := s.client.Get(s.url + path)
	return read(t, res, err)
}

func (s *site) post(t *testing.T, path string, form url.Values) page {
	t.Helper()
	res, err := s.client.PostForm(s.url+path, form)
	return read(t, res, err)
}

func read(t *testing.T, res *http.Response, err error) page {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return page{res.StatusCode, res.Header, string(body)}
}

// field finds the values of hidden fields of that name.
func (p page) field(name string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`name="`+name+`" value="([^"]*)"`).FindAllStringSubmatch(p.body, -1) {
		out = append(out, html.UnescapeString(m[1]))
	}
	return out
}

func (p page) csrf(t *testing.T) string {
	t.Helper()
	f := p.field("csrf")
	if len(f) == 0 {
		t.Fatalf("no form token in %d %q", p.status, p.body)
	}
	return f[0]
}

// TestPages walks through the pages as a browser without JavaScript does (CO1).
func TestPages(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	s.fill(t, localSetup(t))
	if p := s.get(t, "/"); p.status != 303 || p.header.Get("Location") != "/signin" {
		t.Fatalf("%+v", p)
	}
	if p := s.get(t, "/desktops"); p.status != 303 || p.header.Get("Location") != "/signin" {
		t.Errorf("the desktops of nobody: %+v", p)
	}
	form := s.get(t, "/signin")
	csp := form.header.Get("Content-Security-Policy")
	if form.status != 200 || !strings.Contains(csp, "default-src 'none'; style-src 'self'") || strings.Contains(form.body, "<script") || strings.Contains(form.body, "style=") {
		t.Errorf("sign-in page: %d %q", form.status, csp)
	}
	for _, need := range []string{`lang="en"`, `name="viewport"`, `<label for="user">`, `<label for="password">`, `autocomplete="current-password"`, "broker-1, site 1, cluster uk, london"} {
		if !strings.Contains(form.body, need) {
			t.Errorf("the sign-in page has no %s", need)
		}
	}
	wrong := s.post(t, "/signin", url.Values{"csrf": {form.csrf(t)}, "user": {`anna"><script>`}, "password": {"x"}})
	if wrong.status != 401 || !strings.Contains(wrong.body, `role="alert"`) || !strings.Contains(wrong.body, "Reference 1-") || strings.Contains(wrong.body, "<script") {
		t.Errorf("wrong password: %d %q", wrong.status, wrong.body)
	}
	in := s.post(t, "/signin", url.Values{"csrf": {wrong.csrf(t)}, "user": {"anna"}, "password": {"p"}})
	if in.status != 303 || in.header.Get("Location") != "/desktops" {
		t.Fatalf("%+v", in)
	}
	cookie := strings.Join(in.header.Values("Set-Cookie"), "\n")
	for _, need := range []string{"__Host-session=sp1.1.", "Path=/", "HttpOnly", "Secure", "SameSite=Strict"} {
		if !strings.Contains(cookie, need) {
			t.Errorf("the cookie %q has no %s", cookie, need)
		}
	}
	if p := s.get(t, "/"); p.header.Get("Location") != "/desktops" {
		t.Errorf("%+v", p)
	}
	desktops := s.get(t, "/desktops")
	offers := desktops.field("offer")
	if desktops.status != 200 || len(offers) != 2 || !strings.Contains(desktops.body, "anna-pc") || !strings.Contains(desktops.body, "available") {
		t.Fatalf("%+v", desktops)
	}
	file := s.post(t, "/connect", url.Values{"csrf": {desktops.csrf(t)}, "offer": {offers[0]}})
	if file.status != 200 || file.header.Get("Content-Disposition") != `attachment; filename="anna-pc.rdp"` ||
		file.header.Get("Content-Type") != "application/x-rdp" || !strings.HasPrefix(file.body, "full address:s:10.0.0.1:3389\r\n") {
		t.Errorf("%+v", file)
	}
	if p := s.post(t, "/connect", url.Values{"csrf": {desktops.csrf(t)}, "offer": {"x"}}); p.status != 404 || !strings.Contains(p.body, "not offered to you") || !strings.Contains(p.body, "anna-pc") {
		t.Errorf("an unknown offer: %+v", p)
	}
	out := s.post(t, "/signout", url.Values{"csrf": {desktops.csrf(t)}})
	if out.status != 303 || out.header.Get("Location") != "/signin" {
		t.Errorf("%+v", out)
	}
	if p := s.get(t, "/"); p.header.Get("Location") != "/signin" {
		t.Errorf("the cookie is still there: %+v", p)
	}
}

// TestForgedForms: a form without the token of this browser changes nothing.
func TestForgedForms(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	s.fill(t, localSetup(t))
	token := s.get(t, "/signin").csrf(t)
	if p := s.post(t, "/signin", url.Values{"csrf": {token}, "user": {"anna"}, "password": {"p"}}); p.status != 303 {
		t.Fatalf("%+v", p)
	}
	other := start(t, config{})
	foreign := other.get(t, "/signin").csrf(t)
	for _, path := range []string{"/signin", "/connect", "/signout"} {
		for _, forged := range []string{"", "x", foreign} {
			if p := s.post(t, path, url.Values{"csrf": {forged}, "user": {"anna"}, "password": {"p"}}); p.status != 403 {
				t.Errorf("%s with token %q: %d", path, forged, p.status)
			}
		}
	}
	if p := s.get(t, "/desktops"); p.status != 200 {
		t.Errorf("a forged form signed the user out: %+v", p)
	}
	if p := s.post(t, "/signin", url.Values{"csrf": {token}, "user": {strings.Repeat("x", 1<<20)}}); p.status != 400 {
		t.Errorf("a form of 1 MB: %d", p.status)
	}
}

// TestPageRedirect sends a roaming user's browser home.
func TestPageRedirect(t *testing.T) {
	t.Parallel()
	s := start(t, config{})
	setup := localSetup(t)
	home := demoDirectory(t)
	home.Redirect = &redirect.Config{Attribute: "distinguishedName", Match: "contains", Rules: "OU=US > us"}
	setup.Directories = []broker.Directory{home}
	setup.Destinations = []redirect.Destination{{Name: "us", URL: "https://cb.us.company.com:8443/", Cluster: "us", Monitor: "alive"}}
	s.fill(t, setup)
	form := s.get(t, "/signin")
	// Browsers apply form-action to the redirect that answers the form.
	if csp := form.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://cb.us.company.com:8443") {
		t.Errorf("policy %q", csp)
	}
	p := s.post(t, "/signin", url.Values{"csrf": {form.csrf(t)}, "user": {"alice"}, "password": {"alice-demo"}})
	if p.status != 303 || p.header.Get("Location") != "https://cb.us.company.com:8443/" || p.header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%+v", p)
	}
}

func TestStyle(t *testing.T) {
	t.Parallel()
	s := start(t, config{plain: true})
	if p := s.get(t, "/style.css"); p.status != 200 || !strings.HasPrefix(p.header.Get("Content-Type"), "text/css") || p.body == "" {
		t.Errorf("%+v", p)
	}
}
