package broker

import (
	"fmt"
	"time"
)

// lines is text in the making, one "name: value" a line.
type lines []string

// add leaves out what has no value.
func (l *lines) add(name, value string) {
	if value != "" {
		*l = append(*l, fmt.Sprintf("%-12s %s", name+":", value))
	}
}

// Lines gives the explanation as `switchpoint explain` prints it.
func (x Explanation) Lines() []string {
	var out lines
	out.add("user", x.User)
	out.add("directory", x.Directory)
	out.add("entry", x.DN)
	for _, r := range x.Reason {
		out = append(out, "  "+r)
	}
	out.add("rule", x.Rule)
	out.add("outcome", x.Action)
	if x.Destination != "" {
		out.add("home", x.Destination+" at "+x.URL)
	}
	for _, o := range x.Offers {
		out.add("offer", o)
	}
	return out
}

// Lines gives the row as `switchpoint explain --ref` prints it.
func (l LogRow) Lines() []string {
	var out lines
	out.add("reference", l.Ref)
	out.add("what", l.Kind)
	out.add("code", l.Code)
	out.add("user", l.User)
	out.add("directory", l.Directory)
	out.add("from", l.ClientAddr)
	out.add("client", l.ClientName)
	out.add("broker", fmt.Sprintf("site %d", l.SiteID))
	out.add("desktop", l.Desktop)
	out.add("at", l.At.UTC().Format(time.RFC3339))
	out.add("took", l.Duration.Truncate(time.Microsecond).String())
	for _, r := range l.Reason {
		out = append(out, "  "+r)
	}
	return out
}
