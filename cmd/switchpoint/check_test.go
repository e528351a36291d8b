package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// cli runs one command line in this process.
func cli(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = execute(args, strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// TestCheckBadFiles: `switchpoint check` prints for every bad file exactly the messages that its
// first lines announce, and exits 1.
func TestCheckBadFiles(t *testing.T) {
	t.Chdir("../../configs/testdata/bad")
	files, err := filepath.Glob("*.toml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d bad files (%v)", len(files), err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			code, out, errOut := cli(t, "check", "-c", file)
			out = strings.ReplaceAll(out, here+"/", "") // what a setup names is told with its whole path
			if code != 1 || errOut != "" {
				t.Errorf("exit %d, stderr %q", code, errOut)
			}
			if want := announced(t, file); out != want {
				t.Errorf("printed\n%swant\n%s", out, want)
			}
		})
	}
}

// announced reads the `# want: ` lines at the head of a bad file.
func announced(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		message, found := strings.CutPrefix(line, "# want: ")
		if !found {
			break
		}
		b.WriteString(message)
	}
	return b.String()
}

func TestCheckAcceptsTheSamples(t *testing.T) {
	t.Chdir("../../configs")
	for _, file := range []string{"minimal.toml", "switchpoint.toml"} {
		if code, out, errOut := cli(t, "check", "-c", file); code != 0 || !strings.Contains(out, "no problems") {
			t.Errorf("%s: exit %d\n%s%s", file, code, out, errOut)
		}
		if code, out, _ := cli(t, "check", "-c", file, "--effective"); code != 0 || !strings.Contains(out, "default") {
			t.Errorf("%s --effective: exit %d\n%s", file, code, out)
		}
	}
}

// TestUsage: what is not understood ends with status 2 and names the way to help.
func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"check"}, {"run"}, {"login"}, {"login", "--url", "https://x", "--domain", "y"}, {"explain"},
		{"explain", "--node", "x"}, {"probe"}, {"apply"}, {"apply", "-f", "x"}, {"reload"}, {"check", "--no-such-flag"},
		{"version", "extra"}, {"probe", "--address", "x:1", "--monitor", "m"}, {"frobnicate"}, {"health", "frobnicate"},
		{"probe", "--address", "x:1", "-c", "f", "--monitor", "m", "--kind", "tcp"},
		{"health", "force", "*", "--node", "x", "--state", "down", "--for", "-5m"},
		{"health", "force", "*", "--node", "x"},
	} {
		code, out, errOut := cli(t, args...)
		if code != 2 || out != "" || !strings.Contains(errOut, "--help") {
			t.Errorf("%q: exit %d, stdout %q, stderr %q", args, code, out, errOut)
		}
	}
}

func TestVersion(t *testing.T) {
	if code, out, _ := cli(t, "version"); code != 0 || !strings.HasPrefix(out, "switchpoint ") {
		t.Errorf("exit %d, %q", code, out)
	}
}

// TestExplainOffline: with a file alone, every check counts as up.
func TestExplainOffline(t *testing.T) {
	code, out, errOut := cli(t, "explain", "-c", "../../configs/minimal.toml", "--client", "192.0.2.7", "--name", "cb.company.com")
	if code != 0 || !strings.Contains(out, "127.0.0.1") || !strings.Contains(out, "assumed to be up") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	code, _, errOut = cli(t, "explain", "-c", "../../configs/minimal.toml", "--client", "192.0.2.7", "--name", "cb.company.com", "--type", "NOPE")
	if code != 1 || !strings.Contains(errOut, "NOPE") {
		t.Errorf("exit %d, %q", code, errOut)
	}
}
