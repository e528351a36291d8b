package lb

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"switchpoint/internal/covers"
	"switchpoint/lb/choice"
)

func TestClassFind(t *testing.T) {
	classes := Pool{Classes: []Class{
		{Name: "login", Method: "POST", Path: "/api/v1/login"},
		{Name: "api", Path: "/api/"},
		{Name: "uploads", Method: "PUT"},
	}}.classTable()
	for _, tt := range []struct {
		method, path string
		want         choice.Class
		name         string
	}{
		{"POST", "/api/v1/login", 1, "login"},
		{"POST", "/api/v1/login/", 1, "login"},
		{"POST", "/api/v1/login/again", 1, "login"},
		{"POST", "/api/v1/logins", 2, "api"},
		{"GET", "/api/v1/login", 2, "api"},
		{"post", "/api/v1/login", 2, "api"}, // methods are case-sensitive
		{"", "/api/v1/login", 1, "login"},   // asked by path alone
		{"PUT", "/api", 2, "api"},
		{"PUT", "/files", 3, "uploads"},
		{"GET", "/apis", 0, "other"},
		{"GET", "/", 0, "other"},
		{"OPTIONS", "*", 0, "other"},
		{"GET", "", 0, "other"},
	} {
		got := classes.find([]byte(tt.method), []byte(tt.path))
		if got != tt.want || classes.name(got) != tt.name {
			t.Errorf("%s %s: class %d, %q; want %d, %q", tt.method, tt.path, got, classes.name(got), tt.want, tt.name)
		}
	}
}

func TestClassDefaults(t *testing.T) {
	pools := Config{Pools: []Pool{{}, {Classes: []Class{}}, {Classes: []Class{{Name: "x", Path: "/x"}}}}}.WithDefaults().Pools
	if got := fmt.Sprint(pools[0].Classes); got != "[{login POST /api/v1/login}]" {
		t.Errorf("without a word: %s", got)
	}
	if n := len(pools[1].Classes); n != 0 {
		t.Errorf("an empty list became %d classes", n)
	}
	if got := fmt.Sprint(pools[2].Classes); got != "[{x  /x}]" {
		t.Errorf("one's own became %s", got)
	}
}

func TestClassValidate(t *testing.T) {
	good := func() Config {
		cfg := plainConfig([]Member{{Address: "127.0.0.1:1"}})
		cfg.Pools[0].Classes = []Class{{Name: "login", Method: "POST", Path: "/api/v1/login"}, {Name: "api", Path: "/api"}}
		return cfg
	}
	set := func(cs ...Class) func(*Config) {
		return func(c *Config) { c.Pools[0].Classes = cs }
	}
	runFaults(t, good, []fault{
		{"good", func(*Config) {}, "", ""},
		{"none", set(), "", ""},
		{"four", set(Class{"a", "PUT", ""}, Class{"b", "GET", ""}, Class{"c", "POST", ""}, Class{"d", "HEAD", ""}), "pool[0].class", "there are 4 classes"},
		{"no name", set(Class{"", "PUT", ""}), "pool[0].class[0].name", "is empty"},
		{"twice", set(Class{"a", "PUT", ""}, Class{"a", "GET", ""}), "pool[0].class[1].name", `"a" is already`},
		{"reserved", set(Class{"other", "PUT", ""}), "pool[0].class[0].name", "no class"},
		{"method", set(Class{"a", "post", ""}), "pool[0].class[0].method", `"post"`},
		{"path", set(Class{"a", "", "api"}), "pool[0].class[0].path", `"api"`},
		{"query", set(Class{"a", "", "/api?x"}), "pool[0].class[0].path", `"/api?x"`},
		{"everything", set(Class{"a", "", ""}), "pool[0].class[0]", "every request"},
		{"everything too", set(Class{"a", "", "/"}), "pool[0].class[0]", "every request"},
		{"out of reach", set(Class{"api", "", "/api"}, Class{"login", "POST", "/api/v1/login"}), "pool[0].class[1]", "class[0] takes all"},
		{"in reach: another method", set(Class{"api", "GET", "/api"}, Class{"login", "POST", "/api/v1/login"}), "", ""},
	})
}

// TestClassesApart sends cheap and dear requests through: each member's averages of the two are
// kept apart, and a member that is slow at logins still gets what it is quick at.
func TestClassesApart(t *testing.T) {
	covers.Req(t, "LB2")
	broker := func(name string, login time.Duration) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				select {
				case <-time.After(login):
				case <-r.Context().Done():
				}
			}
			says(name).ServeHTTP(w, r)
		})
	}
	a := startBackend(t, broker("a", 300*ms))
	b := startBackend(t, broker("b", 30*ms))
	cfg := plainConfig(members(a, b))
	cfg.Pools[0].Method = choice.LeastResponseTimeName
	r := start(t, cfg)
	c := client(t, nil)
	login := func() string {
		t.Helper()
		resp, err := c.Post("http://"+r.addr+"/api/v1/login", "application/json", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return readAll(t, resp)
	}
	logins, looks := map[string]int{}, map[string]int{}
	for range 12 {
		logins[login()]++
		for range 5 {
			_, who := get(t, c, "http://"+r.addr+"/api/v1/offers")
			looks[who]++
		}
	}
	if logins["b"] < 10 {
		t.Errorf("logins went to %v, want nearly all to b", logins)
	}
	if looks["a"] == 0 {
		t.Errorf("looks went to %v: a is slow at logins only", looks)
	}
	e := r.ExplainRequest("front", loopback, "", "/api/v1/login")
	if e.Class != "login" || e.Members[0].TTFB < 300*ms {
		t.Errorf("a login is explained as %+v", e)
	}
	if e = r.ExplainRequest("front", loopback, "", "/api/v1/offers"); e.Class != "other" || e.Members[0].TTFB > 250*ms {
		t.Errorf("a look is explained as %+v", e)
	}
}

// readAll is the body of an answer with status 200.
func readAll(t *testing.T, resp *http.Response) string {
	t.Helper()
	rec := httptest.NewRecorder()
	if _, err := rec.Body.ReadFrom(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", resp.StatusCode, err)
	}
	return rec.Body.String()
}
