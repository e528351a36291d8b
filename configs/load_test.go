package configs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"switchpoint/healthcheck"
	"switchpoint/redirect"
)

const lbOnly = `
[[lb.listener]]
name = "main"
listen = "127.0.0.1:8080"
pool = "brokers"
[[lb.pool]]
name = "brokers"
members = [{address = "127.0.0.1:8081"}]
`

func TestLoadFillsWhatBelongsToTheProcess(t *testing.T) {
	c, err := load("/etc/switchpoint/us.toml", lbOnly+"[[datacenter]]\nname = \"us\"\n")
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if want := (Node{Name: host, Datacenter: "us", StateDir: DefaultStateDir}); c.Node != want {
		t.Errorf("node %+v, want %+v", c.Node, want)
	}
	if want := (Log{Level: "info", Format: "text"}); c.Log != want {
		t.Errorf("log %+v, want %+v", c.Log, want)
	}
	if c.Admin != (Admin{}) || c.Peer != nil || c.GTM != nil || c.Broker != nil {
		t.Errorf("a section that nobody wrote: %+v", c)
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	dir := t.TempDir()
	writeCertificates(t, dir, "lb", "broker", "admin")
	writeFile(t, filepath.Join(dir, "token"), "x")
	copyFile(t, "company.com.zone", filepath.Join(dir, "zones", "company.com.zone"))
	writeFile(t, filepath.Join(dir, "setup", "b.toml"), `
[[directory]]
name = "corp"
servers = ["ldaps://127.0.0.1"]
base_dn = "dc=company,dc=com"
bind_dn = "cn=s,dc=company,dc=com"
bind_password = "file:../secrets/ldap"
ca = "../certs/ca.pem"
`)
	path := filepath.Join(dir, "us.toml")
	writeFile(t, path, `
[node]
state_dir = "state"
[admin]
listen = "127.0.0.1:9443"
cert = "certs/admin.pem"
key = "certs/admin.key"
token_file = "token"
[[monitor]]
name = "m"
kind = "https"
ca = "certs/ca.pem"
[[datacenter]]
name = "us"
[gtm]
listen = ["127.0.0.1:5300"]
[[gtm.zone]]
origin = "company.com"
file = "zones/company.com.zone"
[[gtm.name]]
name = "cb.company.com"
pool = [{datacenter = "us", members = [{address = "127.0.0.1"}]}]
[[lb.listener]]
name = "l"
listen = "127.0.0.1:8443"
pool = "p"
cert = "certs/lb.pem"
key = "certs/lb.key"
[[lb.pool]]
name = "p"
tls = true
ca = "certs/ca.pem"
members = [{address = "127.0.0.1:8444"}]
[broker]
cluster = "us"
site_id = 1
listen = ["127.0.0.1:8444"]
cert = "certs/broker.pem"
key = "`+filepath.Join(dir, "certs", "broker.key")+`"
seed = "setup/b.toml"
`)
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	given := 0
	for _, p := range c.paths() {
		if *p == "" {
			continue
		}
		given++
		if !strings.HasPrefix(*p, dir+"/") {
			t.Errorf("%q is not below %s", *p, dir)
		}
	}
	if given < 13 {
		t.Errorf("only %d paths are given", given)
	}
	if want := filepath.Join(dir, "state", "broker.db"); c.Broker.Database.Path != want {
		t.Errorf("database %s, want %s", c.Broker.Database.Path, want)
	}
	setup, err := LoadSetup(c.Broker.Seed, c.monitorNames(), "us")
	if err != nil {
		t.Fatal(err)
	}
	d := setup.Directories[0]
	if d.CA != filepath.Join(dir, "certs", "ca.pem") || d.BindPassword != "file:"+filepath.Join(dir, "secrets", "ldap") {
		t.Errorf("ca %q, bind_password %q", d.CA, d.BindPassword)
	}
}

func TestSetupPathsAreAbsolute(t *testing.T) {
	// A setup goes into the database, where no working directory is known.
	setup, err := LoadSetup("broker.toml", []string{"is_alive"}, "us")
	if err != nil {
		t.Fatal(err)
	}
	if path, ok := strings.CutPrefix(setup.Directories[0].BindPassword, "file:"); !ok || !filepath.IsAbs(path) {
		t.Errorf("bind_password %q", setup.Directories[0].BindPassword)
	}
	if want := (redirect.Config{Attribute: "departmentNumber", Match: "begins-with", Rules: "UK-7 > uk if_assigned_only\nUK- > uk\n"}); *setup.Directories[1].Redirect != want {
		t.Errorf("redirect %+v", *setup.Directories[1].Redirect)
	}
}

func TestSetupForABrokerElsewhere(t *testing.T) {
	// `switchpoint apply` knows neither the monitors nor the cluster of the broker that it asks.
	if _, err := LoadSetup("broker.toml", nil, ""); err != nil {
		t.Error(err)
	}
	_, err := LoadSetup("testdata/bad/setup/redirect.broker.toml", nil, "")
	if err == nil || strings.Contains(err.Error(), "monitor") || !strings.Contains(err.Error(), "destination[1].url") {
		t.Errorf("%v", err)
	}
	if _, err := LoadSetup("broker.toml", nil, "us"); err == nil || !strings.Contains(err.Error(), "destination[0].monitor") {
		t.Errorf("a monitor that the process lacks: %v", err)
	}
}

func TestHealthConfigHasTheChecksOfGTMAndLB(t *testing.T) {
	c, err := Load("minimal.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := []healthcheck.Key{{Address: "127.0.0.1:8080", Monitor: "is_alive"}, {Address: "127.0.0.1:8081", Monitor: "is_alive"}}
	if h := c.HealthConfig(); !slices.Equal(h.Checks, want) || len(h.Monitors) != 1 {
		t.Errorf("%+v", h)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.toml")
	writeFile(t, large, strings.Repeat("# comment\n", maxFile/10+1))
	for path, want := range map[string]string{
		filepath.Join(dir, "missing.toml"): "cannot be read: no such file or directory; check the path, and who may read it",
		dir:                                "is a folder; give the TOML file inside it",
		large:                              "is larger than 4 MiB; split it, or check that it is the right file",
	} {
		want = path + ": " + want
		if _, err := Load(path); err == nil || err.Error() != want {
			t.Errorf("Load: %v, want %s", err, want)
		}
		if _, err := LoadSetup(path, nil, "us"); err == nil || err.Error() != want {
			t.Errorf("LoadSetup: %v, want %s", err, want)
		}
	}
	if _, err := ParseSetup("b.toml", make([]byte, maxFile+1), nil, "us"); err == nil || !strings.Contains(err.Error(), "4 MiB") {
		t.Errorf("ParseSetup: %v", err)
	}
}

func TestAdminTokenThatEverybodyCanRead(t *testing.T) {
	dir := t.TempDir()
	writeCertificates(t, dir, "admin")
	token := filepath.Join(dir, "token")
	writeFile(t, token, "x")
	if err := os.Chmod(token, 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a.toml")
	writeFile(t, path, lbOnly+"[admin]\nlisten = \"127.0.0.1:9443\"\ncert = \"certs/admin.pem\"\nkey = \"certs/admin.key\"\ntoken_file = \"token\"\n")
	_, err := Load(path)
	if err == nil || !strings.Contains(err.Error(), "a.toml:13: admin.token_file: "+token+" can be read by everybody") {
		t.Errorf("%v", err)
	}
}

func TestProblemsAreSortedAndComeOnce(t *testing.T) {
	p := Problems{}
	p = append(p, fileProblem("b.toml", 1, "x", "")...)
	p = append(p, fileProblem("a.toml", 9, "x", "")...)
	p = append(p, fileProblem("main.toml", 7, "x", "")...)
	p = append(p, fileProblem("a.toml", 2, "x", "")...)
	p = append(p, fileProblem("main.toml", 7, "x", "")...)
	if got, want := p.err("main.toml").Error(), "main.toml:7: x\na.toml:2: x\na.toml:9: x\nb.toml:1: x"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := (Problems{}).err("main.toml"); err != nil {
		t.Errorf("no problem is an error: %v", err)
	}
}

// FuzzLoad holds against arbitrary files, of a process and of a setup: an error with its place,
// or a configuration whose effective form loads again.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{"minimal.toml", "switchpoint.toml", "broker.toml", "minimal.broker.toml", "demo/us-gtm.toml", "demo/us-broker-1.toml"} {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	bad, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range bad {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("lb = {listener = [{}], pool = [1]}\n[node]\nname=\"\"")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "/dev/") || strings.Contains(text, "/proc/") {
			return // endless files are for the operator to avoid
		}
		start := time.Now()
		c, err := load(filepath.Join(dir, "fuzz.toml"), text)
		if _, setupErr := ParseSetup(filepath.Join(dir, "fuzz.toml"), []byte(text), nil, "us"); setupErr != nil {
			wantPlaces(t, setupErr, text)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("took %s", took)
		}
		if err != nil {
			wantPlaces(t, err, text)
			return
		}
		if _, err := load(c.File, effectiveText(t, c)); err != nil {
			t.Errorf("the effective form is refused: %v\n%s", err, effectiveText(t, c))
		}
	})
}

// wantPlaces fails for a problem that says nothing, or whose line the text does not have.
func wantPlaces(t *testing.T, err error, text string) {
	t.Helper()
	problems, ok := err.(Problems)
	if !ok || len(problems) == 0 {
		t.Fatalf("the error is %T: %v", err, err)
	}
	for _, p := range problems {
		if p.What == "" || p.File == "" {
			t.Errorf("a problem without words: %+v", p)
		}
		if p.Line < 1 || p.Line > 1+strings.Count(text, "\n") {
			t.Errorf("%v: the text has no such line", p)
		}
	}
}

func TestNotes(t *testing.T) {
	dir := t.TempDir()
	main := filepath.Join(dir, "node.toml")
	writeFile(t, main, `
[[monitor]]
name = "m"
kind = "https"
no_verify = true

[broker]
cluster = "c"
site_id = 1
listen = ["127.0.0.1:8081", "192.0.2.1:8081"]
seed = "b.toml"

[broker.database]
kind = "postgres"
hosts = ["127.0.0.1:5432", "192.0.2.2:5432"]
name = "switchpoint"
user = "switchpoint"
tls = "off"
`)
	writeFile(t, filepath.Join(dir, "b.toml"), `
[[directory]]
name = "corp"
servers = ["ldap://10.0.0.1"]
base_dn = "dc=x"
allow_plain = true
`)
	c, err := Load(main)
	if err != nil {
		t.Fatal(err)
	}
	notes := c.Notes()
	if len(notes) != 4 || notes[0].Line != 5 || notes[1].Line != 10 || notes[2].Line != 18 || notes[3].Line != 6 || notes[3].File != filepath.Join(dir, "b.toml") {
		t.Errorf("%v", notes)
	}
}
