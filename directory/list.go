package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	// pageSize of a List: below Active Directory's MaxPageSize of 1000.
	pageSize = 500
	// maxListed bounds the entries of a List.
	maxListed = 200_000
)

// Record is any entry of the directory.
type Record struct {
	DN string
	// ID stays the same when the entry is renamed or moved, as Entry.ID.
	ID string
	// Parent is the DN of the entry above.
	Parent     string
	attributes map[string][]string // by name in lower case
}

// Values are those of an attribute, without regard to the case of its name.
func (r Record) Values(attribute string) []string { return r.attributes[strings.ToLower(attribute)] }

// List reads all entries below base (empty: BaseDN) that filter selects, page by page (RFC 2696), as
// the service account. Config.Timeout counts for each page, ctx for all of them. The list is whole or
// there is none: the error is as that of Search.
func (c *Client) List(ctx context.Context, base, filter string, attrs []string) ([]Record, error) {
	start := time.Now()
	list, err := c.list(ctx, base, filter, attrs)
	c.metrics.observe("list", start, err)
	if err != nil {
		return nil, fmt.Errorf("list entries: %w", err)
	}
	return list, nil
}

func (c *Client) list(ctx context.Context, base, filter string, attrs []string) ([]Record, error) {
	if base == "" {
		base = c.config.BaseDN
	}
	if _, err := ldap.CompileFilter(filter); err != nil {
		return nil, fmt.Errorf("filter: %w", err)
	}
	ask := append([]string{"entryUUID", "objectGUID"}, attrs...)
	var last error
	for _, s := range c.order(ctx) {
		var out []Record
		paging := ldap.NewControlPaging(pageSize)
		req := ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, seconds(s.timeout), false,
			filter, ask, []ldap.Control{paging})
		began := time.Now()
		err := c.learn(ctx, s, began, s.pages(ctx, func(l *ldap.Conn) (more bool, err error) {
			res, err := l.Search(req)
			if err != nil {
				return false, err
			}
			if len(out)+len(res.Entries) > maxListed {
				return false, &verdict{fmt.Errorf("the filter selects more than %d entries", maxListed)}
			}
			for _, e := range res.Entries {
				if err := completeRanges(l, e); err != nil {
					return false, err
				}
				out = append(out, newRecord(e))
			}
			next, ok := ldap.FindControl(res.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
			if !ok || len(next.Cookie) == 0 {
				return false, nil
			}
			paging.SetCookie(next.Cookie)
			return true, nil
		}))
		switch _, transport := errors.AsType[*transportError](err); {
		case errors.Is(err, errSkipped), errors.Is(err, errClosed), transport:
			last = errors.Join(last, fmt.Errorf("%w: %s: %w", ErrUnavailable, s.name, err))
		case err != nil:
			return nil, err
		default:
			return out, nil
		}
	}
	return nil, last
}

// pages calls op, one exchange, until it says that there is no more. All go over one connection: the
// place where a page ended means nothing to another one. That connection is fresh, because a page
// cannot be asked for again on a replaced one.
func (s *server) pages(ctx context.Context, op func(*ldap.Conn) (more bool, err error)) error {
	if err := s.search.gate.enter(ctx); err != nil {
		return err
	}
	defer s.search.gate.leave(0) // pages say nothing about the time of a login's search
	if !s.breaker.allow(time.Now()) {
		return errSkipped
	}
	c, err := s.dialBounded(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	for more := true; more && err == nil; {
		err = c.do(ctx, time.Now().Add(s.timeout), searchAnswers, func(l *ldap.Conn) (err error) {
			more, err = op(l)
			return err
		})
	}
	return err
}

func (s *server) dialBounded(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.search.dial(ctx)
}

func newRecord(e *ldap.Entry) Record {
	r := Record{DN: e.DN, ID: normalDN(e.DN), Parent: parentOf(e.DN), attributes: make(map[string][]string, len(e.Attributes))}
	for _, a := range e.Attributes {
		values := textValues(a)
		switch name := strings.ToLower(a.Name); name {
		case "entryuuid":
			if len(values) > 0 {
				r.ID = strings.ToLower(values[0])
			}
		case "objectguid":
			if len(a.ByteValues) > 0 && len(a.ByteValues[0]) == 16 {
				r.ID = guid([16]byte(a.ByteValues[0]))
			}
		default:
			r.attributes[name] = values
		}
	}
	return r
}

// parentOf cuts the first part off a DN (RFC 4514: a comma in a value is escaped) and keeps the
// spelling of the rest.
func parentOf(dn string) string {
	for i := 0; i < len(dn); i++ {
		switch dn[i] {
		case '\\':
			i++
		case ',':
			return strings.TrimLeft(dn[i+1:], " ")
		}
	}
	return ""
}
