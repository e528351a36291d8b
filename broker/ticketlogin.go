package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"switchpoint/directory"
	"switchpoint/redirect"
)

// ErrTicketUsed says that a ticket was taken before, by this login's or another one's.
var ErrTicketUsed = errors.New("the ticket was used before")

// ticketKeep is how long the database remembers a ticket that was taken: far longer than any clock of
// two clusters may be off, or set back, so that none is taken twice.
const ticketKeep = time.Hour

// homeward is where a login is sent, and what with.
type homeward struct{ url, ticket, name string }

// to is h where it leads to that URL; else the login was sent elsewhere before, and nothing goes along.
func (h homeward) to(url string) homeward {
	if h.url != url {
		return homeward{url: url}
	}
	return h
}

// proof is what shows who signs in: the password, or the ticket in its place.
func (a *attempt) proof() string {
	if a.ticket != "" {
		return a.Ticket
	}
	return a.Password
}

// whoIs finds whose password or ticket it is. code is a refusal code.
func (b *Broker) whoIs(ctx context.Context, t *table, a *attempt) (who identity, code string) {
	if a.Ticket != "" {
		return b.identifyTicket(ctx, t, a)
	}
	return b.identify(ctx, t, a)
}

// ticketLess says why a user who goes to d gets no ticket, or "".
func (b *Broker) ticketLess(d redirect.Destination, who identity) string {
	switch {
	case who.from == nil:
		return "a local user is unknown there"
	case who.entry.ID == "":
		return "the directory gives no id of the user's entry"
	case len(who.visited) >= maxVisited:
		return fmt.Sprintf("the login has been to %d clusters already", len(who.visited))
	}
	return b.takesNone(d)
}

// takesNone says why nobody gets a ticket for d, or "".
func (b *Broker) takesNone(d redirect.Destination) string {
	switch {
	case d.Plain:
		return "destination " + d.Name + " is plain"
	case !b.trusts(d.Cluster):
		return "no [[peer.trust]] names cluster " + d.Cluster
	}
	return ""
}

// sendHome makes the ticket with which a user goes to d. Without one he signs in there by himself.
func (b *Broker) sendHome(a *attempt, d redirect.Destination, who identity) homeward {
	h := homeward{url: d.URL, name: d.Name}
	why := b.ticketLess(d, who)
	if why == "" {
		now := time.Now()
		t := Ticket{
			Issuer: b.cfg.Cluster, Audience: d.Cluster, Directory: who.Directory, Entry: who.entry.ID, User: who.User, ID: newTicketID(),
			Issued: now.UnixMilli(), Expires: now.Add(ticketLife).UnixMilli(), Visited: append(slices.Clone(who.visited), b.cfg.Cluster),
		}
		var err error
		if h.ticket, err = t.sign(b.ticketKey()); err == nil {
			a.because("ticket %s for cluster %s, good for %s", t.ID, t.Audience, ticketLife)
			b.redirects.issued.Add(1)
			return h
		}
		why = err.Error()
	}
	a.because("no ticket: %s; he signs in there with his password", why)
	return h
}

// identifyTicket finds who a ticket is about: by the id of his entry, in the directory that both
// clusters know by one name. There is no password, so nothing is bound.
func (b *Broker) identifyTicket(ctx context.Context, t *table, a *attempt) (identity, string) {
	refused := func(err error) (identity, string) {
		a.because("ticket: %v", err)
		b.redirects.refused.Add(1)
		return identity{}, CodeTicket
	}
	unverified, err := parseTicket(a.Ticket)
	if err != nil {
		return refused(err)
	}
	ticket, err := b.verifyTicket(ctx, unverified)
	if err != nil {
		return refused(err)
	}
	a.row.Who = Who{Directory: ticket.Directory, User: ticket.User}
	a.because("ticket %s of cluster %s for %s", ticket.ID, ticket.Issuer, clip(ticket.User))
	i := slices.IndexFunc(t.directories, func(d dirEntry) bool { return d.config.Name == ticket.Directory })
	if i < 0 {
		return refused(fmt.Errorf("there is no directory %q here; both clusters must give it the same name", ticket.Directory))
	}
	d := &t.directories[i]
	entry, err := d.client.Lookup(ctx, ticket.Entry, d.attributes)
	if _, ok := errors.AsType[*directory.RefusedError](err); ok {
		return refused(fmt.Errorf("directory %s: %w", d.config.Name, err))
	}
	if err != nil {
		a.because("directory %s: %v", d.config.Name, err)
		return identity{}, CodeDirectoryUnavailable
	}
	a.because("directory %s: %s is %s", d.config.Name, ticket.Entry, entry.DN)
	a.ticket = ticket.used()
	return identity{Who: Who{Directory: d.config.Name, User: canonicalUser(entry.User)}, entry: entry, from: d, visited: ticket.Visited}, ""
}

// ticketUnrecorded turns the store's error into the refusal of a login by ticket: a ticket whose use
// cannot be written down is not taken (RD8). ok is false when the error means something else.
func (b *Broker) ticketUnrecorded(a *attempt, err error) (res LoginResult, code string, ok bool) {
	if a.ticket == "" {
		return LoginResult{}, "", false
	}
	switch {
	case errors.Is(err, ErrTicketUsed):
		b.redirects.refused.Add(1)
		return LoginResult{}, CodeTicket, true
	case errors.Is(err, ErrUnavailable): // nothing can be written, a log row neither
		b.redirects.refused.Add(1)
		return LoginResult{Refusal: refusal(CodeTicket, a.row.Ref)}, "", true
	}
	return LoginResult{}, "", false
}
