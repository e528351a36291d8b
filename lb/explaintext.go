package lb

import "fmt"

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
		extra := ""
		if c.Persisted {
			extra += ", persisted"
		}
		if c.Full {
			extra += ", full"
		}
		if c.Priority > 0 {
			extra += fmt.Sprintf(", priority %d", c.Priority)
		}
		if c.Back > 0 {
			extra += fmt.Sprintf(", back for %s: its share still grows", c.Back.Truncate(1e9))
		}
		if c.Measured != "" {
			extra += ", measured: " + c.Measured
		}
		if c.Shunned {
			extra += ", avoided after a failure"
		}
		if c.Failing > 0 {
			extra += fmt.Sprintf(", %.1f %% of its requests failed lately", c.Failing*100)
		}
		add("  %s %s %s: %s (%s); TTFB %.1f ms, %d in flight, weight %d: cost %.2f ms%s",
			mark, c.Name, c.Address, c.State, c.Why, c.TTFB.Seconds()*1000, c.InFlight, c.Weight, c.Cost*1000, extra)
	}
	if e.Member == "" {
		add("member:      none; %s", e.Reason)
	} else {
		add("member:      %s; %s", e.Member, e.Reason)
	}
	return out
}
