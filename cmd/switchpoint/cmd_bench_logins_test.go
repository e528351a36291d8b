package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	loginbench "switchpoint/bench/logins"
	"switchpoint/internal/covers"
)

// TestBenchLoginsQuick runs the whole chain with real servers on a small load: everything starts, each
// run has its figures and its histogram, and no login fails. Limits of speed are for `make bench-logins`.
func TestBenchLoginsQuick(t *testing.T) {
	t.Setenv(asMain, "1")
	dir := t.TempDir()
	jsonFile, svgFile := filepath.Join(dir, "bench.json"), filepath.Join(dir, "bench.svg")
	var out, errs bytes.Buffer
	args := []string{"bench", "logins", "--quick", "--parts", "chain,journeys,steps,soak,limit", "--store", "postgres", "--json", jsonFile, "--svg", svgFile}
	if code := execute(args, strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out.String(), errs.String())
	}
	text, err := os.ReadFile(jsonFile)
	if err != nil {
		t.Fatal(err)
	}
	var report loginbench.Report
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, v := range report.Runs {
		names[v.Name] = true
		if v.Failed > 0 || v.Busy > 0 || v.OK == 0 || v.OK != v.Offered {
			t.Errorf("%s: %d offered, %d ok, errors %v", v.Name, v.Offered, v.OK, v.Errors)
		}
		if v.Rate < 0 || v.Login.Histogram == "" || v.Login.P50 <= 0 || len(v.CPU.Used) == 0 {
			t.Errorf("%s: rate %v, p50 %v, histogram of %d bytes, CPU %v", v.Name, v.Rate, v.Login.P50, len(v.Login.Histogram), v.CPU)
		}
	}
	for _, want := range []string{"login, new TLS connection each, postgres", "login, kept connections, postgres", "whole journey, new TLS connection each, postgres", "profile ours", "profile form"} {
		if !names[want] {
			t.Errorf("no run %q", want)
		}
	}
	if svg, err := os.ReadFile(svgFile); err != nil || !bytes.HasPrefix(svg, []byte("<svg ")) || !bytes.Contains(svg, []byte("published 2018, other hardware")) {
		t.Errorf("plot: %.40q, %v", svg, err)
	}
	for _, want := range []string{"postgresql 1", "slapd 2", "CPU, ms per login", "throughput over load"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if report.Versions["postgresql"] == "" || report.Versions["slapd"] == "" || len(report.Settings) == 0 {
		t.Errorf("versions %v, settings %v", report.Versions, report.Settings)
	}
	for _, want := range []string{"fsync and synchronous_commit on", "without resumption", "127.64.0.0/10", "checkpoints", "a login as 30 statements"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	if !slices.ContainsFunc(report.Rows, func(r loginbench.Row) bool {
		return r.Name == "one broker of the original" && r.Value == 5 && r.Note == "published 2018, other hardware"
	}) {
		t.Error("no row of the original")
	}
	covers.Req(t, "BN1", "BN2")
}

func TestBenchLoginsRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		`no part "quux"`:    {"bench", "logins", "--parts", "quux"},
		`no store "oracle"`: {"bench", "logins", "--store", "oracle"},
		"no http(s) URL":    {"bench", "logins", "--profile", "ours"},
		"--people is":       {"bench", "logins", "--profile", "ours", "--url", "https://127.0.0.1:1"},
		"whole seconds":     {"bench", "storm", "--for", "100ms"},
	} {
		var out, errs bytes.Buffer
		if code := execute(args, strings.NewReader(""), &out, &errs); code != 2 || !strings.Contains(errs.String(), want) {
			t.Errorf("%q: exit %d: %s", args, code, errs.String())
		}
	}
}
