package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Search finds the one entry of a user, with groups as Authenticate gives them. No entry, or more
// than one, is ErrNoUser.
func (c *Client) Search(ctx context.Context, user string, attrs []string) (Entry, error) {
	order := c.order(ctx)
	entry, err := c.timedFind(ctx, order, user, attrs)
	if err != nil {
		return Entry{}, err
	}
	g := c.groupsOf(entry.servers(order), attrs)
	return entry, g.fill(ctx, &entry)
}

func (c *Client) timedFind(ctx context.Context, order []*server, user string, attrs []string) (Entry, error) {
	start := time.Now()
	entry, err := c.find(ctx, order, user, attrs)
	c.metrics.observe("search", start, err)
	return entry, err
}

// find searches for what was typed, once for all who ask for the same at the same time.
func (c *Client) find(ctx context.Context, order []*server, user string, attrs []string) (Entry, error) {
	name, err := parseName(user, c.domain)
	if err != nil {
		return Entry{}, err
	}
	key := name.full + "\x00" + name.account + "\x00" + strings.Join(attrs, "\x00")
	return c.flights.search(ctx, key, func() (Entry, error) {
		found, from, err := c.one(ctx, order, c.config.BaseDN, ldap.ScopeWholeSubtree, c.filter.build(name), c.wanted(order, attrs))
		if err != nil {
			return Entry{}, err
		}
		e := newEntry(found, name)
		if !name.names(e) {
			return Entry{}, ErrNoUser
		}
		e.home = from
		return e, nil
	})
}

// one reads the only entry that a filter selects, with all values of its attributes. None, or more
// than one, is ErrNoUser. from is the server that it came from by way of a referral, else nil.
func (c *Client) one(ctx context.Context, order []*server, base string, scope int, filter string, attrs []string) (e *ldap.Entry, from *server, err error) {
	const most = 2 // a second entry is asked for only to know that there is one
	var found []*ldap.Entry
	err = c.operate(ctx, order, question{
		pick: searchPool, expect: searchAnswers, again: anyFailure, name: base,
		op: func(s *server, l *ldap.Conn, base string) error {
			req := ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, most, seconds(s.timeout), false, filter, attrs, nil)
			req.EnforceSizeLimit = true
			found, from = nil, c.referredTo(s)
			res, err := l.Search(req)
			switch {
			case errors.Is(err, ldap.ErrSizeLimitExceeded) || ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
				return nil // too many is nobody
			case scope == ldap.ScopeBaseObject && ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
				return nil
			case err != nil:
				return err
			}
			if found = res.Entries; len(found) == 1 {
				return completeRanges(l, found[0])
			}
			return nil
		},
	})
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("search for a user: %w", err)
	case len(found) != 1:
		return nil, nil, ErrNoUser
	}
	return found[0], from, nil
}
