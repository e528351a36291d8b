package redirect

import (
	"strings"
	"testing"

	"switchpoint/internal/covers"
	"switchpoint/internal/problem"
)

// wantProblem checks that one of the problems is at path, says what, and has a cure.
func wantProblem(t *testing.T, err error, path, what string) {
	t.Helper()
	list, _ := err.(problem.List)
	for _, p := range list {
		if p.Path == path && strings.Contains(p.What, what) && p.Cure != "" {
			return
		}
	}
	t.Errorf("got %v, want a problem at %q that says %q with a cure", err, path, what)
}

func TestConfigValidate(t *testing.T) {
	good := Config{Attribute: "distinguishedName", Match: "contains", Rules: "OU=US > us"}
	for name, c := range map[string]struct {
		change     func(*Config)
		path, what string
	}{
		"no attribute":     {func(c *Config) { c.Attribute = "" }, "attribute", "no attribute"},
		"bad attribute":    {func(c *Config) { c.Attribute = "a)(b" }, "attribute", "no attribute name"},
		"no match":         {func(c *Config) { c.Match = "" }, "match", "no kind of match"},
		"bad match":        {func(c *Config) { c.Match = "like" }, "match", `"like"`},
		"bad default":      {func(c *Config) { c.Default = "refuse" }, "default", `"refuse"`},
		"bad unavailable":  {func(c *Config) { c.HomeUnavailable = "reject" }, "home_unavailable", `"reject"`},
		"bad rule":         {func(c *Config) { c.Rules = "x" }, "rules", "line 1"},
		"empty value":      {func(c *Config) { c.Rules = "ok > us\n > us" }, "rules", `line 2, "> us": the value is empty`},
		"empty in quotes":  {func(c *Config) { c.Rules = `"" > us` }, "rules", "the value is empty"},
		"bad regex":        {func(c *Config) { c.Match, c.Rules = "regex", "ok > us\n( > us" }, "rules", "line 2"},
		"regex trick fold": {func(c *Config) { f := false; c.CaseSensitive, c.Match, c.Rules = &f, "regex", "a)|(b > us" }, "rules", "line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			wantProblem(t, cfg.Validate(), c.path, c.what)
			_, err := Compile(cfg, []Destination{{Name: "us", Cluster: "us"}}, "uk")
			wantProblem(t, err, c.path, c.what)
		})
	}
	for _, cfg := range []Config{{}, good, {Default: "reject"}, {Attribute: "memberOf", Match: "any-value-exists", Rules: " > us"}} {
		if err := cfg.Validate(); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// A quotation that runs to the end of the value is the value's own, with case and without.
func TestRegexIgnoresCaseToItsEnd(t *testing.T) {
	sensitive := false
	cfg := Config{Attribute: "dn", Match: "regex", Rules: `a|\QOU=(US > us`, CaseSensitive: &sensitive}
	table, err := Compile(cfg, []Destination{{Name: "us", Cluster: "us"}}, "uk")
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]Action{"cn=x,ou=(us": Forward, "A": Forward, "ou=us": LogInHere} {
		if d := Decide(table, Question{Attributes: map[string][]string{"dn": {value}}}); d.Action != want {
			t.Errorf("%s: %s, %v", value, d.Action, d.Reason)
		}
	}
}

func TestCompileDestinations(t *testing.T) {
	covers.Req(t, "RD6")
	cfg := Config{Attribute: "dn", Match: "contains", Rules: "OU=US > us\nOU=DE > de"}
	us, de := Destination{Name: "us", Cluster: "us"}, Destination{Name: "de", Cluster: "de"}
	_, err := Compile(cfg, []Destination{us}, "uk")
	wantProblem(t, err, "rules", `line 2, "OU=DE > de": there is no destination "de"`)
	_, err = Compile(cfg, []Destination{us, de, de}, "uk")
	wantProblem(t, err, "rules", `2 destinations are named "de"`)
	_, err = Compile(cfg, nil, "uk")
	wantProblem(t, err, "rules", "line 1")
	table, err := Compile(cfg, []Destination{us, de}, "uk")
	if err != nil {
		t.Fatal(err)
	}
	if d, ok := table.Destination("de"); !ok || d != de || table.Attribute() != "dn" {
		t.Errorf("the table has %+v, %v, attribute %q", d, ok, table.Attribute())
	}
	if _, ok := table.Destination("fr"); ok {
		t.Error("the table knows a destination that does not exist")
	}
}

func TestDestination(t *testing.T) {
	good := Destination{Name: "us", Cluster: "us", URL: "https://cb.us.company.com"}
	for _, c := range []struct {
		change     func(*Destination)
		path, what string
	}{
		{func(d *Destination) { d.Name = "" }, "name", "no name"},
		{func(d *Destination) { d.Name = "a b" }, "name", "cannot stand in a rule"},
		{func(d *Destination) { d.Name = "a>b" }, "name", "cannot stand in a rule"},
		{func(d *Destination) { d.Cluster = "" }, "cluster", "no cluster"},
		{func(d *Destination) { d.URL = "" }, "url", "no url"},
		{func(d *Destination) { d.URL = "ftp://x" }, "url", "neither https nor http"},
		{func(d *Destination) { d.URL = "https://" }, "url", "has no host"},
		{func(d *Destination) { d.URL = "https://u:p@x/" }, "url", "a user, a query or a fragment"},
		{func(d *Destination) { d.URL = "https://x/?a=b" }, "url", "a user, a query or a fragment"},
		{func(d *Destination) { d.URL = "://" }, "url", "is no URL"},
		{func(d *Destination) { d.URL = "https://x:0" }, "address", "has no port"},
		{func(d *Destination) { d.Address = "x" }, "address", "is not host:port"},
		{func(d *Destination) { d.Address = "x:70000" }, "address", "has no port"},
	} {
		d := good
		c.change(&d)
		wantProblem(t, d.Validate(), c.path, c.what)
	}
	for _, c := range []struct{ url, address, want string }{
		{"https://cb.us.company.com", "", "cb.us.company.com:443"},
		{"http://127.0.1.5/", "", "127.0.1.5:80"},
		{"https://[2001:db8::1]:8443/x", "", "[2001:db8::1]:8443"},
		{"https://cb.us.company.com", "10.0.0.1:81", "10.0.0.1:81"},
	} {
		d := good
		d.URL, d.Address = c.url, c.address
		if err := d.Validate(); err != nil {
			t.Errorf("%+v: %v", d, err)
		}
		if got, err := d.ProbeAddress(); got != c.want || err != nil {
			t.Errorf("ProbeAddress of %s, %q = %q, %v, want %q", c.url, c.address, got, err, c.want)
		}
	}
	if strings.Contains(Destination{Name: "x", Cluster: "x", URL: "https://u:secret@x/"}.Validate().Error(), "secret") {
		t.Error("the password of a URL is shown")
	}
}
