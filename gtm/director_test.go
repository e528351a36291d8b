package gtm

import (
	"testing"
	"time"

	"switchpoint/gtm/steer"
)

// TestReloadWakesTheDirector: what becomes due in a table that was set while the director slept is not
// missed: nothing else would wake it.
func TestReloadWakesTheDirector(t *testing.T) {
	named := func(name string) *Table {
		cfg := goodConfig()
		cfg.Names[0].Name, cfg.Names[0].Monitor = name, ""
		return compiled(t, cfg)
	}
	s, _ := startServer(t, Options{Name: "n1"}, named("cb.company.com"))
	word := steer.Override{Pattern: "new.company.com/us", State: "down", From: time.Now().Add(700 * time.Millisecond), Note: note("test")}
	if _, _, err := s.Operate(t.Context(), "ann", Force(word), false); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the director to have heard it", func() bool { return len(s.nudge) == 0 })
	s.SetTable(named("new.company.com"))
	if in(s) != "us uk" {
		t.Fatalf("the override begins later; in: %s", in(s))
	}
	waitFor(t, "the override to begin", func() bool { return in(s) == "uk" })
}
