package healthcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"switchpoint/internal/problem"
	"switchpoint/internal/secret"
)

// Steps of a directory probe, to complete "timed out ...".
const (
	inBind     stage = "in the bind"
	inSearch   stage = "in the search"
	inStartTLS stage = "in StartTLS"
)

func (m Monitor) validateLDAP(l *problem.List) {
	if _, err := ldap.CompileFilter(m.Filter); err != nil {
		l.Addf("filter", `write an LDAP filter such as "(uid=probe)"`, "%q is no LDAP filter: %v", m.Filter, innermost(err))
	}
	for _, dn := range [...]struct{ key, value string }{{"base_dn", m.BaseDN}, {"bind_dn", m.BindDN}} {
		// Active Directory also takes "user@domain" and "DOMAIN\user" for a bind.
		if dn.key == "bind_dn" && !strings.Contains(dn.value, "=") {
			continue
		}
		if _, err := ldap.ParseDN(dn.value); err != nil {
			l.Addf(dn.key, `write a DN such as "dc=company,dc=com"`, "%q is no DN: %v", dn.value, innermost(err))
		}
	}
	switch {
	case m.BindDN != "" && m.BindPassword == "":
		l.Addf("bind_password", secret.Cure, "no password for bind_dn")
	case m.BindDN == "" && m.BindPassword != "":
		l.Addf("bind_dn", "name who binds, or remove bind_password", "a password but nobody who binds")
	case m.BindPassword != "":
		if err := secret.Check(m.BindPassword); err != nil {
			l.Addf("bind_password", secret.Cure, "%v", err)
		}
	}
	if m.TLS && m.StartTLS {
		l.Addf("start_tls", "remove one of the two", "tls is encrypted from the first byte and start_tls begins in the clear")
	}
	if !m.TLS && !m.StartTLS {
		m.refuseTLSKeys(l, "write tls = true or start_tls = true, or remove it")
	}
}

// refuseTLSKeys is for kinds that may go unencrypted: what is said of certificates then misleads.
func (m Monitor) refuseTLSKeys(l *problem.List, cure string) {
	for _, k := range [...]struct {
		key   string
		given bool
	}{{"ca", m.CA != ""}, {"no_verify", m.NoVerify}, {"server_name", m.ServerName != ""}} {
		if k.given {
			l.Addf(k.key, cure, "no certificate is verified that it could be for")
		}
	}
}

// innermost is the cause of a fault of the LDAP library without its result code.
func innermost(err error) error {
	var e *ldap.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err
	}
	return err
}

// directoryProbe is a compiled monitor of kind ldap.
type directoryProbe struct {
	dial          *dialer
	tls           *tls.Config // nil: plain
	startTLS      bool
	bindDN, pass  string
	search        *ldap.SearchRequest
	found, absent string // reasons, made once
}

// newLDAP is kind "ldap": connect, encrypt, bind, and find an entry.
func newLDAP(m Monitor, d *dialer) (exchange, error) {
	p := &directoryProbe{dial: d, startTLS: m.StartTLS, bindDN: m.BindDN}
	var err error
	if m.BindPassword != "" {
		if p.pass, err = secret.Read(m.BindPassword); err != nil {
			return nil, problem.Problem{Path: "bind_password", What: err.Error(), Cure: secret.Cure}
		}
	}
	if m.TLS || m.StartTLS {
		if p.tls, err = anyTLS(m); err != nil {
			return nil, err
		}
	}
	scope, where := ldap.ScopeWholeSubtree, "below "+m.BaseDN
	if m.BaseDN == "" {
		scope, where = ldap.ScopeBaseObject, "in the root DSE"
	}
	p.found = "bound, and " + m.Filter + " found an entry " + where
	p.absent = "no entry for " + m.Filter + " " + where
	const atMost = 1
	seconds := int(max(1, m.Timeout/time.Second))
	p.search = ldap.NewSearchRequest(m.BaseDN, scope, ldap.NeverDerefAliases, atMost, seconds, true, m.Filter, []string{"1.1"}, nil)
	return p.ask, nil
}

func (p *directoryProbe) ask(ctx context.Context, address string, r *Result) {
	raw := p.dial.dialFor(ctx, p.tls, address, r)
	if raw == nil {
		return
	}
	defer raw.Close()
	talk := &directoryTalk{probe: p, wire: newBounded(raw)}
	var conn net.Conn = talk.wire
	encrypted := p.tls != nil && !p.startTLS
	if encrypted {
		secure := handshake(ctx, conn, p.tls, address, r)
		if secure == nil {
			return
		}
		conn = secure
	}
	talk.ldap = ldap.NewConn(conn, encrypted)
	talk.ldap.Start()
	defer func() {
		_ = raw.Close() // first: the library's Close waits for a write that is under way
		_ = talk.ldap.Close()
	}()
	if p.startTLS && !talk.encrypt(ctx, address, r) {
		return
	}
	talk.bindAndSearch(ctx, r)
}

// directoryTalk is one conversation.
type directoryTalk struct {
	probe *directoryProbe
	wire  *bounded
	ldap  *ldap.Conn
}

func (t *directoryTalk) bindAndSearch(ctx context.Context, r *Result) {
	sent := time.Now()
	if err := t.bind(); err != nil {
		t.fail(ctx, inBind, "bind refused: ", err, r)
		return
	}
	r.TTFB = time.Since(sent)
	res, err := t.ldap.Search(t.probe.search)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		err = nil // there are more entries than the one that was asked for
	}
	switch {
	case err != nil:
		t.fail(ctx, inSearch, "search refused: ", err, r)
	case res == nil || len(res.Entries) == 0:
		r.down(t.probe.absent)
	default:
		r.State, r.Reason = Up, t.probe.found
	}
}

func (t *directoryTalk) bind() error {
	if t.probe.bindDN == "" {
		return t.ldap.UnauthenticatedBind("")
	}
	return t.ldap.Bind(t.probe.bindDN, t.probe.pass)
}

// encrypt does StartTLS; false means that r says why not.
func (t *directoryTalk) encrypt(ctx context.Context, address string, r *Result) bool {
	cfg, refused := verifyAside(named(t.probe.tls, address))
	start := time.Now()
	err := t.ldap.StartTLS(cfg)
	r.TLS = time.Since(start)
	if err == nil {
		if state, ok := t.ldap.TLSConnectionState(); ok && len(state.PeerCertificates) > 0 {
			r.CertExpiry = state.PeerCertificates[0].NotAfter
		}
		return true
	}
	if *refused != nil {
		r.failHandshake(ctx, cfg.ServerName, *refused)
		return false
	}
	t.fail(ctx, inStartTLS, "StartTLS refused: ", err, r)
	return false
}

// verifyAside is cfg with its verification done in a callback that keeps the error: the library
// gives only the text of what a handshake ended with.
func verifyAside(cfg *tls.Config) (*tls.Config, *error) {
	refused := new(error)
	if cfg.InsecureSkipVerify {
		return cfg, refused
	}
	cfg.InsecureSkipVerify = true // VerifyConnection verifies
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			*refused = errFault("the target shows no certificate")
			return *refused
		}
		opts := x509.VerifyOptions{DNSName: cfg.ServerName, Roots: cfg.RootCAs, Intermediates: x509.NewCertPool()}
		for _, c := range state.PeerCertificates[1:] {
			opts.Intermediates.AddCert(c)
		}
		if _, err := state.PeerCertificates[0].Verify(opts); err != nil {
			*refused = &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
		}
		return *refused
	}
	return cfg, refused
}

// fail makes r a failure of an operation. busy (RFC 4511 A.2) is the server's own word that it
// lives and has too much to do.
func (t *directoryTalk) fail(ctx context.Context, at stage, what string, err error, r *Result) {
	var said *ldap.Error
	if errors.As(err, &said) && said.ResultCode < ldap.ErrorNetwork {
		text := fmt.Sprintf("%s (%d)", ldap.LDAPResultCodeMap[said.ResultCode], said.ResultCode)
		if diagnostic := innermost(err).Error(); diagnostic != "" {
			text += ": " + show([]byte(diagnostic))
		}
		if said.ResultCode == ldap.LDAPResultBusy {
			r.State, r.Reason = Overloaded, "the server says that it is busy: "+text
			return
		}
		r.down(what + text)
		return
	}
	// The library does not tell why reading ended; the wire does.
	first, why := t.wire.seen()
	r.keep(first)
	const sequence = 0x30 // how every LDAP message begins (RFC 4511 5.1)
	switch {
	case why != nil && ctx.Err() == nil && len(first) > 0 && first[0] != sequence && !t.encrypted():
		r.down("not LDAP: the answer begins with " + show(first))
	case why != nil:
		r.fail(ctx, at, why)
	default:
		r.fail(ctx, at, err)
	}
}

func (t *directoryTalk) encrypted() bool { return t.probe.tls != nil }
