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
	return func(ctx context.Context, address string, r *Result) {
		conn := d.dial(ctx, address, r)
		if conn == nil {
			return
		}
		defer conn.Close()
		secure := handshake(ctx, conn, base, address, r)
		if secure == nil {
			return
		}
		w.exchange(ctx, secure, address, r)
	}, nil
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
