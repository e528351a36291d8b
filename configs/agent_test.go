package configs

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"switchpoint/broker/agent"
)

// TestAgentFile loads the file of docs/agent.md.
func TestAgentFile(t *testing.T) {
	page, err := os.ReadFile("../docs/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```toml\n")
	text, _, _ = strings.Cut(text, "```")
	path := filepath.Join(t.TempDir(), "agent.toml")
	writeFile(t, path, text)
	c, err := LoadAgent(path)
	want := agent.Config{
		Brokers: []string{"https://cb1.company.com", "https://cb2.company.com"}, CA: "/etc/switchpoint/ca.pem", Token: "file:/etc/switchpoint/agent.token",
		StateDir: "/var/lib/switchpoint-agent", Desktop: "uk-floor-1", ResetCommand: []string{"/usr/local/sbin/clean-desktop"},
	}
	if err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("%+v, %v", c, err)
	}
	writeFile(t, path, text+"brokrs = []\n\n[agent]\n")
	if _, err := LoadAgent(path); err == nil || !strings.Contains(err.Error(), "agent.toml:") || !strings.Contains(err.Error(), "brokrs") {
		t.Errorf("an unknown key: %v", err)
	}
	writeFile(t, path, `brokers = ["http://cb.company.com"]`)
	if _, err := LoadAgent(path); err == nil || !strings.Contains(err.Error(), "agent.toml:1: brokers[0]") {
		t.Errorf("plain http: %v", err)
	}
}

// TestPowerOfThePage reads the power actions of docs/agent.md.
func TestPowerOfThePage(t *testing.T) {
	page, err := os.ReadFile("../docs/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```toml\n[[power]]")
	text, _, _ = strings.Cut(text, "```")
	s, err := ParseSetup("broker.toml", []byte("[[power]]"+text), nil, "")
	if err != nil || len(s.Powers) != 2 || s.Powers[0].Expect[3] != 409 || s.Powers[1].Kind != "wol" || s.DesktopPools[0].Power != "hypervisor" {
		t.Errorf("%+v, %v", s, err)
	}
}
