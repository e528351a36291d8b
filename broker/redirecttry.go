package broker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"switchpoint/redirect"
)

// RedirectTrial asks where a user's login would go. Nobody signs in: it is for admins only.
type RedirectTrial struct {
	User       string
	Directory  string   // empty: all, in order
	AssumeDown []string // destinations that are supposed not to be available
}

// RedirectReport is what the redirect rules say about a user, rule by rule.
type RedirectReport struct {
	User      string            `json:"user,omitempty"`
	Directory string            `json:"directory,omitempty"`
	Entry     string            `json:"entry,omitempty"` // DN
	Attribute string            `json:"attribute,omitempty"`
	Values    []string          `json:"values,omitempty"`
	Notes     []string          `json:"notes,omitempty"` // how the user was found, and whoever was asked
	Rules     []redirect.Judged `json:"rules,omitempty"`
	// Action is as redirect.Action, or "refused" when the user was not found.
	Action      string `json:"action"`
	Why         string `json:"why"`
	Destination string `json:"destination,omitempty"`
	URL         string `json:"url,omitempty"`
	Ticket      string `json:"ticket,omitempty"` // whether he would have to sign in there
}

// TryRules decides by rules alone, without a directory or a running broker.
func TryRules(t *redirect.Table, q redirect.Question) RedirectReport {
	d := redirect.Decide(t, q)
	x := RedirectReport{Attribute: t.Attribute(), Rules: redirect.Review(t, q), Action: d.Action.String(), Why: d.Reason[len(d.Reason)-1]}
	for name, values := range q.Attributes {
		if strings.EqualFold(name, t.Attribute()) {
			x.Values = values
		}
	}
	for _, name := range slices.Sorted(maps.Keys(q.Assigned)) {
		a := q.Assigned[name]
		x.Notes = append(x.Notes, fmt.Sprintf("assigned desktop at %s: %s (%s)", name, a.Answer, a.Reason))
	}
	if d.Destination != nil {
		x.Destination, x.URL = d.Destination.Name, d.Destination.URL
	}
	return x
}

// TryRedirect finds the user without a password and follows the rules of his directory, with the states
// that destinations have now and the answers that their clusters give.
func (b *Broker) TryRedirect(ctx context.Context, q RedirectTrial) (RedirectReport, error) {
	t := b.table.Load()
	for _, name := range q.AssumeDown {
		if _, ok := t.destinations[name]; !ok {
			return RedirectReport{}, fmt.Errorf("%w: there is no destination %q; there are: %s", ErrNotFound, clip(name), some(slices.Sorted(maps.Keys(t.destinations))))
		}
	}
	found := Explanation{User: q.User, Directory: q.Directory}
	who, ok := b.lookUp(ctx, t, &found)
	if !ok {
		return RedirectReport{User: q.User, Directory: q.Directory, Notes: found.Reason, Action: "refused", Why: "the user was not found"}, nil
	}
	x := RedirectReport{Action: redirect.LogInHere.String(), Why: "there are no redirect rules for this directory: log in here"}
	if who.from != nil && who.from.redirect != nil {
		x = TryRules(who.from.redirect, b.homeQuestion(ctx, t, who, q.AssumeDown))
	}
	x.User, x.Directory, x.Entry = who.User, who.Directory, who.entry.DN
	x.Notes = append(found.Reason, x.Notes...)
	if x.Action == redirect.Forward.String() {
		x.Ticket = b.ticketWords(t.destinations[x.Destination], who)
	}
	return x, nil
}

// ticketWords says whether a user who goes to d has to sign in there.
func (b *Broker) ticketWords(d redirect.Destination, who identity) string {
	if why := b.ticketLess(d, who); why != "" {
		return "none, he signs in there with his password: " + why
	}
	return "yes, he is not asked for his password again"
}

// Lines gives the report as `switchpoint redirect test` prints it.
func (x RedirectReport) Lines() []string {
	var out lines
	out.add("user", x.User)
	out.add("directory", x.Directory)
	out.add("entry", x.Entry)
	for _, n := range x.Notes {
		out = append(out, "  "+n)
	}
	if x.Attribute != "" {
		out.add("attribute", x.Attribute)
		for _, v := range x.Values {
			out = append(out, "  "+clip(v))
		}
	}
	for _, r := range x.Rules {
		out = append(out, fmt.Sprintf("line %-7d %s", r.Line, clip(r.Text)), "  "+r.Why)
	}
	out.add("outcome", x.Action)
	out.add("why", x.Why)
	if x.Destination != "" {
		out.add("home", x.Destination+" at "+x.URL)
	}
	out.add("ticket", x.Ticket)
	return out
}
