package configs

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func effectiveText(t *testing.T, c *Config) string {
	t.Helper()
	var out bytes.Buffer
	if err := Effective(&out, c); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestEffectiveSaysWhereValuesComeFrom(t *testing.T) {
	c, err := Load("switchpoint.toml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("switchpoint.toml")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	values := effectiveValues(t, c)
	for path, want := range map[string]setting{
		"log.level":                             {`"info"`, "default"},
		"monitor[0].interval":                   {`"5s"`, "default"},
		"lb.pool[0].persistence_timeout":        {`"5m"`, "default"},
		"lb.listener[0].legacy_probe":           {`true`, "default"},
		"broker.database.path":                  {`"/var/lib/switchpoint/broker.db"`, "default"},
		"gtm.name[0].pool[0].members[1].weight": {`1`, "default"},
	} {
		if values[path] != want {
			t.Errorf("%s: %+v, want %+v", path, values[path], want)
		}
	}
	given := 0
	for path, v := range values {
		if v.origin == "default" {
			continue
		}
		given++
		n := c.lines.line(path)
		key := path[strings.LastIndexByte(path, '.')+1:]
		if want := "switchpoint.toml:" + lineNumber(n); v.origin != want || !strings.Contains(lines[n-1], key+" = ") {
			t.Errorf("%s comes from %s, line %d is %q", path, v.origin, n, lines[n-1])
		}
	}
	if given < 40 {
		t.Errorf("only %d values come from the file", given)
	}
}

func lineNumber(n int) string { return strings.Trim(element("", n), "[]") }

// TestEffectiveLoadsAgain: what `check --effective` prints is itself a configuration, and the
// same one.
func TestEffectiveLoadsAgain(t *testing.T) {
	path, _ := withAllSettings(t, "switchpoint.toml")
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := load(filepath.Join(t.TempDir(), "elsewhere.toml"), effectiveText(t, c))
	if err != nil {
		t.Fatalf("%v\n%s", err, effectiveText(t, c))
	}
	full, more := c.withDefaults(), again.withDefaults()
	full.lines, more.lines, full.File, more.File = nil, nil, "", ""
	full.GTM.Serial, more.GTM.Serial = 0, 0 // of the file
	if !reflect.DeepEqual(full, more) {
		t.Errorf("got  %+v\nwant %+v", more, full)
	}
}

func TestEffectiveHidesCredentials(t *testing.T) {
	c, err := load("x.toml", lbOnly+`
[[monitor]]
name = "m"
kind = "http"
headers = ["X-Probe: 1", "authorization: Basic czNjcjN0", "X-Api-Key: s3cr3t", "Cookie: s=s3cr3t"]
send = "GET / HTTP/1.1\r\nHost: x\r\nProxy-Authorization: s3cr3t\r\n\r\n"
`)
	if err != nil {
		t.Fatal(err)
	}
	text := effectiveText(t, c)
	if strings.Contains(text, "s3cr3t") || strings.Contains(text, "czNjcjN0") {
		t.Errorf("a credential is shown:\n%s", text)
	}
	if !strings.Contains(text, `headers = ["X-Probe: 1", "authorization: (hidden)", "X-Api-Key: (hidden)", "Cookie: (hidden)"]`) {
		t.Errorf("more than the credentials is hidden:\n%s", text)
	}
}

func TestShortDuration(t *testing.T) {
	for span, want := range map[time.Duration]string{
		500 * time.Millisecond: "500ms", 90 * time.Second: "1m30s", 5 * time.Minute: "5m", 10 * time.Hour: "10h",
		time.Hour + 10*time.Minute: "1h10m", 30 * time.Second: "30s", time.Hour + time.Second: "1h0m1s",
	} {
		if got := shortDuration(span); got != want {
			t.Errorf("%v: %q, want %q", span, got, want)
		}
	}
}
