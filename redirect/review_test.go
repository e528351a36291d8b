package redirect

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestReview(t *testing.T) {
	table, err := Compile(Config{Attribute: "dn", Match: "contains", Rules: `OU=DE > de
OU=US > us if_assigned_only
OU=US > de if_assigned_only
# a comment
OU=US > uk
OU=US > us
OU=FR > de
OU=US > de if_assigned_only`}, []Destination{{Name: "us", Cluster: "us"}, {Name: "de", Cluster: "de"}, {Name: "uk", Cluster: "uk"}}, "uk")
	if err != nil {
		t.Fatal(err)
	}
	got := Review(table, Question{
		Attributes: map[string][]string{"dn": {"OU=US"}},
		Available:  func(d string) (bool, string) { return d != "us", "refused" },
		Assigned:   map[string]Assigned{"us": {Answer: Yes}},
	})
	want := []struct {
		line         int
		verdict, why string
	}{
		{1, "does not apply", `no value of dn contains "OU=DE"`},
		{2, "not possible", "not available (refused)"},
		{3, "no answer", "no answer on whether a desktop is assigned there"},
		{5, "taken", "the destination is this cluster"},
		{6, "not reached", "line 5 was taken; this one applies, but the destination is not available"},
		{7, "not reached", "line 5 was taken; this one does not apply"},
		{8, "not reached", "which nobody asked"},
	}
	if len(got) != len(want) {
		t.Fatalf("%d rules, want %d", len(got), len(want))
	}
	for i, w := range want {
		if g := got[i]; g.Line != w.line || g.Verdict != w.verdict || !strings.Contains(g.Why, w.why) {
			t.Errorf("line %d: %q, %q; want line %d, %q, %q", g.Line, g.Verdict, g.Why, w.line, w.verdict, w.why)
		}
	}
}

// Review and Decide never differ on which rule is taken.
func TestReviewFollowsDecide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for n, a := range w.truth {
			w.q.Assigned[n] = Assigned{Answer: a}
		}
		d := Decide(w.table, w.q)
		line := 0
		for _, j := range Review(w.table, w.q) {
			if j.Verdict == "taken" {
				if line > 0 {
					t.Fatal("two rules are taken")
				}
				line = j.Line
			}
		}
		decided := 0
		if d.Rule != nil && strings.Contains(strings.Join(d.Reason, "\n"), ": taken, ") {
			decided = d.Rule.Line
		}
		if line != decided {
			t.Fatalf("Review takes line %d, Decide %d: %q", line, decided, d.Reason)
		}
	})
}

func TestSummary(t *testing.T) {
	sensitive := false
	for want, c := range map[string]Config{
		"- - (case sensitive); default log-in-here; home_unavailable refuse": {},
		"dn contains (case ignored); default reject; home_unavailable log-in-here": {
			Attribute: "dn", Match: "contains", CaseSensitive: &sensitive, Default: "reject", HomeUnavailable: "log-in-here"},
	} {
		if got := c.Summary(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
