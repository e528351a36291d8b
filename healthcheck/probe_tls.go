package healthcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"
)

// newTLS is kind "tls": a full handshake, the certificate verified, and still valid for long
// enough. It never resumes a session: a resumed one shows no certificate.
func newTLS(m Monitor, d *dialer) (exchange, error) {
	base, err := anyTLS(m)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, address string, r *Result) {
		conn := d.dialFor(ctx, base, address, r)
		if conn == nil {
			return
		}
		defer conn.Close()
		secure := handshake(ctx, conn, base, address, r)
		if secure == nil {
			return
		}
		r.State, r.Reason = validity(lastsUntil(secure.ConnectionState()), time.Now(), m.MinValidity)
	}, nil
}

// anyTLS is the configuration of TLS that carries another protocol than HTTP.
func anyTLS(m Monitor) (*tls.Config, error) {
	cfg, err := tlsConfig(m)
	if err != nil {
		return nil, err
	}
	cfg.NextProtos = nil // a server may refuse a protocol name that it does not know
	return cfg, nil
}

// mayEncrypt says whether the engine still has a TLS handshake for this second; if not, it has said
// so in r.
func mayEncrypt(ctx context.Context, r *Result) bool {
	if linesOf(ctx).mayHandshake() {
		return true
	}
	r.Excused = true
	r.down("put off: this second has no TLS handshake left (max_handshakes)")
	return false
}

// named is a copy of cfg that knows which name to verify.
func named(cfg *tls.Config, address string) *tls.Config {
	cfg = cfg.Clone()
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			host = address
		}
		cfg.ServerName = host
	}
	return cfg
}

// lastsUntil is when clients will stop to believe the target: its own certificate or one between
// it and the root may end first. Of several ways to a root the one that lasts longest counts.
// Without verification only the target's own certificate is looked at.
func lastsUntil(state tls.ConnectionState) time.Time {
	var last time.Time
	for _, chain := range state.VerifiedChains {
		if end := firstEnd(chain); end.After(last) {
			last = end
		}
	}
	if last.IsZero() && len(state.PeerCertificates) > 0 {
		last = state.PeerCertificates[0].NotAfter
	}
	return last
}

func firstEnd(chain []*x509.Certificate) time.Time {
	end := chain[0].NotAfter
	for _, c := range chain[1:] {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end
}

// validity judges a certificate that ends at end. It is pure.
func validity(end, now time.Time, atLeast time.Duration) (State, string) {
	left, on := end.Sub(now), end.UTC().Format(time.DateTime)+" UTC"
	switch {
	case left < 0:
		return Down, "certificate expired on " + on
	case left < atLeast:
		return Down, fmt.Sprintf("certificate expires in %s, on %s, wanted at least %s", inDays(left), on, inDays(atLeast))
	}
	return Up, fmt.Sprintf("certificate is valid for %s, until %s", inDays(left), on)
}

// inDays writes a duration as people speak of certificates.
func inDays(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return d.Round(time.Second).String()
}
