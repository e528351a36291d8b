package logins

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestShippedProfiles(t *testing.T) {
	if got := strings.Join(Profiles(), " "); got != "form leostream ours" {
		t.Errorf("profiles %s", got)
	}
	for _, name := range Profiles() {
		p, err := LoadProfile(name)
		if err != nil || p.About == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := LoadProfile(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "leostream") {
		t.Errorf("a profile that is not there: %v", err)
	}
}

func TestProfileProblems(t *testing.T) {
	const good = `{"name":"x","login":"a","steps":[{"name":"a","url":"{url}/","extract":{"t":{"json":"/t"}}},{"name":"b","url":"{url}/{t}"}]}`
	if _, err := ParseProfile([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string][2]string{
		"unknown field":           {`"name":"x"`, `"nam":"x"`},
		"something follows":       {`]}`, `]} {}`},
		"no step is named":        {`"login":"a"`, `"login":"c"`},
		"nothing sets {u}":        {`{t}"}]`, `{u}"}]`},
		"a brace that is alone":   {`{t}"}]`, `{t"}]`},
		"one of body, json":       {`"url":"{url}/{t}"`, `"url":"{url}/{t}","body":"x","json":{}`},
		"nothing sets {no}":       {`"url":"{url}/{t}"`, `"url":"{url}/","json":{"a":["{no}"]}`},
		"is no status":            {`"url":"{url}/{t}"`, `"url":"{url}/","expect":[999]`},
		"match":                   {`"url":"{url}/{t}"`, `"url":"{url}/","match":"("`},
		"one of json, regexp":     {`{"json":"/t"}`, `{}`},
		"does not begin with a":   {`{"json":"/t"}`, `{"json":"t"}`},
		"no group to take":        {`{"json":"/t"}`, `{"regexp":"t"}`},
		"a step needs a name":     {`"name":"b",`, ``},
		"step 2 (b): headers.A":   {`"url":"{url}/{t}"`, `"url":"{url}/","headers":{"A":"{x}"}`},
		"it has no steps":         {`"steps":[{`, `"steps":[],"vars":{},"about":"` + `"}{"x":[{`},
		"vars.v: nothing sets {x": {`"name":"x"`, `"name":"x","vars":{"v":"{x}"}`},
	} {
		text := strings.Replace(good, change[0], change[1], 1)
		if want == "it has no steps" {
			text = `{"name":"x","login":"a","steps":[]}`
		}
		if _, err := ParseProfile([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func FuzzProfile(f *testing.F) {
	for _, name := range Profiles() {
		text, err := shipped.ReadFile("profiles/" + name + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParseProfile(text)
		if err != nil {
			return
		}
		// What passes can be played, whatever the answers were.
		vars := map[string]string{"user": "u", "password": "p", "url": "http://127.0.0.1"}
		for name, v := range p.Vars {
			vars[name] = v
		}
		for i := range p.Steps {
			for name := range p.Steps[i].Extract {
				vars[name] = "x"
			}
			if _, err := p.Steps[i].request(t.Context(), vars); err != nil && strings.Contains(err.Error(), "nothing sets") {
				t.Errorf("%s: %v", text, err)
			}
		}
	})
}

func TestExpand(t *testing.T) {
	vars := map[string]string{"a": "1", "b": "{a}"}
	value := func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
	if got, err := expand("x{a}y{{z}}{b}", value); err != nil || got != "x1y{z}{a}" {
		t.Errorf("%q, %v", got, err)
	}
	s := Step{URL: "{url}/x?q={b}", JSON: []byte(`{"n":1,"list":["{b}",true,null,1.50]}`)}
	req, err := s.request(t.Context(), map[string]string{"url": "http://h", "b": `a b&c="d"`})
	if err != nil || req.URL.Query().Get("q") != `a b&c="d"` {
		t.Fatalf("%v, %v", req, err)
	}
	body := make([]byte, 200)
	n, _ := req.Body.Read(body)
	if got := string(body[:n]); got != `{"list":["a b\u0026c=\"d\"",true,null,1.50],"n":1}` {
		t.Errorf("%s", got)
	}
}

func TestPointer(t *testing.T) {
	v := map[string]any{"a": []any{map[string]any{"b/c": "x"}}, "n": 12345678.0, "t": true, "o": map[string]any{}}
	for pointer, want := range map[string]string{"/a/0/b~1c": "x", "/n": "12345678", "/t": "true"} {
		if got, err := pointed(v, pointer); err != nil || got != want {
			t.Errorf("%s: %q, %v", pointer, got, err)
		}
	}
	for _, pointer := range []string{"/b", "/a/1", "/a/x", "/a/0/b~1c/d", "/o"} {
		if got, err := pointed(v, pointer); err == nil {
			t.Errorf("%s: %q", pointer, got)
		}
	}
}

// formServer signs in as most web products do.
func formServer(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "pre", Value: "1", Path: "/"})
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprint(w, `<form><input type="hidden" name="csrf_token" value="a&#43;b&amp;c"><input name="login"></form>`)
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("pre")
		if err != nil || c.Value != "1" || r.PostFormValue("csrf_token") != "a+b&c" || r.PostFormValue("pass") != "pass of "+r.PostFormValue("login") {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: r.PostFormValue("login"), Path: "/"})
		http.Redirect(w, r, "/home", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /home", func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("session")
		if err != nil || !strings.HasPrefix(c.Value, "u") {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		_, _ = fmt.Fprint(w, "desktops of "+c.Value)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func people(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestForm(t *testing.T) {
	s := formServer(t)
	p, err := LoadProfile("form")
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{
		"url": s.URL, "page": "/login", "action": "/login", "csrf_field": "csrf_token", "user_field": "login", "password_field": "pass", "home": "/home",
	}
	play := func(file string) *Result {
		r, err := runSteps(t.Context(), task{Profile: p, Vars: vars, People: people(t, file), Rate: 50, For: 400 * time.Millisecond}, func(string) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := play("# who\nu1,pass of u1\nu2,pass of u2\n")
	if r.OK != 20 || r.Offered != 20 || r.Journey == nil || r.Login.P50 > r.Journey.Max+1 {
		t.Errorf("%+v", r)
	}
	r = play("u1,wrong\n")
	if r.OK != 0 || r.Failed != 20 || r.Errors["sign in: answer 403"] != 20 {
		t.Errorf("%+v", r)
	}
	if _, err := newStepper(task{Profile: p, Vars: vars, People: people(t, "u1\n")}); err == nil {
		t.Error("a user without a password is taken")
	}
	if _, err := newStepper(task{Profile: p, Vars: vars, People: people(t, "")}); err == nil {
		t.Error("no users are taken")
	}
}

func TestProfileOptions(t *testing.T) {
	good := ProfileOptions{Profile: "form", URL: "https://cb.company.com", People: "x", Vars: map[string]string{"page": "/x"}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*ProfileOptions){
		"no http(s) URL": func(p *ProfileOptions) { p.URL = "cb" }, "--people": func(p *ProfileOptions) { p.People = "" },
		"no variable x": func(p *ProfileOptions) { p.Vars = map[string]string{"x": "y"} }, "read the profile": func(p *ProfileOptions) { p.Profile = "/none" },
	} {
		bad := good
		spoil(&bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
