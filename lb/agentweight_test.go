package lb

import (
	"strings"
	"testing"

	"switchpoint/healthcheck"
)

// TestAgentWeight: what a member's agent says of its weight is its share of the clients, and is
// shown wherever the weight is.
func TestAgentWeight(t *testing.T) {
	cfg := tcpConfig(services(startService(t, greet("25%")), startService(t, greet("up")))...)
	cfg.Pools[0].Monitor = "agent"
	engine := startEngine(t, cfg, healthcheck.Monitor{Kind: "agent"})
	r := startWith(t, cfg, Options{Listeners: cfg.Listeners, Snapshot: engine.Snapshot}, engine.Ref)
	quarter := 0
	for range 20 {
		c, name := greeted(t, r.addr)
		if name == "25%" {
			quarter++
		}
		_ = c.Close()
	}
	if quarter != 4 {
		t.Errorf("a quarter of the weight gets %d of 20 clients, want 4", quarter)
	}
	if m := r.member("a"); m.AsksFor != 25 || m.Weight != 1 {
		t.Errorf("%+v", m)
	}
	why, err := r.Why("brokers", "a")
	if err != nil {
		t.Fatal(err)
	}
	for what, lines := range map[string][]string{"explain": r.Explain("front", loopback).Lines(), "why": why.Lines()} {
		if text := strings.Join(lines, "\n"); !strings.Contains(text, "its agent asks for 25 %") {
			t.Errorf("%s: %s", what, text)
		}
	}
}
