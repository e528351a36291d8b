package logins

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// pace lets one through at each tick of a fixed rate, in the order of arrival. What was not used is
// not saved up: a slow directory does not get faster by having been idle.
type pace struct {
	every time.Duration
	mu    sync.Mutex
	next  time.Time
}

// turn is when the caller may go on.
func (p *pace) turn(now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next.Before(now) {
		p.next = now
	}
	at := p.next
	p.next = at.Add(p.every)
	return at
}

// serveSlowly stands before a directory and lets so many binds a second through. Everything else
// passes at once. It ends with ctx.
func serveSlowly(ctx context.Context, t task, ready func(string) error) error {
	pair, err := tls.LoadX509KeyPair(t.Cert, t.KeyFile)
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", t.Listen)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	if err := ready(l.Addr().String()); err != nil {
		_ = l.Close()
		return err
	}
	door := &pace{every: time.Duration(float64(time.Second) / t.PerSec)}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	for {
		raw, err := l.Accept()
		if err != nil {
			return nil // the listener is closed when ctx ends
		}
		wg.Go(func() { door.carry(ctx, t, tls.Server(raw, config)) })
	}
}

// carry joins a client with the directory until either ends.
func (p *pace) carry(ctx context.Context, t task, client net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	directory, err := dialLDAP(ctx, t)
	if err != nil {
		_ = client.Close()
		return
	}
	stop := context.AfterFunc(ctx, func() {
		_ = client.Close()
		_ = directory.conn.Close()
	})
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		_, _ = io.Copy(client, directory.conn) // its end ends both
	})
	p.requests(ctx, bufio.NewReader(client), directory.conn)
	cancel()
	_ = client.Close()
	_ = directory.conn.Close()
	wg.Wait()
}

// requests passes requests on; binds wait for their turn.
func (p *pace) requests(ctx context.Context, from *bufio.Reader, to io.Writer) {
	var pdu []byte
	var err error
	for {
		if pdu, err = readPDU(from, pdu); err != nil {
			return
		}
		tag, _, err := operation(pdu)
		if err != nil {
			return
		}
		if tag == tagBindRequest && !sleep(ctx, time.Until(p.turn(time.Now()))) {
			return
		}
		if _, err := to.Write(pdu); err != nil {
			return
		}
	}
}
