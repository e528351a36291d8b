package lb

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"switchpoint/healthcheck/isalive"
	"switchpoint/lb/choice"
)

// Lines gives it as `switchpoint lb why` prints it, the verdict first.
func (w Why) Lines() []string {
	m := &w.Member
	mark := "-"
	if w.Takes() {
		mark = "+"
	}
	out := []string{fmt.Sprintf("%s %s/%s %s: %s", mark, w.Pool.Name, m.Name, m.Address, w.verdict())}
	add := func(what, format string, args ...any) {
		out = append(out, fmt.Sprintf("  %-12s ", what+":")+fmt.Sprintf(format, args...))
	}
	add("lately", "%s", w.share())
	if text := tally(m.Chosen, chosenOrder()); text != "" {
		add("chosen", "%s", text)
	}
	if text := tally(m.Requests, slices.Sorted(maps.Keys(m.Requests))); text != "" {
		add("answers", "%s", text)
	}
	add("state", "%s (%s)", m.State, m.Why)
	add("may serve", "%s", w.Pool.Serving)
	add("health", "%s (%s)%s", m.Health, m.HealthWhy, sinceText(m.Since))
	if m.Mode != "" {
		add("mode", "%s%s", m.Mode, sinceText(m.ModeSince))
	}
	for i := range m.Words {
		add("word", "%s", m.Words[i].told())
	}
	if m.Drain != "" {
		add("drain", "%s", m.Drain)
	}
	add("weight", "%s", w.weight())
	add("failures", "%s", w.failures())
	add("places", "%s", w.places())
	if m.Priority > 0 || w.InUse > 0 {
		add("priority", "%d; in use from %d up", m.Priority, w.InUse)
	}
	for _, c := range w.Costs {
		add("cost", "%s", c.text(w.Takes()))
	}
	if len(w.Costs) == 0 {
		add("method", "%s compares no costs", w.Pool.Method)
	} else {
		add("method", "%s", w.Pool.Method)
	}
	add("persistence", "%s, %d clients come back to it", w.Pool.Persistence, m.Bound)
	add("requests", "%s", w.source())
	return out
}

// verdict says what the member gets.
func (w Why) verdict() string {
	switch w.Standing {
	case choice.Candidate:
		return "gets new clients, " + w.Rule
	case choice.NotServing:
		if w.Member.State == "draining" {
			return "gets no new clients, only those that it has: " + w.Member.Why
		}
		if w.Member.State == "up" || w.Member.State == "overloaded" {
			if isalive.StepsAside(w.Member.Mode) {
				return "gets nothing: it says that it steps aside (mode " + w.Member.Mode + "), and " + w.Pool.Serving
			}
			return "gets no new clients, only those with a session there: it is " + w.Member.State + ", and " + w.Pool.Serving
		}
		return "gets nothing: it is " + w.Member.State + " (" + w.Member.Why + ")"
	case choice.Crowded:
		return fmt.Sprintf("gets nothing more now: it has all of the %d requests that it may have", w.Member.MaxInFlight)
	}
	return "gets no new clients: " + w.Standing.String()
}

// share is its part of the choices of the last minute.
func (w Why) share() string {
	if w.Lately == 0 {
		return "no member of the pool was chosen in the last minute"
	}
	n := w.Member.Lately
	return fmt.Sprintf("%.1f %% of the pool's choices of the last minute, %d of %d", 100*float64(n)/float64(w.Lately), n, w.Lately)
}

func (w Why) weight() string {
	m := &w.Member
	text := fmt.Sprintf("%d", m.Weight)
	if m.Weight != m.Configured {
		text += fmt.Sprintf(", configured %d", m.Configured)
	}
	if m.AsksFor > 0 {
		text += fmt.Sprintf("; its agent asks for %d %% of it", m.AsksFor)
	}
	if w.Asked > 0 {
		text += fmt.Sprintf("; its agent asks for %d %% of it", w.Asked)
	}
	if w.Ramp < 1 {
		text += fmt.Sprintf("; of it %.0f %% now: back for %s, its share still grows (slow_start)", 100*w.Ramp, seconds(m.Back))
	}
	return text
}

func (w Why) failures() string {
	text := fmt.Sprintf("%.1f %% of its requests failed lately", 100*w.Member.Failing)
	if w.Member.Shunned {
		text += "; connects failed: it is avoided while others are not, one request tries it now and then"
	}
	return text
}

func (w Why) places() string {
	m := &w.Member
	text := fmt.Sprintf("%d in flight", m.InFlight)
	if m.MaxInFlight > 0 {
		text += fmt.Sprintf(" of at most %d", m.MaxInFlight)
	}
	return text + "; " + w.Pool.waiting(m)
}

// text compares the costs of a member that may be chosen, or could be.
func (c *ClassCost) text(candidate bool) string {
	text := c.Cost
	if c.Class != "" {
		text += " for the class " + c.Class
	}
	switch {
	case candidate && c.Times == 1 && c.Equal:
		return text + ", the lowest"
	case candidate && c.Equal:
		return text + fmt.Sprintf(", %.2f times the lowest (%s at %s): it takes its turn", c.Times, c.Best, c.BestCost)
	case c.Equal:
		return text + fmt.Sprintf("; the lowest of those that serve is %s at %s", c.Best, c.BestCost)
	case c.Times == 1: // the lowest is 0
		return text + fmt.Sprintf(", the lowest is %s at %s: it gets the next request", c.Best, c.BestCost)
	}
	return text + fmt.Sprintf(", %.2f times the lowest: %s at %s gets the next request", c.Times, c.Best, c.BestCost)
}

// source says where the pool's requests come from.
func (w Why) source() string {
	var parts []string
	if len(w.Pool.Listeners) > 0 {
		parts = append(parts, "come through "+strings.Join(w.Pool.Listeners, ", "))
	}
	for _, pool := range w.BackupOf {
		parts = append(parts, "of pool "+pool+" while none of its members can serve")
	}
	if w.Pool.ServedBy != "" {
		parts = append(parts, "go to pool "+w.Pool.ServedBy+" now: no member of this one can serve")
	}
	if len(parts) == 0 {
		return "no listener leads to this pool"
	}
	return strings.Join(parts, "; ")
}

// told is a word with all that is known of it.
func (w *Word) told() string {
	text := fmt.Sprintf("%s; said at %s", w.Said(), stamp(w.Set))
	if w.Node != "" {
		text += " at node " + w.Node
	}
	if !w.Deadline.IsZero() {
		text += "; its clients lose it at " + stamp(w.Deadline)
	}
	return text
}

func stamp(t time.Time) string { return t.UTC().Format(time.DateTime) + " UTC" }

func sinceText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " since " + stamp(t)
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Truncate(time.Second)
}

// chosenOrder are the words of chosenBy in the order of the rules.
func chosenOrder() (out []string) {
	for how := range hows {
		if by := chosenBy(how); by != "" {
			out = append(out, by)
		}
	}
	return out
}

// tally tells counts in an order; empty when there are none.
func tally(counts map[string]uint64, order []string) string {
	var parts []string
	for _, what := range order {
		if n := counts[what]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", what, n))
		}
	}
	return strings.Join(parts, ", ")
}
