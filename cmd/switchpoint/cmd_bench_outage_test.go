package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchpoint/bench/outagebench"
)

// TestBenchOutageQuick: with real servers on a small load the database vanishes and comes back, the broker
// says so in its order, and each part has its figures. What they are is for `make bench-outage`: under the
// race detector, beside other tests, a login may wait for longer than anybody wants.
func TestBenchOutageQuick(t *testing.T) {
	t.Setenv(asMain, "1")
	dir := t.TempDir()
	jsonFile, svgFile := filepath.Join(dir, "bench.json"), filepath.Join(dir, "bench.svg")
	var out, errs bytes.Buffer
	if code := execute([]string{"bench", "outage", "--quick", "--json", jsonFile, "--svg", svgFile}, strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out.String(), errs.String())
	}
	text, err := os.ReadFile(jsonFile)
	if err != nil {
		t.Fatal(err)
	}
	var report outagebench.Report
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, row := range report.Rows {
		values[row.Name] = row.Value
	}
	for _, want := range []string{
		"logins of one broker, with the database", "logins of one broker, from the host cache", "merge after the outage",
		"fast: the broker's mode says that the database is gone", "400 users, 200 desktops: copied into the host cache",
	} {
		if !(values[want] > 0) {
			t.Errorf("%s: %v", want, values[want])
		}
	}
	if len(report.Switches) != 1 || len(report.Copies) != 1 {
		t.Fatalf("%d switches, %d copies", len(report.Switches), len(report.Copies))
	}
	s := report.Switches[0]
	if s.OK == 0 || s.OK+s.Failed != s.Offered || s.Alive == 0 || !(0 < s.Gone && s.Gone < s.Mode && s.Mode < s.Back && s.Back < s.Normal) {
		t.Errorf("%+v", s)
	}
	if svg, err := os.ReadFile(svgFile); err != nil || !bytes.HasPrefix(svg, []byte("<svg ")) || !bytes.Contains(svg, []byte("the database vanishes")) {
		t.Errorf("plot: %.40q, %v", svg, err)
	}
	if !strings.Contains(out.String(), "The database vanishes while users sign in") {
		t.Errorf("no table in\n%s", out.String())
	}
}

func TestBenchOutageRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		`no part "quux"`:           {"bench", "outage", "--parts", "quux"},
		`no outage profile "slow"`: {"bench", "outage", "--profile", "slow"},
		"whole seconds":            {"bench", "outage", "--hold", "100ms"},
	} {
		var out, errs bytes.Buffer
		if code := execute(args, strings.NewReader(""), &out, &errs); code != 2 || !strings.Contains(errs.String(), want) {
			t.Errorf("%q: exit %d: %s", args, code, errs.String())
		}
	}
}
