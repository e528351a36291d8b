package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// maxPassword bounds what is sent to the directory, in bytes.
const maxPassword = 4 << 10

// Authenticate checks a user's password: one search on a service connection, one bind on a
// bind connection, and what groups take when attrs or Config.Attributes have memberOf. attrs are
// read besides Config.Attributes.
//
// The error is ErrRefused (a RefusedError), ErrUnavailable, the cancellation of ctx, or a fault
// of the configuration. A user that does not exist costs the same search and a bind with a DN
// that does not exist either, so that the time of an answer tells little; the caller answers
// every refusal alike and no earlier than its floor (SE2).
func (c *Client) Authenticate(ctx context.Context, user, password string, attrs []string) (Entry, error) {
	if err := checkPassword(password); err != nil {
		return Entry{}, err
	}
	order := c.order(ctx)
	entry, err := c.timedFind(ctx, order, user, attrs)
	if errors.Is(err, ErrNoUser) {
		if bindErr := c.timedBind(ctx, order, c.nobody(), password); bindErr != nil && !errors.Is(bindErr, ErrRefused) {
			return Entry{}, bindErr
		}
		return Entry{}, err
	}
	if err != nil {
		return Entry{}, err
	}
	order = entry.servers(order)
	g := c.groupsOf(order, attrs)
	var wg sync.WaitGroup
	if g.early() {
		wg.Go(func() { g.read(ctx, entry.DN) })
	}
	err = c.timedBind(ctx, order, entry.DN, password)
	wg.Wait()
	if err != nil {
		return Entry{}, err
	}
	return entry, g.fill(ctx, &entry)
}

// nobody is a DN that no entry has.
func (c *Client) nobody() string { return "cn=switchpoint-no-such-user," + c.config.BaseDN }

// checkPassword refuses what no directory has to see: an empty password, which an unauthenticated
// bind (RFC 4513, 5.1.2) has, one that nobody can have set, and one that a server which is written
// in C may take for its first part.
func checkPassword(password string) error {
	switch {
	case password == "":
		return &RefusedError{Code: CodeEmptyPassword}
	case len(password) > maxPassword, strings.ContainsRune(password, 0):
		return &RefusedError{Code: CodeWrongPassword}
	}
	return nil
}

// Bind checks a password with a simple bind (RFC 4513, 5.1.3). A bind that may have reached a
// server is never sent again, to this one or another: a wrong password would count twice against
// a lock-out. (A referral says that the server did not look at it.)
func (c *Client) Bind(ctx context.Context, dn, password string) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	if dn == "" { // an anonymous bind
		return errors.New("bind: no DN")
	}
	return c.timedBind(ctx, c.order(ctx), dn, password)
}

func (c *Client) timedBind(ctx context.Context, order []*server, dn, password string) error {
	start := time.Now()
	err := c.bind(ctx, order, dn, password)
	c.metrics.observe("bind", start, err)
	return err
}

func (c *Client) bind(ctx context.Context, order []*server, dn, password string) error {
	var state passwordState
	err := c.operate(ctx, order, question{
		pick: bindPool, expect: bindAnswers, again: notSent, name: dn,
		op: func(s *server, l *ldap.Conn, dn string) (err error) {
			state, err = simpleBind(s, l, dn, password)
			return err
		},
	})
	return bindResult(err, state)
}

// simpleBind binds and says what the server told about the password besides, if it can.
func simpleBind(s *server, l *ldap.Conn, dn, password string) (passwordState, error) {
	req := ldap.NewSimpleBindRequest(dn, password, nil)
	if f := s.facts.Load(); f != nil && f.policy {
		req.Controls = []ldap.Control{ldap.NewControlBeheraPasswordPolicy()}
	}
	res, err := l.SimpleBind(req)
	if res == nil {
		return passwordSilent, err
	}
	control, ok := ldap.FindControl(res.Controls, ldap.ControlTypeBeheraPasswordPolicy).(*ldap.ControlBeheraPasswordPolicy)
	if !ok || control.Error < 0 {
		return passwordSilent, err
	}
	return passwordState(control.Error), err
}

// anyFailure lets an operation that changes nothing be sent again.
func anyFailure(*transportError) bool { return true }

// notSent lets an operation be sent again only if the server cannot have got it.
func notSent(t *transportError) bool { return !t.sent }

// seldom wraps the error of an operation that is not part of every login.
func seldom(operation string, err error) error {
	if err == nil || errors.Is(err, ErrRefused) {
		return err
	}
	return fmt.Errorf("%s: %w", operation, err)
}
