package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const memberOf = "memberOf"

// Bounds of what is done for one user's groups.
const (
	maxGroups = 20_000
	maxLevels = 64  // of groups in groups
	batchSize = 100 // groups asked for with one filter
	memoSize  = 1 << 15
)

// groups finds those of one user.
type groups struct {
	c     *Client
	order []*server
	mode  string // of Config.Groups; empty: nobody looks at groups, or the search has said it all
	sids  [][]byte
	err   error // of read
}

// mode is what Groups means for these servers; empty while none of them has told what it is.
func (c *Client) mode(order []*server) string {
	if c.config.Groups != "" {
		return c.config.Groups
	}
	for _, s := range order {
		if f := s.facts.Load(); f != nil {
			if f.ad {
				return GroupsToken
			}
			return GroupsMemberOf
		}
	}
	return ""
}

// groupsOf begins the work for a login in which attrs are asked for, behind the search, whose
// connection has told what the server is.
func (c *Client) groupsOf(order []*server, attrs []string) *groups {
	g := &groups{c: c, order: order}
	asked := func(a string) bool { return strings.EqualFold(a, memberOf) }
	if slices.ContainsFunc(attrs, asked) || slices.ContainsFunc(c.config.Attributes, asked) {
		g.mode = c.mode(order)
	}
	return g
}

// early says that read may run beside the bind.
func (g *groups) early() bool { return g.mode == GroupsToken }

// read gets what needs no more than the user's DN.
func (g *groups) read(ctx context.Context, dn string) {
	start := time.Now()
	g.sids, g.err = g.c.tokenGroups(ctx, g.order, dn)
	g.c.metrics.observe("groups", start, g.err)
}

// fill sets memberOf of e.
func (g *groups) fill(ctx context.Context, e *Entry) error {
	var dns []string
	var err error
	switch g.mode {
	case GroupsToken:
		if g.sids == nil && g.err == nil {
			g.read(ctx, e.DN)
		}
		if err = g.err; err == nil {
			dns, err = g.fromToken(ctx, e)
		}
	case GroupsNested:
		start := time.Now()
		dns, err = g.c.nested(ctx, g.order, e)
		g.c.metrics.observe("groups", start, err)
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("groups of a user: %w", err)
	}
	e.set(memberOf, dns)
	return nil
}

// fromToken turns the user's SIDs into names. A service account that may not read tokenGroups gets
// none, where everybody has some: then there are the direct groups only.
func (g *groups) fromToken(ctx context.Context, e *Entry) ([]string, error) {
	if len(g.sids) > 0 {
		return g.c.names(ctx, g.order, g.sids)
	}
	g.c.warnOnce("the service account may not read tokenGroups: nested groups are not seen")
	entry, _, err := g.c.one(ctx, g.order, e.DN, ldap.ScopeBaseObject, "(objectClass=*)", []string{memberOf})
	if err != nil {
		return nil, err
	}
	return entry.GetEqualFoldAttributeValues(memberOf), nil
}

// groupBase is where groups are searched.
func (c *Client) groupBase(order []*server) string {
	if c.config.GroupBase != "" {
		return c.config.GroupBase
	}
	for _, s := range order {
		if f := s.facts.Load(); f != nil {
			return f.context(c.config.BaseDN)
		}
	}
	return c.config.BaseDN
}

// all reads every entry that a filter selects, page by page (RFC 2696) on one connection, at most
// as many as a user may have groups.
func (c *Client) all(ctx context.Context, order []*server, base, filter string, attrs []string) ([]*ldap.Entry, error) {
	var found []*ldap.Entry
	err := c.operate(ctx, order, question{
		pick: searchPool, expect: searchAnswers, again: anyFailure, name: base,
		op: func(s *server, l *ldap.Conn, base string) error {
			found = nil
			paging := ldap.NewControlPaging(pageSize)
			for {
				req := ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, seconds(s.timeout), false, filter, attrs, []ldap.Control{paging})
				res, err := l.Search(req)
				if err != nil {
					return err
				}
				if found = append(found, res.Entries...); len(found) > maxGroups {
					return &verdict{errTooManyGroups}
				}
				next, ok := ldap.FindControl(res.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
				if !ok || len(next.Cookie) == 0 {
					return nil
				}
				paging.SetCookie(next.Cookie)
			}
		},
	})
	return found, err
}

var errTooManyGroups = fmt.Errorf("the user is in more than %d groups", maxGroups)
