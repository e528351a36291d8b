package healthcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// stage is how far a probe got; it completes "connection closed ..." and "timed out ...".
type stage string

const (
	inConnect   stage = "while connecting"
	inHandshake stage = "in the TLS handshake"
	inSend      stage = "while sending"
	inFirstByte stage = "before the first byte"
	inHeader    stage = "in the headers"
	inBody      stage = "in the body"
	inStream    stage = "in the stream"
)

// fail makes r a failure of err at a stage, in plain words.
func (r *Result) fail(ctx context.Context, at stage, err error) {
	var fault errFault
	switch {
	case errors.As(err, &fault):
		r.down(string(fault))
	case errors.Is(ctx.Err(), context.Canceled):
		r.down("the probe was cancelled " + string(at))
	case timedOut(err):
		r.TimedOut = true
		r.down("timed out " + string(at))
	case errors.Is(err, syscall.ECONNREFUSED):
		r.down("connection refused")
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		r.down("connection reset " + string(at))
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		r.down("connection closed " + string(at))
	case errors.Is(err, syscall.EHOSTUNREACH):
		r.down("no route to the host")
	case errors.Is(err, syscall.ENETUNREACH):
		r.down("network unreachable")
	case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
		r.down("this process has no file descriptor left for the probe")
	default:
		r.down(deepest(err) + " " + string(at))
	}
}

func timedOut(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// deepest is the text of the innermost error: the outer ones repeat address and operation.
func deepest(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// failResolve makes r a failure to find the addresses of host.
func (r *Result) failResolve(ctx context.Context, host string, err error) {
	var d *net.DNSError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		r.down("the probe was cancelled while resolving " + host)
	case errors.As(err, &d) && d.IsNotFound:
		r.down("the name " + host + " does not exist in DNS")
	case timedOut(err):
		r.TimedOut = true
		r.down("timed out while resolving " + host)
	default:
		r.down("cannot resolve " + host + ": " + deepest(err))
	}
}

// failHandshake makes r a failure of the TLS handshake and keeps the expiry of a certificate
// that was refused.
func (r *Result) failHandshake(ctx context.Context, name string, err error) {
	var cert *tls.CertificateVerificationError
	var plain tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &cert):
		if len(cert.UnverifiedCertificates) > 0 {
			r.CertExpiry = cert.UnverifiedCertificates[0].NotAfter
		}
		r.down(certificateReason(name, cert.Err))
	case errors.As(err, &plain):
		r.down("not TLS: the answer begins with " + show(plain.RecordHeader[:]))
	case errors.As(err, &op) && op.Op == "remote error": // crypto/tls marks the alerts of the peer so
		r.down("the target refused the TLS handshake: " + strings.TrimPrefix(deepest(err), "tls: "))
	case timedOut(err), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		r.fail(ctx, inHandshake, err)
	default:
		r.down(strings.TrimPrefix(deepest(err), "tls: ") + " " + string(inHandshake))
	}
}

func certificateReason(name string, err error) string {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var wrong x509.HostnameError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		if now := time.Now(); now.Before(invalid.Cert.NotBefore) {
			return "certificate not valid before " + invalid.Cert.NotBefore.UTC().Format(time.DateTime) + " UTC"
		}
		return "certificate expired on " + invalid.Cert.NotAfter.UTC().Format(time.DateTime) + " UTC"
	case errors.As(err, &unknown):
		return "certificate signed by an unknown authority"
	case errors.As(err, &wrong):
		return fmt.Sprintf("certificate is not for %q but for %s", name, certNames(wrong.Certificate))
	}
	return "certificate refused: " + strings.TrimPrefix(deepest(err), "x509: ")
}

// certNames lists the first names of a certificate; a target may present thousands.
func certNames(c *x509.Certificate) string {
	names := append([]string(nil), c.DNSNames[:min(len(c.DNSNames), 4)]...)
	for _, ip := range c.IPAddresses[:min(len(c.IPAddresses), 4)] {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name at all"
	}
	return fmt.Sprintf("%q", names)
}
