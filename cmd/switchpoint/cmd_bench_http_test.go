package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchpoint/bench/httpbench"
)

// TestBenchHTTPQuick runs the benchmark beside real peers on a small load: everything starts, each
// row has its figures, no healthy request fails. Limits of speed are for `make bench-lb`.
func TestBenchHTTPQuick(t *testing.T) {
	t.Setenv(asMain, "1")
	dir := t.TempDir()
	jsonFile, svgFile := filepath.Join(dir, "bench.json"), filepath.Join(dir, "bench.svg")
	var out, errs bytes.Buffer
	args := []string{"bench", "http", "--quick", "--rows", "1k,tls-new,slow", "--json", jsonFile, "--svg", svgFile}
	if code := execute(args, strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out.String(), errs.String())
	}
	text, err := os.ReadFile(jsonFile)
	if err != nil {
		t.Fatal(err)
	}
	var report httpbench.Report
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, row := range report.Rows {
		ids = append(ids, row.ID)
		want := 3
		if row.ID == "allocs" {
			want = 1
		}
		if len(row.Figures) != want {
			t.Errorf("%s has %d figures", row.ID, len(row.Figures))
		}
		for _, f := range row.Figures {
			if f.Value <= 0 && row.ID != "allocs" {
				t.Errorf("%s: %s has the figure %v", row.ID, f.Server, f.Value)
			}
		}
		for _, g := range row.Gates {
			if strings.Contains(g.What, "healthy requests") && (!g.Holds || !strings.Contains(g.What, "of 500 ")) {
				t.Errorf("%v %s", g.Value, g.What)
			}
		}
	}
	if got := strings.Join(ids, " "); got != "1k allocs tls-new slow" {
		t.Errorf("rows %s", got)
	}
	if svg, err := os.ReadFile(svgFile); err != nil || !bytes.HasPrefix(svg, []byte("<svg ")) {
		t.Errorf("plot: %.40q, %v", svg, err)
	}
	for _, want := range []string{"haproxy 2", "nginx 1", "wrk ", "us CPU per request", "x haproxy"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestBenchHTTPRefuses(t *testing.T) {
	var out, errs bytes.Buffer
	if code := execute([]string{"bench", "http", "--rows", "1k,2k"}, strings.NewReader(""), &out, &errs); code != 2 || !strings.Contains(errs.String(), `no row "2k"`) {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}
