package lb

import (
	"fmt"
	"strings"

	"switchpoint/lb/choice"
)

// Lines gives the explanation as `switchpoint explain` prints it.
func (e Explanation) Lines() []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	add("listener:    %s", e.Listener)
	if e.Route != "" && e.Route != "default" {
		add("route:       %s", e.Route)
	}
	if e.Redirect != "" {
		add("redirect:    %s", e.Redirect)
	}
	if e.Pool == "" {
		add("member:      none; %s", e.Reason)
		return out
	}
	add("pool:        %s (%s)", e.Pool, e.Method)
	if e.Instead != "" {
		add("instead of:  %s, of which no member can take requests now", e.Instead)
	}
	if e.Class != classTable(nil).name(0) {
		add("class:       %s, by the path", e.Class)
	}
	add("client:      %s", e.Client)
	add("persistence: %s", e.Persistence)
	add("may serve:   %s", e.Serving)
	for _, c := range e.Members {
		mark := "-"
		if c.Name == e.Member {
			mark = "+"
		}
		add("  %s %s %s: %s (%s); %s%s", mark, c.Name, c.Address, c.State, c.Why, c.figures(e.Mode), c.extra())
	}
	if e.Queued > 0 {
		add("queue:       %d requests wait for a place in the pool; one that comes now waits behind them, unless it finds one at a member that it had", e.Queued)
	}
	if e.Member == "" {
		add("member:      none; %s", e.Reason)
	} else {
		add("member:      %s; %s", e.Member, e.Reason)
	}
	return out
}

// figures are what a member is compared by.
func (c *CandidateExplanation) figures(mode string) string {
	what := "TTFB"
	if mode == modeTCP {
		what = "connect"
	}
	text := fmt.Sprintf("%s %.1f ms, %d in flight, weight %d", what, c.TTFB.Seconds()*1000, c.InFlight, c.Weight)
	if c.CostText != "" {
		text += ": cost " + c.CostText
	}
	return text
}

// extra is what holds for few members.
func (c *CandidateExplanation) extra() string {
	var b strings.Builder
	add := func(on bool, format string, args ...any) {
		if on {
			fmt.Fprintf(&b, ", "+format, args...)
		}
	}
	add(c.Mode != "", "mode %s%s", c.Mode, sinceText(c.ModeSince))
	add(c.Persisted, "persisted")
	add(c.Full, "full")
	add(c.Waiting > 0, "%d wait for it alone", c.Waiting)
	add(c.Priority > 0, "priority %d", c.Priority)
	add(c.Standing == choice.InReserve.String(), "in reserve: members of a higher priority are enough")
	add(c.AsksFor > 0, "its agent asks for %d %% of its weight", c.AsksFor)
	add(c.Back > 0, "back for %s: its share still grows", c.Back.Truncate(1e9))
	add(c.Measured != "", "measured: %s", c.Measured)
	for i := range c.Words {
		add(!strings.Contains(c.Why, c.Words[i].Said()), "%s", c.Words[i].Said())
	}
	add(c.Shunned, "avoided after a failure")
	add(c.Failing > 0, "%.1f %% of its requests failed lately", c.Failing*100)
	return b.String()
}
