package directory

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// maxHops is how many referrals lead from the first server to the one that answers.
const maxHops = 4

// question is an operation on the directory.
type question struct {
	pick   func(*server) *pool
	expect answers
	// again says after which failures it may be sent again, on another connection or to the next
	// server.
	again func(*transportError) bool
	// name is the entry that it is about, or below which it searches. A referral may change it.
	name string
	op   func(s *server, l *ldap.Conn, name string) error
}

func searchPool(s *server) *pool { return s.search }
func bindPool(s *server) *pool   { return s.bind }

// operate asks q of the first server of order that can answer, and follows referrals.
func (c *Client) operate(ctx context.Context, order []*server, q question) error {
	err := c.ask(ctx, order, q)
	if !isReferral(err) {
		return err
	}
	seen := make(map[string]bool)
	for range maxHops {
		next, name, why := c.referred(err, q.name)
		if why != nil {
			return why
		}
		key := next.name + " " + normalDN(name)
		if seen[key] {
			return fmt.Errorf("referrals go in a circle: %s refers to itself again", next.name)
		}
		seen[key] = true
		q.name = name
		if err = c.ask(ctx, []*server{next}, q); !isReferral(err) {
			return err
		}
	}
	return fmt.Errorf("more than %d referrals one after the other", maxHops)
}

// isReferral is for answers: a service account that is referred elsewhere is a server that cannot
// be used.
func isReferral(err error) bool {
	return ldap.IsErrorWithCode(err, ldap.LDAPResultReferral) && !errors.Is(err, ErrUnavailable)
}

// ask does q on the first server of order that can. After a failure it is sent again only where
// q.again says that this is safe.
func (c *Client) ask(ctx context.Context, order []*server, q question) error {
	var last error
	for _, s := range order {
		began := time.Now()
		err := c.learn(ctx, s, began, s.run(ctx, q.pick(s), q.expect, q.again, func(l *ldap.Conn) error { return q.op(s, l, q.name) }))
		t, transport := errors.AsType[*transportError](err)
		switch {
		case errors.Is(err, context.Canceled):
			return err
		case errors.Is(err, context.DeadlineExceeded) && !transport:
			return fmt.Errorf("%w: %s: no free connection in time", ErrUnavailable, s.name)
		case errors.Is(err, errSkipped):
			if _, why := s.breaker.state(); why != nil {
				err = why
			}
			last = errors.Join(last, fmt.Errorf("%w: %s: %w", ErrUnavailable, s.name, err))
		case transport, errors.Is(err, errClosed):
			last = errors.Join(last, fmt.Errorf("%w: %s: %w", ErrUnavailable, s.name, err))
			if transport && !q.again(t) {
				return last
			}
		default:
			return err
		}
	}
	if last == nil {
		return fmt.Errorf("%w: no server is known yet", ErrUnavailable)
	}
	return last
}

// referred finds the first of the servers to which a referral points that is configured, and the
// name to ask there. How the connection is made is said by the configuration, not by the referral.
func (c *Client) referred(err error, name string) (*server, string, error) {
	answer, ok := errors.AsType[*ldap.Error](err)
	if !ok {
		return nil, "", err
	}
	var others []string
	for _, raw := range referralURLs(answer.Packet) {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "" {
			others = append(others, "what is no LDAP URL")
			continue
		}
		s := c.referrals[strings.ToLower(u.Hostname())]
		if s == nil {
			others = append(others, u.Host)
			continue
		}
		if dn := strings.TrimPrefix(u.Path, "/"); dn != "" { // RFC 4511, 4.1.10
			name = dn
		}
		return s, name, nil
	}
	return nil, "", fmt.Errorf("referred to %s, and referrals does not name that server: %w", strings.Join(others, ", "), err)
}

// referredTo is s if it stands in Referrals, else nil.
func (c *Client) referredTo(s *server) *server {
	for _, r := range c.referrals {
		if r == s {
			return s
		}
	}
	return nil
}

// referralURLs are those of an LDAPResult (RFC 4511, 4.1.9: [3], a sequence of URIs).
func referralURLs(p *ber.Packet) (out []string) {
	if p == nil || len(p.Children) < 2 {
		return nil
	}
	for _, field := range p.Children[1].Children {
		if field.ClassType != ber.ClassContext || field.Tag != 3 || field.TagType != ber.TypeConstructed {
			continue
		}
		for _, uri := range field.Children {
			if s, ok := uri.Value.(string); ok && len(out) < 16 {
				out = append(out, s)
			}
		}
	}
	return out
}
