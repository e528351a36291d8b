package configs

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

var tomlBlock = regexp.MustCompile("(?ms)^```toml\n(.*?)^```$")

// Every example of the page about monitors is one: it loads as it stands.
func TestMonitorsPageLoads(t *testing.T) {
	page, err := os.ReadFile("../docs/monitors.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := tomlBlock.FindAllSubmatch(page, -1)
	if len(blocks) < 11 {
		t.Errorf("%d examples, want one for each kind", len(blocks))
	}
	// A file needs a role; this one refers to no monitor.
	const role = "\n[[datacenter]]\nname = \"us\"\n[lb]\n[[lb.listener]]\nname = \"main\"\nlisten = \"127.0.0.1:8080\"\npool = \"p\"\n" +
		"[[lb.pool]]\nname = \"p\"\nmembers = [{address = \"192.0.2.1:80\"}]\n"
	dir := t.TempDir()
	for i, block := range blocks {
		path := filepath.Join(dir, strconv.Itoa(i)+".toml")
		writeFile(t, path, string(block[1])+role)
		c, err := Load(path)
		if err != nil {
			t.Errorf("%v\n%s", err, block[1])
			continue
		}
		if len(c.Monitors) == 0 {
			t.Errorf("no monitor in\n%s", block[1])
		}
	}
}
