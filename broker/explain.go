package broker

import (
	"context"
	"errors"
	"fmt"

	"switchpoint/directory"
	"switchpoint/redirect"
)

// Explanation says where a user's login would go and why. It needs no password and changes
// nothing, so it is for admins only.
type Explanation struct {
	User        string
	Directory   string
	DN          string
	Action      string // as redirect.Action, or "refused"
	Destination string
	URL         string
	Rule        string
	Offers      []string
	Reason      []string
}

// Explain follows a login of user from directory (empty: all, in order) up to the offers.
// client is the address that the user sits at; without one, policies for locations do not match.
func (b *Broker) Explain(ctx context.Context, user, directoryName, client string) (Explanation, error) {
	t := b.table.Load()
	x := Explanation{User: user, Directory: directoryName, Action: "refused"}
	who, ok := b.lookUp(ctx, t, &x)
	if !ok {
		return x, nil
	}
	x.User, x.Directory, x.DN = who.User, who.Directory, who.entry.DN
	d := b.decideHome(ctx, t, who)
	x.Action = d.Action.String()
	x.Reason = append(x.Reason, d.Reason...)
	if d.Rule != nil {
		x.Rule = d.Rule.Text
	}
	if d.Destination != nil {
		x.Destination, x.URL = d.Destination.Name, d.Destination.URL
	}
	if d.Action == redirect.Forward {
		x.Reason = append(x.Reason, "ticket: "+b.ticketWords(*d.Destination, who))
	}
	if d.Action != redirect.LogInHere {
		return x, nil
	}
	chosen, _, why := choosePolicy(t.policies, who.entry.Attributes, client)
	grants := chosen.grants(t.kinds)
	x.Reason = append(x.Reason, why)
	offers, err := b.o.Store.Offers(ctx, OfferQuery{Who: who.Who, Grants: grants})
	if err != nil {
		return x, err
	}
	for _, o := range arrange(offers, Session{Grants: grants}) {
		x.Offers = append(x.Offers, fmt.Sprintf("%s (%s, pool %s): %s", o.Name, o.Kind, o.Pool, o.State))
	}
	if len(offers) == 0 {
		x.Action = "refused"
		x.Reason = append(x.Reason, "no desktop is assigned to the user and no pool offers one")
	}
	return x, nil
}

// lookUp finds the user as identify does, but without a password.
func (b *Broker) lookUp(ctx context.Context, t *table, x *Explanation) (identity, bool) {
	for i := range t.directories {
		d := &t.directories[i]
		if x.Directory != "" && x.Directory != d.config.Name {
			continue
		}
		entry, err := d.client.Search(ctx, x.User, d.attributes)
		if err == nil {
			x.Reason = append(x.Reason, fmt.Sprintf("directory %s: %s", d.config.Name, entry.DN))
			return identity{Who: Who{Directory: d.config.Name, User: canonicalUser(entry.User)}, entry: entry, from: d}, true
		}
		if why, ok := errors.AsType[*directory.RefusedError](err); ok {
			x.Reason = append(x.Reason, fmt.Sprintf("directory %s: %s", d.config.Name, why.Explain()))
		} else {
			x.Reason = append(x.Reason, fmt.Sprintf("directory %s: %v", d.config.Name, err))
		}
	}
	if x.Directory == "" || x.Directory == LocalDirectory {
		name := canonicalUser(x.User)
		if _, ok := t.users[name]; ok {
			x.Reason = append(x.Reason, "local user")
			return identity{Who: Who{Directory: LocalDirectory, User: name}}, true
		}
		x.Reason = append(x.Reason, "no such local user")
	}
	return identity{}, false
}

// ExplainRef finds the log row of a reference that a user was shown.
func (b *Broker) ExplainRef(ctx context.Context, ref string) (LogRow, error) {
	return b.o.Store.LogByRef(ctx, ref)
}
