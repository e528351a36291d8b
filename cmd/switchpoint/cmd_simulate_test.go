package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchpoint/bench/simulate"
)

func TestSimulateQuick(t *testing.T) {
	dir := t.TempDir()
	jsonFile, svgFile := filepath.Join(dir, "sim.json"), filepath.Join(dir, "sim.svg")
	var out, errs bytes.Buffer
	args := []string{"simulate", "--quick", "--scenario", "stall,equal", "--policy", "least-response-time,traefik", "--json", jsonFile, "--svg", svgFile}
	if code := execute(args, strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out.String(), errs.String())
	}
	text, err := os.ReadFile(jsonFile)
	if err != nil {
		t.Fatal(err)
	}
	var report simulate.Report
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Scenarios) != 2 || len(report.Policies) != 2 {
		t.Fatalf("%d scenarios, %d policies", len(report.Scenarios), len(report.Policies))
	}
	for _, s := range report.Scenarios {
		for _, row := range s.Rows {
			if row.P99 < 50 || row.P99 > 200 || len(row.Runs) != report.Seeds {
				t.Errorf("%s, %s: p99 %v of %d runs", s.ID, row.Policy, row.P99, len(row.Runs))
			}
		}
	}
	if svg, err := os.ReadFile(svgFile); err != nil || !bytes.HasPrefix(svg, []byte("<svg ")) {
		t.Errorf("plot: %.40q, %v", svg, err)
	}
	for _, want := range []string{"5 equal servers, 70 % load, 60 s (equal)", "traefik", "of its fair share at least >= 0.8"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestSimulateRefuses(t *testing.T) {
	var out, errs bytes.Buffer
	if code := execute([]string{"simulate", "--policy", "best"}, strings.NewReader(""), &out, &errs); code != 2 || !strings.Contains(errs.String(), `no policy "best"`) {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}
