package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchpoint/broker/api/conformance"
	"switchpoint/internal/covers"
)

// TestConformanceOfLogin plays the broker for `switchpoint login` itself, as its users run it.
func TestConformanceOfLogin(t *testing.T) {
	covers.Req(t, "LG5")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	run := asMain + `=1 exec '` + program + `' login --url "$SWITCHPOINT_URL" --ca "$SWITCHPOINT_CA" --user "$SWITCHPOINT_USER" --new-password-file "$SWITCHPOINT_NEW_PASSWORD_FILE" --timeout 30s`
	code, out, errOut := cli(t, "conformance", "client", "--listen", "127.0.0.1:0", "--ca-file", ca, "--slow", "1s", "--json", "--run", run)
	var report conformance.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("exit %d, %v\n%s\n%s", code, err, out, errOut)
	}
	if code != 0 || !report.Passed() || len(report.Strays) > 0 {
		t.Errorf("exit %d\n%s\n%s", code, out, errOut)
	}
	for _, r := range report.Results {
		if len(r.Findings) > 0 {
			t.Errorf("%s: %+v", r.Scenario, r.Findings)
		}
	}
}

// TestConformanceFinds: a client that does wrong is told so, in a table, by findings and exit status.
func TestConformanceFinds(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	code, out, errOut := cli(t, "conformance", "client", "--listen", "127.0.0.1:0", "--ca-file", ca, "--only", "offers,refused-policy", "--run", "true")
	for _, want := range []string{"offers", "not played", "0 passed, 0 failed, 2 not played", "the run of refused-policy ended with status 0, want another status than 0"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if code == 0 || !strings.Contains(errOut, "ended with another status than their scenario") {
		t.Errorf("exit %d, %s", code, errOut)
	}
	code, out, errOut = cli(t, "conformance", "client", "--listen", "127.0.0.1:0", "--ca-file", ca, "--only", "offers", "--wait", "1ms")
	if code == 0 || !strings.Contains(out, "not played") || !strings.Contains(errOut, "with the password "+conformance.Password) || !strings.Contains(errOut, "does not conform") {
		t.Errorf("exit %d, %s, %s", code, out, errOut)
	}
	if code, out, _ := cli(t, "conformance", "client", "--list"); code != 0 || !strings.Contains(out, "redirect-ticket") {
		t.Errorf("exit %d, %s", code, out)
	}
	if code, _, errOut := cli(t, "conformance", "client", "--only", "x"); code == 0 || !strings.Contains(errOut, "there is no scenario") {
		t.Errorf("exit %d, %s", code, errOut)
	}
}
