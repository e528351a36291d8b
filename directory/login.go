package directory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// maxPassword bounds what is sent to the directory, in bytes.
const maxPassword = 4 << 10

// Authenticate checks a user's password: one search on a service connection, one bind on a
// bind connection. attrs are read besides Config.Attributes.
//
// The error is ErrRefused (a RefusedError), ErrUnavailable, the cancellation of ctx, or a fault
// of the configuration. A user that does not exist costs the same search and a bind with a DN
// that does not exist either, so that the time of an answer tells little; the caller answers
// every refusal alike and no earlier than its floor (SE2).
func (c *Client) Authenticate(ctx context.Context, user, password string, attrs []string) (Entry, error) {
	if password == "" {
		return Entry{}, &RefusedError{Code: CodeEmptyPassword}
	}
	entry, err := c.Search(ctx, user, attrs)
	if errors.Is(err, ErrNoUser) {
		if bindErr := c.Bind(ctx, "cn=switchpoint-no-such-user,"+c.config.BaseDN, password); bindErr != nil && !errors.Is(bindErr, ErrRefused) {
			return Entry{}, bindErr
		}
		return Entry{}, err
	}
	if err != nil {
		return Entry{}, err
	}
	if err := c.Bind(ctx, entry.DN, password); err != nil {
		return Entry{}, err
	}
	return entry, nil
}

// Search finds the one entry of a user. No entry, or more than one, is ErrNoUser.
func (c *Client) Search(ctx context.Context, user string, attrs []string) (Entry, error) {
	start := time.Now()
	entry, err := c.search(ctx, user, attrs)
	c.metrics.observe("search", start, err)
	return entry, err
}

func (c *Client) search(ctx context.Context, user string, attrs []string) (Entry, error) {
	name, err := parseName(user, c.domain)
	if err != nil {
		return Entry{}, err
	}
	const one = 2 // a second entry is asked for only to know that there is one
	req := ldap.NewSearchRequest(c.config.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, one, seconds(c.config.Timeout), false,
		buildFilter(c.config.UserFilter, name), wanted(c.config.Attributes, attrs), nil)
	req.EnforceSizeLimit = true
	var found []*ldap.Entry
	err = c.operate(ctx, func(s *server) *pool { return s.search }, anyFailure, func(l *ldap.Conn) error {
		res, err := l.Search(req)
		if errors.Is(err, ldap.ErrSizeLimitExceeded) || ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
			found = nil // too many is nobody
			return nil
		}
		if err == nil {
			found = res.Entries
		}
		return err
	})
	switch {
	case err != nil:
		return Entry{}, fmt.Errorf("search for a user: %w", err)
	case len(found) != 1:
		return Entry{}, &RefusedError{Code: CodeNoUser}
	}
	return newEntry(found[0], name), nil
}

// Bind checks a password with a simple bind (RFC 4513, 5.1.3). A bind that may have reached a
// server is never sent again, to this one or another: a wrong password would count twice against
// a lock-out.
func (c *Client) Bind(ctx context.Context, dn, password string) error {
	start := time.Now()
	err := c.bindOnce(ctx, dn, password)
	c.metrics.observe("bind", start, err)
	return err
}

func (c *Client) bindOnce(ctx context.Context, dn, password string) error {
	switch {
	case password == "": // an unauthenticated bind, which succeeds for everybody
		return &RefusedError{Code: CodeEmptyPassword}
	case len(password) > maxPassword:
		return &RefusedError{Code: CodeWrongPassword}
	case dn == "": // an anonymous bind
		return errors.New("bind: no DN")
	}
	err := c.operate(ctx, func(s *server) *pool { return s.bind }, notSent, func(l *ldap.Conn) error {
		return l.Bind(dn, password)
	})
	return bindResult(err)
}

// anyFailure lets an operation that changes nothing be sent again.
func anyFailure(*transportError) bool { return true }

// notSent lets an operation be sent again only if the server cannot have got it.
func notSent(t *transportError) bool { return !t.sent }
