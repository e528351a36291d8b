package broker

import (
	"fmt"
	"time"
)

// Lines gives the explanation as `switchpoint explain` prints it.
func (x Explanation) Lines() []string {
	var out []string
	add := func(name, value string) {
		if value != "" {
			out = append(out, fmt.Sprintf("%-12s %s", name+":", value))
		}
	}
	add("user", x.User)
	add("directory", x.Directory)
	add("entry", x.DN)
	for _, r := range x.Reason {
		out = append(out, "  "+r)
	}
	add("rule", x.Rule)
	add("outcome", x.Action)
	if x.Destination != "" {
		add("home", x.Destination+" at "+x.URL)
	}
	for _, o := range x.Offers {
		add("offer", o)
	}
	return out
}

// Lines gives the row as `switchpoint explain --ref` prints it.
func (l LogRow) Lines() []string {
	var out []string
	add := func(name, value string) {
		if value != "" {
			out = append(out, fmt.Sprintf("%-12s %s", name+":", value))
		}
	}
	add("reference", l.Ref)
	add("what", l.Kind)
	add("code", l.Code)
	add("user", l.User)
	add("directory", l.Directory)
	add("from", l.ClientAddr)
	add("client", l.ClientName)
	add("broker", fmt.Sprintf("site %d", l.SiteID))
	add("desktop", l.Desktop)
	add("at", l.At.UTC().Format(time.RFC3339))
	add("took", l.Duration.Truncate(time.Microsecond).String())
	for _, r := range l.Reason {
		out = append(out, "  "+r)
	}
	return out
}
