package httpbench

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// handshakes makes a TLS connection for each request, t.Conns at a time. It keeps no session and
// does not say that it could, so no server sends a ticket or resumes: each handshake is a full one.
// The key exchange is X25519, which all servers have.
func handshakes(ctx context.Context, t task) (countResult, error) {
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return countResult{}, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return countResult{}, fmt.Errorf("no certificate in %s", t.CA)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: serverName, CurvePreferences: []tls.CurveID{tls.X25519}}
	var n atomic.Int64
	start := time.Now()
	var group errgroup.Group
	for range t.Conns {
		group.Go(func() error {
			for time.Since(start) < t.For && ctx.Err() == nil {
				if err := oneHandshake(ctx, cfg, t); err != nil {
					return err
				}
				n.Add(1)
			}
			return nil
		})
	}
	err = group.Wait()
	return countResult{n.Load(), time.Since(start)}, err
}

func oneHandshake(ctx context.Context, cfg *tls.Config, t task) error {
	raw, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", t.Target)
	if err != nil {
		return err
	}
	defer func() { _ = raw.Close() }()
	if err := raw.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	c := tls.Client(raw, cfg)
	if _, err := io.WriteString(c, "GET "+t.Path+" HTTP/1.1\r\nHost: "+serverName+"\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(c, 4096), nil)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	n, err := io.Copy(io.Discard, res.Body)
	if err != nil || res.StatusCode != http.StatusOK || int(n) != t.Size {
		return errors.Join(err, fmt.Errorf("answer %s with %d bytes", res.Status, n))
	}
	if c.ConnectionState().DidResume {
		return errors.New("a session was resumed")
	}
	return nil
}

// streamBuffer is what source and sink move at a time.
const streamBuffer = 256 << 10

// source sends to whoever connects for as long as they read.
func source(ctx context.Context, t task, tell func(any) error) error {
	l, err := net.Listen("tcp", t.Target)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	if err := tell(struct{}{}); err != nil {
		return err
	}
	var group errgroup.Group
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return group.Wait()
		}
		if err != nil {
			return err
		}
		group.Go(func() error {
			defer func() { _ = c.Close() }()
			defer context.AfterFunc(ctx, func() { _ = c.Close() })()
			block := make([]byte, streamBuffer)
			for {
				if _, err := c.Write(block); err != nil {
					return nil // the reader has had enough
				}
			}
		})
	}
}

// sink reads one stream for t.For, after a warm-up of a tenth of it.
func sink(ctx context.Context, t task) (countResult, error) {
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", t.Target)
	if err != nil {
		return countResult{}, err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(2*t.For + 5*time.Second)); err != nil {
		return countResult{}, err
	}
	block := make([]byte, streamBuffer)
	read := func(d time.Duration) (countResult, error) {
		var r countResult
		start := time.Now()
		for r.Took < d {
			n, err := c.Read(block)
			if err != nil {
				return r, fmt.Errorf("after %d bytes: %w", r.N, err)
			}
			r.N += int64(n)
			r.Took = time.Since(start)
		}
		return r, nil
	}
	if _, err := read(t.For / 10); err != nil {
		return countResult{}, err
	}
	return read(t.For)
}
