package sites

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/go-ldap/ldap/v3"
)

// ErrRefused means that a server refused the account. Another would, too, and would count it
// as one more wrong password.
var ErrRefused = errors.New("the directory refuses the account: check bind_dn and bind_password")

// session is one bound connection for one reading. The end of its context closes the socket: go-ldap
// knows no contexts and waits without a limit.
type session struct {
	ctx  context.Context //nolint:containedctx // a session lives for one call
	ldap *ldap.Conn
	raw  net.Conn
	stop func() bool
}

func open(ctx context.Context, e endpoint, bindDN, password string) (*session, error) {
	tcp, err := new(net.Dialer).DialContext(ctx, "tcp", e.address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	bounded := &boundedConn{Conn: tcp}
	bounded.left.Store(maxBytes)
	s := &session{ctx: ctx, raw: bounded}
	s.stop = context.AfterFunc(ctx, func() { _ = tcp.Close() })
	if err := s.secure(e); err != nil {
		s.close()
		return nil, err
	}
	if err := s.bind(bindDN, password); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// secure encrypts the connection where that is wanted.
func (s *session) secure(e endpoint) error {
	if e.tls != nil && !e.startTLS {
		encrypted := tls.Client(s.raw, e.tls)
		if err := encrypted.HandshakeContext(s.ctx); err != nil {
			return fmt.Errorf("TLS: %w", s.cause(err))
		}
		s.ldap = ldap.NewConn(encrypted, true)
		s.ldap.Start()
		return nil
	}
	s.ldap = ldap.NewConn(s.raw, false)
	s.ldap.Start()
	if e.tls == nil {
		return nil
	}
	if err := s.ldap.StartTLS(e.tls); err != nil {
		return fmt.Errorf("StartTLS: %w", s.cause(err))
	}
	return nil
}

func (s *session) bind(bindDN, password string) error {
	err := s.ldap.Bind(bindDN, password)
	switch {
	case err == nil:
		return nil
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInvalidDNSyntax, ldap.LDAPResultNoSuchObject):
		return fmt.Errorf("%w: %w", ErrRefused, err)
	case ldap.IsErrorWithCode(err, ldap.LDAPResultStrongAuthRequired):
		return fmt.Errorf("the server wants an encrypted connection: use ldaps://, or start_tls = true: %w", err)
	}
	return fmt.Errorf("bind: %w", s.cause(err))
}

func (s *session) search(req *ldap.SearchRequest) (*ldap.SearchResult, error) {
	res, err := s.ldap.Search(req)
	if err != nil {
		return nil, s.cause(err)
	}
	return res, nil
}

// cause names the end of the context, which shows as a closed connection otherwise.
func (s *session) cause(err error) error {
	if s.ctx.Err() != nil {
		return fmt.Errorf("no answer in time: %w", context.Cause(s.ctx))
	}
	return err
}

// close ends the connection, the socket first: go-ldap waits for a write that is under way.
func (s *session) close() {
	s.stop()
	_ = s.raw.Close()
	if s.ldap != nil {
		_ = s.ldap.Close()
	}
}

// boundedConn fails a read when a server sends without end.
type boundedConn struct {
	net.Conn
	left atomic.Int64
}

func (b *boundedConn) Read(p []byte) (int, error) {
	if b.left.Load() <= 0 {
		return 0, fmt.Errorf("the server sent more than %d bytes", maxBytes)
	}
	n, err := b.Conn.Read(p)
	b.left.Add(int64(-n))
	return n, err
}
