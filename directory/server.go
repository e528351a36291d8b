package directory

import (
	"context"
	"errors"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// errSkipped means that the server's breaker is open.
var errSkipped = errors.New("the server is down")

// server is one server of the directory with its two pools.
type server struct {
	name    string // its URL
	address string // its host:port
	timeout time.Duration
	breaker *breaker
	search  *pool // bound as the service account
	bind    *pool // bound as whoever came last: never searched on
}

func newServer(c Config, password string, raw string) (*server, error) {
	u, err := serverURL(raw)
	if err != nil {
		return nil, err
	}
	d := dialer{address: u.Host, startTLS: c.StartTLS}
	if u.Scheme == "ldaps" || c.StartTLS {
		if d.tls, err = c.tlsConfig(u.Hostname()); err != nil {
			return nil, err
		}
	}
	service := d
	service.bindDN, service.password = c.BindDN, password
	return &server{
		name:    raw,
		address: u.Host,
		timeout: c.Timeout,
		breaker: newBreaker(c.Timeout),
		search:  newPool(c.MaxConns, service.dial),
		bind:    newPool(c.MaxConns, d.dial),
	}, nil
}

// run does op on a connection of p, within s.timeout from the moment that it has a slot. A pooled
// connection that turns out to be closed is replaced once by a fresh one, where again allows that.
// The error is a transportError, errSkipped, errClosed, the end of ctx, or the server's answer.
func (s *server) run(ctx context.Context, p *pool, again func(*transportError) bool, op func(*ldap.Conn) error) error {
	if s.breaker.blocks(time.Now()) {
		return errSkipped // without a wait for a slot that others hold until their time-out
	}
	if err := p.acquire(ctx); err != nil {
		return err
	}
	defer p.release()
	if !s.breaker.allow(time.Now()) {
		return errSkipped
	}
	return s.exchange(ctx, p, again, op)
}

// exchange is run with a slot in hand.
func (s *server) exchange(ctx context.Context, p *pool, again func(*transportError) bool, op func(*ldap.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if c := p.take(time.Now()); c != nil {
		err := c.do(ctx, op)
		p.put(c)
		if t, ok := errors.AsType[*transportError](err); !ok || t.timeout || !again(t) {
			return err
		}
	}
	c, err := p.dial(ctx)
	if err != nil {
		return err
	}
	defer p.put(c)
	return c.do(ctx, op)
}

// probe asks the rootDSE (RFC 4512, 5.1), which every server lets anybody read. With no free
// slot it asks nothing: the operations under way will tell.
func (s *server) probe(ctx context.Context) (asked bool, err error) {
	if !s.search.tryAcquire() {
		return false, nil
	}
	defer s.search.release()
	s.breaker.probe()
	return true, s.exchange(ctx, s.search, anyFailure, func(l *ldap.Conn) error {
		_, err := l.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, seconds(s.timeout), false,
			"(objectClass=*)", []string{"supportedLDAPVersion"}, nil))
		return err
	})
}

func (s *server) reap(now time.Time) {
	s.search.reap(now)
	s.bind.reap(now)
}

func (s *server) close() {
	s.search.close()
	s.bind.close()
}

// seconds rounds up: a time limit of 0 would mean none.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
