package redirect

import (
	"fmt"
	"strings"
)

// Judged is one rule with what it comes to in a decision.
type Judged struct {
	Rule
	// Verdict is "taken", "does not apply", "no answer", "not possible" or, for rules behind the one that
	// was taken, "not reached".
	Verdict string
	Why     string
}

// Review judges all rules, as Decide judges them up to the one that it takes. It is for people who ask
// what the rules do, not for logins.
func Review(t *Table, q Question) []Judged {
	out := make([]Judged, len(t.rules))
	values := attribute(q.Attributes, t.attribute)
	decided := 0 // the line that was taken
	for i := range t.rules {
		r := &t.rules[i]
		v, why := judge(t, r, q, values)
		out[i] = Judged{Rule: r.Rule, Verdict: v.String(), Why: why}
		if decided > 0 {
			out[i].Verdict, out[i].Why = "not reached", fmt.Sprintf("not reached, line %d was taken; this one %s", decided, instead(v, why))
		} else if v == taken {
			decided = r.Line
		}
	}
	return out
}

// instead says what a rule would have come to that was not reached.
func instead(v verdict, why string) string {
	switch v {
	case taken:
		return "would be taken" + strings.TrimPrefix(why, "taken")
	case unanswered:
		return "applies if a desktop is assigned there, which nobody asked"
	}
	return why
}

// String gives the word for people.
func (v verdict) String() string {
	return [...]string{"does not apply", "no answer", "not possible", "taken"}[v]
}

// caseSensitive says whether values differ if only their case does (RD2).
func (c Config) caseSensitive() bool { return c.CaseSensitive == nil || *c.CaseSensitive }

// Summary says in one line what the rules look at and what counts when none is taken.
func (c Config) Summary() string {
	or := func(s, fallback string) string {
		if s == "" {
			return fallback
		}
		return s
	}
	sensitive := "case sensitive"
	if !c.caseSensitive() {
		sensitive = "case ignored"
	}
	return fmt.Sprintf("%s %s (%s); default %s; home_unavailable %s", or(c.Attribute, "-"), or(c.Match, "-"), sensitive,
		or(c.Default, optionLogInHere), or(c.HomeUnavailable, optionRefuse))
}
