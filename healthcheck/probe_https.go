package healthcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"time"

	"switchpoint/internal/problem"
)

// newHTTPS is kind "https": the same exchange as http after a TLS handshake.
func newHTTPS(m Monitor, d *dialer) (exchange, error) {
	w, err := newWeb(m)
	if err != nil {
		return nil, err
	}
	base, err := tlsConfig(m)
	if err != nil {
		return nil, err
	}
	verified := m.ServerName + "\x00" + m.CA
	if m.NoVerify {
		verified += "\x00anything"
	}
	return func(ctx context.Context, address string, r *Result) {
		k := lineKey{address: address, secure: verified, proxy: m.SendProxy}
		w.ask(ctx, k, r, func(l *lines) *wire { return secureLine(ctx, d, base, l, k, r) })
	}, nil
}

// secureLine opens a connection and speaks TLS on it; nil means that r says why not.
func secureLine(ctx context.Context, d *dialer, cfg *tls.Config, l *lines, k lineKey, r *Result) *wire {
	conn := d.dialFor(ctx, cfg, k.address, r)
	if conn == nil {
		return nil
	}
	s := sessions{l, k}
	if l != nil {
		cfg = cfg.Clone()
		cfg.ClientSessionCache = s
	}
	secure := handshake(ctx, conn, cfg, k.address, r)
	if secure == nil {
		_ = conn.Close()
		return nil
	}
	if l != nil && !secure.ConnectionState().DidResume {
		s.whole()
	}
	return &wire{Conn: secure, release: conn.release, expiry: r.CertExpiry}
}

// tlsConfig reads what m says of certificates. Its error is a problem.Problem.
func tlsConfig(m Monitor) (*tls.Config, error) {
	cfg := &tls.Config{
		ServerName:         m.ServerName,
		InsecureSkipVerify: m.NoVerify, //nolint:gosec // the operator's word; `switchpoint check` says it aloud
		NextProtos:         []string{"http/1.1"},
		MinVersion:         tls.VersionTLS12,
	}
	if m.CA == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(m.CA)
	if err != nil {
		return nil, problem.Problem{Path: "ca", What: fmt.Sprintf("cannot read the roots to trust: %v", err), Cure: "name a readable PEM file"}
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, problem.Problem{Path: "ca", What: fmt.Sprintf("%s holds no certificate", m.CA), Cure: "name a file with PEM certificates"}
	}
	return cfg, nil
}

// handshake speaks TLS over conn; nil means that r says why not.
func handshake(ctx context.Context, conn net.Conn, cfg *tls.Config, address string, r *Result) *tls.Conn {
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			host = address
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	start := time.Now()
	secure := tls.Client(conn, cfg)
	// The deadline of conn bounds it; a context here would only start another goroutine.
	err := secure.Handshake()
	r.TLS = time.Since(start)
	if err != nil {
		r.failHandshake(ctx, cfg.ServerName, err)
		return nil
	}
	if certs := secure.ConnectionState().PeerCertificates; len(certs) > 0 {
		r.CertExpiry = certs[0].NotAfter
	}
	return secure
}
