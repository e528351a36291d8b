package directory

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// errSkipped means that the server's breaker is open.
var errSkipped = errors.New("the server is down")

// server is one server of the directory with its two pools.
type server struct {
	name      string // its URL
	address   string // its host:port
	encrypted bool
	reported  bool // its exchanges are told to Options.Report: it stands in the configuration
	timeout   time.Duration
	facts     atomic.Pointer[facts] // nil until it told them
	breaker   *breaker
	search    *pool // bound as the service account
	bind      *pool // bound as whoever came last: never searched on
}

func newServer(c Config, password, raw string, resolver *net.Resolver) (*server, error) {
	u, err := serverURL(raw)
	if err != nil {
		return nil, err
	}
	s := &server{name: raw, address: u.Host, timeout: c.Timeout, breaker: newBreaker(c.Timeout)}
	d := dialer{address: u.Host, resolver: resolver, startTLS: c.StartTLS && u.Scheme == "ldap", facts: &s.facts}
	if u.Scheme == "ldaps" || c.StartTLS {
		if d.tls, err = c.tlsConfig(u.Hostname()); err != nil {
			return nil, err
		}
	}
	s.encrypted = d.tls != nil
	service := d
	service.bindDN, service.password = c.BindDN, password
	s.search, s.bind = newPool(c.MaxConns, service.dial), newPool(c.MaxConns, d.dial)
	return s, nil
}

// run does op on a connection of p, within s.timeout from the moment that it is let in. A pooled
// connection that turns out to be closed is replaced once by a fresh one, where again allows that.
// The error is a transportError, errSkipped, errClosed, the end of ctx, or the server's answer.
func (s *server) run(ctx context.Context, p *pool, expect answers, again func(*transportError) bool, op func(*ldap.Conn) error) error {
	if s.breaker.blocks(time.Now()) {
		return errSkipped // without a wait for a place that others hold until their time-out
	}
	if err := p.gate.enter(ctx); err != nil {
		return err
	}
	var took time.Duration
	defer func() { p.gate.leave(took) }()
	if !s.breaker.allow(time.Now()) {
		return errSkipped
	}
	var err error
	took, err = s.exchange(ctx, p, expect, again, op)
	return err
}

// exchange is run with a place in hand. took is what the server needed for it, 0 where that is
// not known.
func (s *server) exchange(ctx context.Context, p *pool, expect answers, again func(*transportError) bool, op func(*ldap.Conn) error) (took time.Duration, err error) {
	began := time.Now()
	deadline := began.Add(s.timeout)
	if c := p.take(began); c != nil {
		err := c.do(ctx, deadline, expect, op)
		p.put(c)
		t, transport := errors.AsType[*transportError](err)
		if !transport || t.timeout || !again(t) {
			return measured(began, err), err
		}
	}
	dialing, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	c, err := p.dial(dialing)
	if err != nil {
		return 0, err
	}
	defer p.put(c)
	began = time.Now()
	err = c.do(ctx, deadline, expect, op)
	return measured(began, err), err
}

// measured is the time of an exchange that ended with an answer or for want of one in time.
func measured(began time.Time, err error) time.Duration {
	if t, transport := errors.AsType[*transportError](err); transport && !t.timeout || errors.Is(err, context.Canceled) {
		return 0
	}
	return time.Since(began)
}

// probe asks the rootDSE (RFC 4512, 5.1), which every server lets anybody read. With no free
// place it asks nothing: the operations under way will tell.
func (s *server) probe(ctx context.Context) (asked bool, err error) {
	if !s.search.gate.tryEnter() {
		return false, nil
	}
	defer s.search.gate.leave(0)
	s.breaker.probe()
	_, err = s.exchange(ctx, s.search, searchAnswers, anyFailure, func(l *ldap.Conn) error {
		res, err := l.Search(factsRequest(seconds(s.timeout)))
		if err == nil && len(res.Entries) == 1 {
			s.facts.Store(newFacts(res.Entries[0]))
		}
		return err
	})
	return true, err
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
