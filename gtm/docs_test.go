package gtm

import (
	"bytes"
	"errors"
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

var update = flag.Bool("update", false, "write the transcripts of docs/gtm-dns.md anew")

const docsPage = "../docs/gtm-dns.md"

// TestDocsPage serves the configuration and the zone that docs/gtm-dns.md shows, runs each of its
// dig and kdig commands and compares what they print with the page.
func TestDocsPage(t *testing.T) {
	page, err := os.ReadFile(docsPage)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```([a-z-]+)\n(.*?)^```\n")
	var config, zone string
	for _, b := range blocks.FindAllSubmatch(page, -1) {
		switch string(b[1]) {
		case "toml":
			config = string(b[2])
		case "dns-zone":
			zone = string(b[2])
		}
	}
	port := serveDocs(t, config, zone)
	commands := 0
	next := blocks.ReplaceAllFunc(page, func(b []byte) []byte {
		m := blocks.FindSubmatch(b)
		if string(m[1]) != "console" {
			return b
		}
		var out bytes.Buffer
		for _, part := range transcripts(string(m[2])) {
			got := runTool(t, part.command, port)
			if !*update && masked(got) != masked(part.output) {
				t.Errorf("$ %s\nprints:\n%s\nthe page has:\n%s", part.command, got, part.output)
			}
			commands++
			out.WriteString("$ " + part.command + "\n" + got)
		}
		return []byte("```console\n" + out.String() + "```\n")
	})
	if commands < 10 {
		t.Errorf("the page has only %d commands", commands)
	}
	if *update {
		if err := os.WriteFile(docsPage, next, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// serveDocs serves the page's configuration and gives the port.
func serveDocs(t *testing.T, config, zone string) string {
	t.Helper()
	var file struct {
		Datacenter []struct{ Name string }
		Gtm        Config
	}
	if meta, err := toml.Decode(config, &file); err != nil || len(meta.Undecoded()) > 0 {
		t.Fatalf("the configuration of the page: %v, unknown keys %v", err, meta.Undecoded())
	}
	cfg := file.Gtm
	for _, dc := range file.Datacenter {
		cfg.Datacenters = append(cfg.Datacenters, dc.Name)
	}
	cfg.Datacenter = cfg.Datacenters[0]
	cfg.Listen = []string{"127.0.0.1:0"}
	path := filepath.Join(t.TempDir(), cfg.Zones[0].File)
	if err := os.WriteFile(path, []byte(zone), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Zones[0].File = path
	table, err := Compile(cfg, anyRef)
	if err != nil {
		t.Fatal(err)
	}
	_, addr := startServer(t, Options{}, table)
	return strconv.Itoa(int(netip.MustParseAddrPort(addr).Port()))
}

// transcript is a command and what it prints.
type transcript struct{ command, output string }

func transcripts(block string) []transcript {
	var out []transcript
	for line := range strings.Lines(block) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			out = append(out, transcript{command: strings.TrimSpace(command)})
			continue
		}
		out[len(out)-1].output += line
	}
	return out
}

// docsPort stands on the page for the port of the server.
const docsPort = "5300"

// runTool runs a dig or kdig command of the page, without the user's own settings.
func runTool(t *testing.T, command, port string) string {
	t.Helper()
	words := strings.Fields(command)
	if words[0] != "dig" && words[0] != "kdig" {
		t.Fatalf("the command %q is neither dig nor kdig", command)
	}
	for i, w := range words {
		if w == docsPort {
			words[i] = port
		}
	}
	if words[0] == "dig" {
		words = append(words[:1], append([]string{"-r"}, words[1:]...)...)
	}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC", "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf(`%s: %v; run "make deps"`, words[0], err)
	}
	text := strings.ReplaceAll(string(out), port, docsPort)
	return strings.TrimLeft(strings.Replace(text, " -r @", " @", 1), "\n")
}

// masked takes out what differs from run to run.
func masked(s string) string {
	for _, m := range [][2]string{
		{`<<>> DiG .* <<>>`, "<<>> DiG <<>>"},
		{`id: \d+`, "id: N"},
		{`Query time: \d+ msec`, "Query time: N msec"},
		{`WHEN: .*`, "WHEN: T"},
		{`COOKIE: [0-9a-f]+`, "COOKIE: C"},
		{`;; Time .*`, ";; Time T"},
		{`in [0-9.]+ ms`, "in N ms"},
	} {
		s = regexp.MustCompile(m[0]).ReplaceAllString(s, m[1])
	}
	return s
}
